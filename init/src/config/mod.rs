//! host.toml: where it is, whether it is right, and what it changes.

pub mod apply;
pub mod docker;
pub mod error;
pub mod sources;

pub use apply::{apply, containers};
pub use error::ConfigError;

use crate::{console, fault::PathError, modules::Loader};
use berth_contract::{
    control::ConfigStatus,
    host_config::{HostConfig, MAX_SIZE},
};
use berth_file::{Flush, replace};
use sources::Sources;
use std::{fs, path::Path};

/// The configuration in force. None found is the default one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What it says.
    pub config: HostConfig,
    /// Where it came from, and what was wrong with the one that was found first.
    pub status: ConfigStatus,
}

impl Outcome {
    /// Whether there is a host.toml, and nothing of it is in force.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.status.error.is_some() && self.status.source.is_none()
    }
}

/// A host.toml that was found.
#[derive(Debug)]
pub struct Candidate {
    /// Where: `fw_cfg`, `disk LABEL`, `esp`, `last good`.
    pub place: String,
    /// What it holds, or why it cannot be read.
    pub content: Result<Vec<u8>, PathError>,
}

/// Finds and checks host.toml. /var should be mounted (last good configuration), devices should be there. `boot_disk` is a node
/// like `/dev/vda`. Never fails: a wrong file is named on the console, and the last good one is used, else none.
#[must_use]
pub fn load(boot_disk: &str, loader: &Loader) -> Outcome {
    let last_good = Path::new(berth_contract::paths::LAST_GOOD_CONFIG);
    let found = Sources::new(boot_disk, loader).first();
    let (outcome, new_good) = decide(found, || read_last_good(last_good));
    if let Some(error) = &outcome.status.error {
        let instead = outcome.status.source.as_deref().map_or("none is used", |_| "the last good one is used");
        console::error(format_args!("{error}; {instead}"));
    }
    if let Some(text) = new_good
        && !fs::read(last_good).is_ok_and(|old| old == text.as_bytes())
        && let Err(error) = replace(last_good, text.as_bytes(), 0o600, Flush::Content)
    {
        console::warning(format_args!("{error}"));
    }
    outcome
}

/// What is in force, and what is to be kept as the last good configuration.
fn decide(found: Option<Candidate>, last_good: impl FnOnce() -> Option<Candidate>) -> (Outcome, Option<String>) {
    let Some(candidate) = found else { return (Outcome::default(), None) };
    let place = candidate.place.clone();
    let error = match parse(candidate) {
        Ok((config, text)) => {
            return (Outcome { config, status: ConfigStatus { source: Some(place), error: None } }, Some(text));
        }
        Err(error) => Some(error.to_string()),
    };
    match last_good().map(parse) {
        Some(Ok((config, _))) => {
            (Outcome { config, status: ConfigStatus { source: Some(LAST_GOOD.to_owned()), error } }, None)
        }
        // An older version's last good file may be wrong for this one.
        Some(Err(_)) | None => (Outcome { status: ConfigStatus { source: None, error }, ..Outcome::default() }, None),
    }
}

const LAST_GOOD: &str = "last good";

fn read_last_good(path: &Path) -> Option<Candidate> {
    let content = sources::read_limited(path);
    let missing = content.as_ref().is_err_and(|error| error.source.kind() == std::io::ErrorKind::NotFound);
    (!missing).then(|| Candidate { place: LAST_GOOD.to_owned(), content })
}

/// From bytes to a configuration that has been checked, and its text.
fn parse(candidate: Candidate) -> Result<(HostConfig, String), ConfigError> {
    let Candidate { place, content } = candidate;
    let bytes = content.map_err(|source| ConfigError::Read { place: place.clone(), source })?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(ConfigError::TooLarge { place, limit: MAX_SIZE });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| ConfigError::NoText { place: place.clone(), at: error.utf8_error().valid_up_to() })?;
    let config: HostConfig = toml::from_str(&text).map_err(|error| {
        // The error's own text shows the line as it is, which may be one of a private key.
        let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
        ConfigError::Parse { place: place.clone(), line, column, message: error.message().to_owned() }
    })?;
    config.check().map_err(|message| ConfigError::Value { place, message })?;
    Ok((config, text))
}

/// Line and column, from 1, of a byte.
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
    fn a_good_one_is_in_force_and_kept() {
        let (outcome, kept) = decide(candidate("esp", b"hostname = 'a'"), || panic!("not asked for"));
        assert_eq!(outcome.config.hostname.as_deref(), Some("a"));
        assert_eq!(outcome.status, ConfigStatus { source: Some("esp".into()), error: None });
        assert_eq!(kept.as_deref(), Some("hostname = 'a'"));
        assert_eq!(decide(None, || panic!("none is no fault")), (Outcome::default(), None));
    }

    /// Text → what the message says.
    const WRONG: &[(&[u8], &str)] = &[
        (b"hostname = 'a'\nhostnam = 'b'", "host.toml of fw_cfg, line 2, column 1: unknown field `hostnam`"),
        (
            b"[docker.tls]\nca = 1",
            "host.toml of fw_cfg, line 2, column 6: invalid type: integer `1`, expected a string",
        ),
        ("\nhostname = \"\u{e4}".as_bytes(), "host.toml of fw_cfg, line 2, column"),
        (b"hostname = '-'", "host.toml of fw_cfg: hostname \"-\": expected letters"),
        (b"hostname = '\xff'", "host.toml of fw_cfg: expected UTF-8, found something else at byte 12"),
    ];

    #[test]
    fn a_wrong_one_is_named_and_the_last_good_one_used() {
        for (text, words) in WRONG {
            let (outcome, kept) = decide(candidate("fw_cfg", text), || candidate(LAST_GOOD, b"hostname = 'old'"));
            let error = outcome.status.error.unwrap();
            assert!(error.starts_with(words), "{error}");
            assert_eq!(outcome.status.source.as_deref(), Some("last good"));
            assert_eq!((outcome.config.hostname.as_deref(), kept), (Some("old"), None));
        }
        for none_good in [None, candidate(LAST_GOOD, b"x = 1")] {
            let (outcome, _) = decide(candidate("disk cidata", b"?"), || none_good);
            assert_eq!((outcome.config, outcome.status.source), (HostConfig::default(), None));
            assert!(outcome.status.error.is_some());
        }
        let large = vec![b'#'; usize::try_from(MAX_SIZE).unwrap() + 1];
        let error = decide(candidate("esp", &large), || None).0.status.error.unwrap();
        assert_eq!(error, "host.toml of esp: expected 1048576 bytes at most, found more");
    }

    #[test]
    fn no_line_of_a_key_is_shown() {
        let text = "[docker.tls]\nca = ''\ncert = ''\nkey = '''\n-----BEGIN PRIVATE KEY-----\nSECRET\n-----END''\n";
        let error = decide(candidate("esp", text.as_bytes()), || None).0.status.error.unwrap();
        assert!(!error.contains("SECRET"), "{error}");
    }
}
