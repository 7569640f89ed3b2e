//! Values that are PEM (RFC 7468).

use crate::config_fault::ConfigFault;

/// Whether a text has a PEM block of this kind. The text is never shown: it may be a secret.
pub(crate) fn check_pem(key: &str, text: &str, word: &str) -> Result<(), ConfigFault> {
    if text.contains("-----BEGIN ") && text.contains(&format!("{word}-----")) {
        return Ok(());
    }
    let found = format!("{} bytes without one", text.len());
    Err(ConfigFault::of(key, format!("a PEM block of {word}"), found))
}
