//! host.toml: finds, checks and applies it.

pub mod apply;
pub mod change;
pub mod docker;
pub mod error;
mod generation;
pub mod locations;
mod originals;
mod search;
mod trust;
mod volume;

pub use apply::{apply, containers, environment};
pub use error::ConfigError;

use crate::console;
use berth_contract::{
    cmdline::{self, Cmdline},
    config_source::ConfigSource,
    container::Existing,
    control::ConfigStatus,
    credentials::without_credentials,
    host_config::{HostConfig, MAX_SIZE},
    paths,
};
use berth_file::{Flush, replace};
use berth_generations::Store;
use generation::First;
use locations::{Candidate, Locations};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// When a configuration is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At boot. The engine may be asked about its settings.
    Boot,
    /// While the supervisor runs, which must not wait for a program.
    Running,
}

/// The configuration in force. Without a host.toml it is the default configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurrentConfig {
    /// The configuration.
    pub config: HostConfig,
    /// The place that it came from, and the error of the host.toml that was found, if that was not usable.
    pub status: ConfigStatus,
    /// Whether it stands in for the file of a disk, which did not answer. It is not kept as the last good one.
    pub is_substitute: bool,
}

impl CurrentConfig {
    /// What may happen to containers of earlier boots. Only a host.toml that was found at this boot says that one is not wanted any more.
    #[must_use]
    pub fn existing_containers(&self) -> Existing {
        match (&self.status.error, &self.status.source) {
            (None, _) if !self.is_substitute => Existing::Replace,
            (None, _) | (Some(_), Some(_)) => Existing::Keep,
            (Some(_), None) => Existing::Start,
        }
    }
}

/// Finds and checks host.toml. Call it when /var is mounted, which holds the last good configuration. `settled` waits until the drivers of
/// all devices have been loaded and have found their disks; it is called only if the search needs it.
///
/// Never fails: an error in host.toml is printed on the console, and the last good configuration is used, or else the default. If there is
/// no host.toml but there was one before, the last good configuration is used too.
#[must_use]
pub fn load(
    locations: &Locations,
    cmdline: &Cmdline,
    (store, now): (&Store, u64),
    settled: impl FnOnce(),
) -> CurrentConfig {
    let root = Path::new("/");
    let before = place_before(root);
    let found = search::first(locations, settled, before.as_deref());
    take(root, found, before, Memory { store, now, url: fetched(locations, cmdline) })
}

/// What is known of the host's configurations besides the files of this boot.
struct Memory<'a> {
    store: &'a Store,
    /// Seconds since 1970 by the host's clock.
    now: u64,
    /// The address in the kernel's command line.
    url: Option<String>,
}

/// The path of the persistent state, below `root`.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The place of the last good configuration.
fn place_before(root: &Path) -> Option<String> {
    let text = fs::read_to_string(below(root, paths::LAST_GOOD_PLACE)).ok()?;
    Some(text.trim_end().to_owned())
}

