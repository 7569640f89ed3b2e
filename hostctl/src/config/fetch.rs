//! The configuration that the kernel's command line names: `berth.config=URL`, with `berth.config.sha256=DIGEST`.

use super::ConfigError;
use berth_contract::{
    cmdline::{CONFIG, CONFIG_SHA256, Cmdline},
    generation::Origin,
    host_config::MAX_SIZE,
};
use berth_fetch::{
    ranges::Ranges,
    roots,
    settings::{FetchSettings, Network, Patience},
    url::{Scheme, Url},
};
use sha2::{Digest, Sha256};

/// An address and the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    url: Url,
    sha256: Option<String>,
}

/// Reads the two keys. `None` if the command line names no configuration.
///
/// # Errors
/// The address is neither https nor http, an http address has no digest, or the digest is not 64 hexadecimal digits.
pub fn wanted(cmdline: &Cmdline) -> Result<Option<Wanted>, ConfigError> {
    let Some(text) = cmdline.sole(CONFIG)? else { return Ok(None) };
    let wrong = |key, expected, found: &str| ConfigError::Cmdline { key, expected, found: found.to_owned() };
    let url: Url = text.parse().map_err(|_| wrong(CONFIG, "an https or http address", text))?;
    let digest = cmdline.sole(CONFIG_SHA256)?;
    if let Some(digest) = digest.filter(|text| text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit())) {
        return Err(wrong(CONFIG_SHA256, "64 hexadecimal digits", digest));
    }
    match (url.scheme(), digest) {
        (Scheme::File, _) => Err(wrong(CONFIG, "an https or http address", text)),
        (Scheme::Http, None) => Err(wrong(CONFIG, "an https address, or berth.config.sha256 as well", text)),
        _ => Ok(Some(Wanted { url, sha256: digest.map(str::to_ascii_lowercase) })),
    }
}

impl Wanted {
    /// Whether a text is the wanted one. Without a digest that is not known.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.sha256.as_ref().is_some_and(|wanted| *wanted == digest(text.as_bytes()))
    }

    /// Fetches the text.
    ///
    /// # Errors
    /// The server cannot be reached, the text is too large, or has another digest.
    pub fn fetch(&self, extra_ca: Option<String>) -> Result<String, ConfigError> {
        let url = self.url.to_string();
        let mut settings = FetchSettings::new(Network::Online, roots::bundle(None));
        settings.extra_ca = extra_ca;
        let bytes = Ranges::new(settings, Patience::default())
            .read_small(&self.url, MAX_SIZE)
            .map_err(|source| ConfigError::Fetch { url: url.clone(), source: Box::new(source) })?;
        let found = digest(&bytes);
        if let Some(expected) = self.sha256.clone().filter(|expected| *expected != found) {
            return Err(ConfigError::Digest { url, expected, found });
        }
        String::from_utf8(bytes).map_err(|_| ConfigError::Cmdline {
            key: CONFIG,
            expected: "the address of a text",
            found: url,
        })
    }

    /// Where the generation comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::Cmdline { url: self.url.to_string() }
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::cmdline::parse;

    #[test]
    fn an_address_without_tls_needs_a_digest() {
        let sum = digest(b"hostname = 'a'");
        let wanted = |line: &str| wanted(&parse(line)).map_err(|error| error.to_string());
        assert_eq!(wanted("quiet"), Ok(None));
        let found = wanted(&format!("berth.config=http://h/x berth.config.sha256={}", sum.to_uppercase())).unwrap();
        assert!(found.as_ref().unwrap().is("hostname = 'a'") && !found.unwrap().is("hostname = 'b'"));
        assert!(!wanted("berth.config=https://h/x").unwrap().unwrap().is(""));
        for (line, words) in [
            ("berth.config=http://h/x", "expected an https address, or berth.config.sha256 as well"),
            ("berth.config=file:///x", "expected an https or http address"),
            ("berth.config=x", "expected an https or http address"),
            ("berth.config=https://h/x berth.config.sha256=12", "berth.config.sha256: expected 64 hexadecimal digits"),
        ] {
            let error = wanted(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
