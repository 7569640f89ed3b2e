//! The store of the configuration's generations ([`berth_contract::generation`]). init reads and adds generations at boot, hostctl while the
//! host runs.
//!
//! `state.json` is written last: a power cut before leaves the old state, and a generation that nothing refers to.
#![deny(missing_docs)]

use berth_contract::{
    generation::{ConfigState, Generation, Origin},
    host_config::MAX_SIZE,
    paths::{GENERATIONS, MAX_JSON},
};
use berth_file::{FileError, Flush, read, read_json, replace};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// How many generations are kept, besides the one in force and one that is tried.
pub const KEPT: usize = 10;

/// The file with the text that the sources had at this boot, or at the last boot with one.
const SOURCE: &str = "source.toml";
/// The same when the current generation was applied: as long as the sources have this text, the applied generation is in force.
const OVERRIDDEN: &str = "overridden.toml";
const STATE: &str = "state.json";

/// The store of a host.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(GENERATIONS)
    }
}

impl Store {
    /// The store in a folder. The folder is made when something is stored.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// What is in force. Without a file: nothing.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn state(&self) -> Result<ConfigState, FileError> {
        match read_json(&self.folder.join(STATE), MAX_JSON) {
            Err(error) if error.is_missing() => Ok(ConfigState::default()),
            other => other,
        }
    }

    /// Replaces the state. This is the commit of every change.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set_state(&self, state: &ConfigState) -> Result<(), FileError> {
        self.write_json(STATE, state)
    }

    /// All generations whose files are complete, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Generation> {
        let mut all: Vec<Generation> =
            self.numbers().into_iter().filter_map(|number| self.generation(number)).collect();
        all.sort_by_key(|generation| generation.number);
        all
    }

    /// One generation, if it exists.
    #[must_use]
    pub fn generation(&self, number: u32) -> Option<Generation> {
        read_json(&self.folder.join(format!("{number}.json")), MAX_JSON).ok()
    }

    /// The text of a generation.
    ///
    /// # Errors
    /// The generation does not exist, or its file cannot be read.
    pub fn text(&self, number: u32) -> Result<String, FileError> {
        self.read_text(&format!("{number}.toml"))
    }

    /// The text of the generation in force; empty if there is none.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn current_text(&self, state: &ConfigState) -> Result<String, FileError> {
        state.current.map_or_else(|| Ok(String::new()), |number| self.text(number))
    }

    /// Stores a generation that is not in force yet, and removes the oldest ones that `state` does not need. Returns its number.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn add(&self, text: &str, origin: Origin, at: u64, state: &ConfigState) -> Result<u32, FileError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(|source| FileError::Io {
            doing: "create",
            path: self.folder.clone(),
            source,
        })?;
        let number = self.numbers().into_iter().max().unwrap_or(0).saturating_add(1);
        replace(&self.folder.join(format!("{number}.toml")), text.as_bytes(), 0o600, Flush::ContentAndName)?;
        self.write_json(&format!("{number}.json"), &Generation { number, at, origin })?;
        self.prune(number, state);
        Ok(number)
    }

    /// Keeps the text that the sources have at this boot.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_source(&self, text: &[u8]) -> Result<(), FileError> {
        let path = self.folder.join(SOURCE);
        if fs::read(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder).map_err(|source| FileError::Io {
            doing: "create",
            path: self.folder.clone(),
            source,
        })?;
        replace(&path, text, 0o600, Flush::ContentAndName)
    }

    /// From now on the sources' text of this boot has less precedence than an applied generation.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn override_source(&self) -> Result<(), FileError> {
        match read(&self.folder.join(SOURCE), MAX_SIZE + 1) {
            Ok(text) => replace(&self.folder.join(OVERRIDDEN), &text, 0o600, Flush::ContentAndName),
            Err(error) if error.is_missing() => match fs::remove_file(self.folder.join(OVERRIDDEN)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    Err(FileError::Io { doing: "remove", path: self.folder.join(OVERRIDDEN), source })
                }
                _ => Ok(()),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the sources have another text than when the current generation was applied.
    #[must_use]
    pub fn is_new_source(&self, text: &[u8]) -> bool {
        read(&self.folder.join(OVERRIDDEN), MAX_SIZE + 1).ok().is_none_or(|old| old != text)
    }

    fn numbers(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".toml")?.parse().ok();
        entries.filter_map(number).collect()
    }

    /// Removes the oldest generations. An error is ignored: the next call tries again.
    fn prune(&self, newest: u32, state: &ConfigState) {
        let mut numbers = self.numbers();
        let is_needed = |number: u32| {
            number == newest
                || state.current == Some(number)
                || state.trying.as_ref().is_some_and(|trying| trying.generation == number)
        };
        numbers.retain(|number| !is_needed(*number));
        numbers.sort_unstable();
        for number in &numbers[..numbers.len().saturating_sub(KEPT)] {
            let _ = fs::remove_file(self.folder.join(format!("{number}.json")));
            let _ = fs::remove_file(self.folder.join(format!("{number}.toml")));
        }
    }

    fn read_text(&self, name: &str) -> Result<String, FileError> {
        let path = self.folder.join(name);
        let bytes = read(&path, MAX_SIZE)?;
        String::from_utf8(bytes).map_err(|error| FileError::Io {
            doing: "read",
            path,
            source: io::Error::new(io::ErrorKind::InvalidData, error),
        })
    }

    fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<(), FileError> {
        let path: &Path = &self.folder.join(name);
        let text = serde_json::to_vec(value).map_err(|source| FileError::Json { path: path.to_owned(), source })?;
        replace(path, &text, 0o600, Flush::ContentAndName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::generation::Trying;

    fn by(who: &str) -> Origin {
        Origin::Apply { by: who.to_owned() }
    }

    #[test]
    fn generations_are_numbered_and_the_oldest_are_removed_but_not_those_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("config"));
        assert_eq!((store.state().unwrap(), store.list()), (ConfigState::default(), Vec::new()));
        let mut state = ConfigState::default();
        assert_eq!(store.current_text(&state).unwrap(), "");
        for number in 1..=20 {
            assert_eq!(store.add(&format!("# {number}"), by("a"), 5, &state).unwrap(), number);
            if number == 2 {
                state.current = Some(2);
                state.trying =
                    Some(Trying { generation: 3, until_us: 9, default_route: true, resolved: Some("x".into()) });
                store.set_state(&state).unwrap();
            }
        }
        assert_eq!(store.state().unwrap(), state);
        let numbers: Vec<u32> = store.list().iter().map(|generation| generation.number).collect();
        assert_eq!(numbers, [vec![2, 3], (10..=20).collect()].concat());
        assert_eq!(store.text(20).unwrap(), "# 20");
        assert_eq!(store.current_text(&state).unwrap(), "# 2");
        assert!(store.text(4).unwrap_err().is_missing());
        // A power cut between the two files of a generation: it is not listed, and its number is not used again.
        fs::remove_file(dir.path().join("config/20.json")).unwrap();
        assert_eq!(store.list().last().unwrap().number, 19);
        assert_eq!(store.add("", by("a"), 5, &state).unwrap(), 21);
    }

    #[test]
    fn an_applied_generation_wins_until_the_sources_have_another_text() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.override_source().unwrap();
        assert!(store.is_new_source(b"a"), "there was no source when the generation was applied");
        store.note_source(b"a").unwrap();
        store.override_source().unwrap();
        assert!(!store.is_new_source(b"a") && store.is_new_source(b"b"));
        store.note_source(b"b").unwrap();
        assert!(store.is_new_source(b"b"));
    }

    #[test]
    fn a_damaged_state_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(STATE), "{").unwrap();
        assert!(Store::new(dir.path()).state().is_err());
    }
}