/// The configuration in force, with what was found at this boot. Keeps what the next boot needs to know.
fn take(root: &Path, found: Option<Candidate>, before: Option<String>, memory: Memory<'_>) -> CurrentConfig {
    let Memory { store, now, url } = memory;
    let state = generation::begin(store);
    let marker = below(root, paths::SUBSTITUTE_CONFIG);
    let place = found.as_ref().map(|found| found.place.clone());
    let first = match (&url, is_substitute(before.as_deref(), place.as_deref(), marker.exists())) {
        (Some(_), _) => First::Cmdline,
        (None, true) => First::Substitute,
        (None, false) => First::Found,
    };
    let applied = generation::applied(store, &state, found.as_ref(), first);
    if let (Some(Ok(text)), First::Found) = (found.as_ref().map(|found| &found.content), first) {
        generation::keep(store.note_source(text));
    }
    let waiting = url.map(|url| format!("waiting for {url} of the kernel command line"));
    let note = generation::note(&state).or(waiting);
    let fault = match applied {
        Some(Ok(current)) => return CurrentConfig { status: ConfigStatus { note, ..current.status }, ..current },
        Some(Err(fault)) => Some(fault),
        None => None,
    };
    let (mut current, mut new_good) =
        decide(found, before.as_deref(), || read_last_good(&below(root, paths::LAST_GOOD_CONFIG)));
    // The generation that was applied cannot be used: that is the fault to show.
    current.status.error = fault.or(current.status.error);
    if let Some(error) = &current.status.error {
        let instead = match current.status.source.as_deref() {
            None => "the default is used".to_owned(),
            Some(LAST_GOOD) => "the last good host.toml is used".to_owned(),
            Some(place) => format!("the one of {place} is used"),
        };
        console::error(format_args!("{error}; {instead}"));
    }
    if new_good.is_some() && is_substitute(before.as_deref(), current.status.source.as_deref(), marker.exists()) {
        current.is_substitute = true;
        new_good = None;
        let before = before.unwrap_or_default();
        console::warning(format_args!(
            "host.toml: expected the one of {before} as at an earlier boot, found one on the ESP: no container is removed"
        ));
        write(&marker, "");
    } else {
        let _ = fs::remove_file(marker);
    }
    let new_place = current.status.source.as_ref().map(|place| format!("{place}\n"));
    for (path, text) in [
        (paths::LAST_GOOD_CONFIG, new_good.as_ref()),
        (paths::LAST_GOOD_PLACE, new_place.as_ref().filter(|_| new_good.is_some())),
    ] {
        if let Some(text) = text {
            write(&below(root, path), text);
        }
    }
    // The next boot returns to the text of the address, not to that of another source.
    if let (Some(text), Some(place), First::Found) = (&new_good, &current.status.source, first) {
        generation::store_source(store, state, text, place, now);
    }
    current.status.note = note;
    current
}

/// The address of host.toml in the kernel's command line, if the image allows one.
#[must_use]
pub fn fetched(locations: &Locations, cmdline: &Cmdline) -> Option<String> {
    let url = cmdline.sole(cmdline::CONFIG).ok().flatten()?;
    locations.allows(ConfigSource::Cmdline).then(|| without_credentials(url))
}

/// Reads and checks the configuration that hostctl has written for a change while the host runs.
///
/// # Errors
/// The file cannot be read, or is not valid.
pub fn next(path: &Path) -> Result<HostConfig, ConfigError> {
    parse(Candidate { place: "the new configuration".to_owned(), content: locations::read_limited(path) })
        .map(|(config, _)| config)
}

/// Whether the ESP's file stands in for the file of a disk that may come back: at the first boot after one with the disk. At a second such
/// boot in a row (`was_before`), the ESP is the host's new place.
fn is_substitute(before: Option<&str>, source: Option<&str>, was_before: bool) -> bool {
    let was_disk = before.is_some_and(|place| place.starts_with(ConfigSource::Disk.name()));
    was_disk && source == Some(ConfigSource::Esp.name()) && !was_before
}

/// Writes a file of the persistent state.
fn write(path: &Path, text: &str) {
    if let Err(error) = keep(path, text) {
        console::warning(format_args!("{error}"));
    }
}

/// Writes the file if its content differs.
fn keep(path: &Path, text: &str) -> Result<(), berth_file::FileError> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    replace(path, text.as_bytes(), 0o600, Flush::Content)
}

