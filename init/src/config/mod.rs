//! host.toml: finds, checks and applies it.

pub mod apply;
pub mod docker;
pub mod error;
pub mod locations;

pub use apply::{apply, containers};
pub use error::ConfigError;

use crate::{console, modules::Loader};
use berth_contract::{
    control::ConfigStatus,
    host_config::{HostConfig, MAX_SIZE},
};
use berth_file::{Flush, replace};
use locations::{Candidate, Locations};
use std::{fs, path::Path};

/// The configuration in force. Without a host.toml it is the default configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurrentConfig {
    /// The configuration.
    pub config: HostConfig,
    /// The place that it came from, and the error of the host.toml that was found, if that was not usable.
    pub status: ConfigStatus,
}

impl CurrentConfig {
    /// Whether a host.toml was found, but neither it nor the last good one can be used.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.status.error.is_some() && self.status.source.is_none()
    }
}

/// Finds and checks host.toml. Call it when /var is mounted, which holds the last good configuration, and the drivers of all devices are
/// loaded. `boot_disk` is a node like `/dev/vda`. Never fails: an error in host.toml is printed on the console, and the last good
/// configuration is used, or else the default.
#[must_use]
pub fn load(boot_disk: &str, loader: &Loader) -> CurrentConfig {
    let last_good = Path::new(berth_contract::paths::LAST_GOOD_CONFIG);
    let found = Locations::new(boot_disk, loader).first();
    let (current, new_good) = decide(found, || read_last_good(last_good));
    if let Some(error) = &current.status.error {
        let instead =
            current.status.source.as_deref().map_or("the default is used", |_| "the last good host.toml is used");
        console::error(format_args!("{error}; {instead}"));
    }
    if let Some(text) = new_good
        && !fs::read(last_good).is_ok_and(|old| old == text.as_bytes())
        && let Err(error) = replace(last_good, text.as_bytes(), 0o600, Flush::Content)
    {
        console::warning(format_args!("{error}"));
    }
    current
}

/// Returns the configuration in force, and the text to store as the last good configuration, if there is one.
fn decide(found: Option<Candidate>, last_good: impl FnOnce() -> Option<Candidate>) -> (CurrentConfig, Option<String>) {
    let Some(candidate) = found else { return (CurrentConfig::default(), None) };
    let place = candidate.place.clone();
    let error = match parse(candidate) {
        Ok((config, text)) => {
            return (CurrentConfig { config, status: ConfigStatus { source: Some(place), error: None } }, Some(text));
        }
        Err(error) => Some(error.to_string()),
    };
    match last_good().map(parse) {
        Some(Ok((config, _))) => {
            (CurrentConfig { config, status: ConfigStatus { source: Some(LAST_GOOD.to_owned()), error } }, None)
        }
        // The last good file was stored by another version, and may not be valid for this version.
        Some(Err(_)) | None => {
            (CurrentConfig { status: ConfigStatus { source: None, error }, ..CurrentConfig::default() }, None)
        }
    }
}

const LAST_GOOD: &str = "last good";

fn read_last_good(path: &Path) -> Option<Candidate> {
    let content = locations::read_limited(path);
    let missing = content.as_ref().is_err_and(|error| error.source.kind() == std::io::ErrorKind::NotFound);
    (!missing).then(|| Candidate { place: LAST_GOOD.to_owned(), content })
}

/// Parses and checks a configuration. Returns it with its text.
fn parse(candidate: Candidate) -> Result<(HostConfig, String), ConfigError> {
    let Candidate { place, content } = candidate;
    let bytes = content.map_err(|source| ConfigError::Read { place: place.clone(), source })?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(ConfigError::TooLarge { place, limit: MAX_SIZE });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| ConfigError::NoText { place: place.clone(), at: error.utf8_error().valid_up_to() })?;
    let config: HostConfig = toml::from_str(&text).map_err(|error| {
        // Not the full text of the error: it shows the line of the file, which may be part of a private key.
        let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
        ConfigError::Parse { place: place.clone(), line, column, message: error.message().to_owned() }
    })?;
    config.check().map_err(|message| ConfigError::Value { place, message })?;
    Ok((config, text))
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(place: &str, text: &[u8]) -> Option<Candidate> {
        Some(Candidate { place: place.to_owned(), content: Ok(text.to_vec()) })
    }

    #[test]
    fn a_valid_host_toml_is_in_force_and_stored_as_last_good() {
        let (current, kept) = decide(candidate("esp", b"hostname = 'a'"), || panic!("the last good one is not needed"));
        assert_eq!(current.config.hostname.as_deref(), Some("a"));
        assert_eq!(current.status, ConfigStatus { source: Some("esp".into()), error: None });
        assert_eq!(kept.as_deref(), Some("hostname = 'a'"));
        assert_eq!(decide(None, || panic!("no host.toml is no error")), (CurrentConfig::default(), None));
    }

    /// Text → start of the message.
    const WRONG: &[(&[u8], &str)] = &[
        (b"hostname = 'a'\nhostnam = 'b'", "host.toml of fw_cfg, line 2, column 1: unknown field `hostnam`"),
        (
            b"[docker.tls]\nca = 1",
            "host.toml of fw_cfg, line 2, column 6: invalid type: integer `1`, expected a string",
        ),
        ("\nhostname = \"\u{e4}".as_bytes(), "host.toml of fw_cfg, line 2, column"),
        (b"hostname = '-'", "host.toml of fw_cfg: hostname \"-\": expected letters"),
        (b"hostname = '\xff'", "host.toml of fw_cfg: expected UTF-8, found an invalid byte at offset 12"),
    ];

    #[test]
    fn an_invalid_host_toml_is_reported_and_the_last_good_one_is_used() {
        for (text, words) in WRONG {
            let (current, kept) = decide(candidate("fw_cfg", text), || candidate(LAST_GOOD, b"hostname = 'old'"));
            let error = current.status.error.unwrap();
            assert!(error.starts_with(words), "{error}");
            assert_eq!(current.status.source.as_deref(), Some("last good"));
            assert_eq!((current.config.hostname.as_deref(), kept), (Some("old"), None));
        }
        for none_good in [None, candidate(LAST_GOOD, b"x = 1")] {
            let (current, _) = decide(candidate("disk cidata", b"?"), || none_good);
            assert_eq!((current.config, current.status.source), (HostConfig::default(), None));
            assert!(current.status.error.is_some());
        }
        let large = vec![b'#'; usize::try_from(MAX_SIZE).unwrap() + 1];
        let error = decide(candidate("esp", &large), || None).0.status.error.unwrap();
        assert_eq!(error, "host.toml of esp: expected 1048576 bytes at most, found more");
    }

    #[test]
    fn error_messages_do_not_show_lines_of_a_private_key() {
        let text = "[docker.tls]\nca = ''\ncert = ''\nkey = '''\n-----BEGIN PRIVATE KEY-----\nSECRET\n-----END''\n";
        let error = decide(candidate("esp", text.as_bytes()), || None).0.status.error.unwrap();
        assert!(!error.contains("SECRET"), "{error}");
    }
}