/// Returns the configuration in force, and the text to store as the last good configuration, if there is one. `before` is the place of the
/// last good configuration.
fn decide(
    found: Option<Candidate>,
    before: Option<&str>,
    last_good: impl FnOnce() -> Option<Candidate>,
) -> (CurrentConfig, Option<String>) {
    let (error, last_good) = match found {
        Some(candidate) => {
            let place = candidate.place.clone();
            match parse(candidate) {
                Ok((config, text)) => {
                    let status = ConfigStatus { source: Some(place), ..ConfigStatus::default() };
                    return (CurrentConfig { config, status, is_substitute: false }, Some(text));
                }
                Err(error) => (error.to_string(), last_good()),
            }
        }
        None => {
            let last_good = last_good();
            if last_good.is_none() && before.is_none() {
                return (CurrentConfig::default(), None);
            }
            let before = before.map(|place| format!(": the last one was on {place}")).unwrap_or_default();
            (format!("host.toml: expected one as at an earlier boot, found none{before}"), last_good)
        }
    };
    match last_good.map(parse) {
        Some(Ok((config, _))) => {
            let status = ConfigStatus { source: Some(LAST_GOOD.to_owned()), error: Some(error), note: None };
            (CurrentConfig { config, status, is_substitute: false }, None)
        }
        // The last good file was stored by another version, and may not be valid for this version.
        Some(Err(_)) | None => {
            let status = ConfigStatus { source: None, error: Some(error), note: None };
            (CurrentConfig { status, ..CurrentConfig::default() }, None)
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
    match berth_settings::host_config(&text) {
        Ok(config) => Ok((config, text)),
        Err(fault) => Err(ConfigError::Fault { place, fault: Box::new(fault) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(place: &str, text: &[u8]) -> Option<Candidate> {
        Some(Candidate { place: place.to_owned(), content: Ok(text.to_vec()) })
    }

    #[test]
    fn a_valid_host_toml_is_in_force_and_stored_as_last_good() {
        let (current, kept) =
            decide(candidate("esp", b"hostname = 'a'"), None, || panic!("the last good one is not needed"));
        assert_eq!(current.config.hostname.as_deref(), Some("a"));
        assert_eq!(current.status, ConfigStatus { source: Some("esp".into()), error: None, note: None });
        assert_eq!(kept.as_deref(), Some("hostname = 'a'"));
        assert_eq!(current.existing_containers(), Existing::Replace);
        let (never, kept) = decide(None, None, || None);
        assert_eq!((never.existing_containers(), never, kept), (Existing::Replace, CurrentConfig::default(), None));
    }

    #[test]
    fn a_host_toml_that_was_there_before_stays_in_force_and_no_container_is_removed() {
        let (current, kept) = decide(None, Some("disk cidata"), || candidate(LAST_GOOD, b"hostname = 'old'"));
        assert_eq!((current.config.hostname.as_deref(), kept), (Some("old"), None));
        assert_eq!(current.status.source.as_deref(), Some("last good"));
        assert!(current.status.error.as_deref().unwrap().ends_with("found none: the last one was on disk cidata"));
        assert_eq!(current.existing_containers(), Existing::Keep);
        // The last good one is damaged: its containers are unknown.
        let (current, _) = decide(None, None, || candidate(LAST_GOOD, b"?"));
        assert_eq!((current.status.source.as_ref(), current.existing_containers()), (None, Existing::Start));
        // The last good one is lost.
        let (current, kept) = decide(None, Some("disk cidata"), || None);
        assert!(current.status.error.as_deref().unwrap().ends_with("found none: the last one was on disk cidata"));
        assert_eq!((current.existing_containers(), kept), (Existing::Start, None));
    }

    #[test]
    fn the_file_of_the_esp_stands_in_for_a_disk_at_one_boot() {
        for (before, source, was_before, substitute) in [
            (Some("disk cidata"), Some("esp"), false, true),
            (Some("disk cidata"), Some("esp"), true, false),
            (Some("disk cidata"), Some("disk cidata"), false, false),
            (Some("disk cidata"), Some("fw_cfg"), false, false),
            (Some("esp"), Some("esp"), false, false),
            (None, Some("esp"), false, false),
        ] {
            assert_eq!(is_substitute(before, source, was_before), substitute, "{before:?} {source:?} {was_before}");
        }
        let (mut current, _) = decide(candidate("esp", b""), Some("disk cidata"), || None);
        current.is_substitute = true;
        assert_eq!(current.existing_containers(), Existing::Keep);
    }

    /// A power cut between two boots changes nothing: the marker is what the second one knows.
    #[test]
    fn a_second_boot_without_the_disk_makes_the_esp_the_new_place() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let marker = below(root, paths::SUBSTITUTE_CONFIG);
        let good = || fs::read_to_string(below(root, paths::LAST_GOOD_CONFIG)).unwrap();
        fs::create_dir_all(marker.parent().unwrap()).unwrap();
        let boot = |place: &str, text: &str| {
            let memory = Memory { store: &Store::new(root.join("config")), now: 1, url: None };
            let current = take(root, candidate(place, text.as_bytes()), place_before(root), memory);
            (current.existing_containers(), marker.exists(), good(), place_before(root).unwrap())
        };
        let (disk, esp) = ("hostname = 'disk'", "hostname = 'esp'");
        let row =
            |existing, is_marked, text: &str, place: &str| (existing, is_marked, text.to_owned(), place.to_owned());
        assert_eq!(boot("disk cidata", disk), row(Existing::Replace, false, disk, "disk cidata"));
        // The disk does not answer once: the file of the ESP is used, and not remembered.
        assert_eq!(boot("esp", esp), row(Existing::Keep, true, disk, "disk cidata"));
        assert_eq!(boot("disk cidata", disk), row(Existing::Replace, false, disk, "disk cidata"));
        // Twice in a row.
        assert_eq!(boot("esp", esp), row(Existing::Keep, true, disk, "disk cidata"));
        assert_eq!(boot("esp", esp), row(Existing::Replace, false, esp, "esp"));
        assert_eq!(boot("esp", esp), row(Existing::Replace, false, esp, "esp"));
        // An invalid file on the ESP stands in for nothing.
        assert_eq!(boot("disk cidata", disk).2, disk);
        assert_eq!(boot("esp", "?"), row(Existing::Keep, false, disk, "disk cidata"));
    }

    /// Text → start of the message.
    const WRONG: &[(&[u8], &str)] = &[
        (b"hostname = 'a'\nhostnam = 'b'", "host.toml of fw_cfg, line 2, column 1: unknown key `hostnam`"),
        (
            b"[docker.tls]\nca = 1",
            "host.toml of fw_cfg, line 2, column 6: wrong type: expected a string, found integer `1`",
        ),
        ("\nhostname = \"\u{e4}".as_bytes(), "host.toml of fw_cfg, line 2, column"),
        (b"hostname = '-'", "host.toml of fw_cfg, line 1, column 12: hostname: expected letters"),
        (b"hostname = '\xff'", "host.toml of fw_cfg: expected UTF-8, found an invalid byte at offset 12"),
    ];

    #[test]
    fn an_invalid_host_toml_is_reported_and_the_last_good_one_is_used() {
        for (text, words) in WRONG {
            let (current, kept) =
                decide(candidate("fw_cfg", text), Some("fw_cfg"), || candidate(LAST_GOOD, b"hostname = 'old'"));
            let error = current.status.error.unwrap();
            assert!(error.starts_with(words), "{error}");
            assert_eq!(current.status.source.as_deref(), Some("last good"));
            assert_eq!((current.config.hostname.as_deref(), kept), (Some("old"), None));
        }
        for none_good in [None, candidate(LAST_GOOD, b"x = 1")] {
            let (current, _) = decide(candidate("disk cidata", b"?"), None, || none_good);
            assert_eq!((current.config, current.status.source), (HostConfig::default(), None));
            assert!(current.status.error.is_some());
        }
        let large = vec![b'#'; usize::try_from(MAX_SIZE).unwrap() + 1];
        let error = decide(candidate("esp", &large), None, || None).0.status.error.unwrap();
        assert_eq!(error, "host.toml of esp: expected 1048576 bytes at most, found more");
    }

    #[test]
    fn error_messages_do_not_show_lines_of_a_private_key() {
        let text = "[docker.tls]\nca = ''\ncert = ''\nkey = '''\n-----BEGIN PRIVATE KEY-----\nSECRET\n-----END''\n";
        let error = decide(candidate("esp", text.as_bytes()), None, || None).0.status.error.unwrap();
        assert!(!error.contains("SECRET"), "{error}");
    }
}
