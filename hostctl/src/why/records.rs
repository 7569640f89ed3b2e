//! What earlier boots have left on the disk: their records, and the last words of kernels.

use crate::file::{self, FileError};
use berth_contract::{
    digest::RootHash,
    paths,
    update::{BootRecord, Quarantined},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files that are read in one folder, the newest by name or time.
const MOST: usize = 64;

/// Where they are. The default is a host's own.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folder of boot records.
    pub boots: PathBuf,
    /// Folder of kernel dumps.
    pub pstore: PathBuf,
    /// File of failed versions.
    pub quarantine: PathBuf,
    /// The running boot's id.
    pub boot_id: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            boots: paths::BOOTS.into(),
            pstore: paths::PSTORE.into(),
            quarantine: paths::QUARANTINE.into(),
            boot_id: "/proc/sys/kernel/random/boot_id".into(),
        }
    }
}

/// The last words of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dump {
    /// Seconds since 1970 by the machine's clock.
    pub at: u64,
    /// `Panic`, `Oops`, ...
    pub reason: String,
    /// The log, oldest line first.
    pub lines: Vec<String>,
}

/// All that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Boots before the running one, the oldest first.
    pub boots: Vec<BootRecord>,
    /// The running one, if it has a record.
    pub running: Option<BootRecord>,
    /// The oldest first.
    pub dumps: Vec<Dump>,
    /// Versions that have failed on this host.
    pub quarantine: Vec<Quarantined>,
}

impl Records {
    /// Reads them. A record that cannot be understood (an older or newer init's) is passed over.
    ///
    /// # Errors
    /// A folder or file that is there and cannot be read.
    pub fn read(places: &Places) -> Result<Self, FileError> {
        let parse = |path: PathBuf| Ok::<_, FileError>(serde_json::from_slice::<BootRecord>(&file::read(&path)?).ok());
        let mut boots = Vec::new();
        for path in files(&places.boots, "json")? {
            boots.extend(parse(path)?);
        }
        boots.sort_by_key(|boot| boot.started);
        let id = fs::read_to_string(&places.boot_id).unwrap_or_default();
        let index = boots.iter().position(|boot| boot.boot_id == id.trim_end());
        let running = index.map(|index| boots.remove(index));
        let mut dumps = Vec::new();
        for path in files(&places.pstore, "txt")? {
            dumps.push(dump(&path, &String::from_utf8_lossy(&file::read(&path)?)));
        }
        dumps.sort_by_key(|dump| dump.at);
        let quarantine = file::json_if_there(&places.quarantine)?.unwrap_or_default();
        Ok(Self { boots, running, dumps, quarantine })
    }

    /// Dumps of one version: those whose log names its root hash (where it is not known: one that no version on record has, or
    /// any but the running one's not older than `since`), and those that name none and are not older than `since`, in seconds
    /// since 1970.
    #[must_use]
    pub fn dumps_of(&self, root_hash: Option<&RootHash>, since: u64) -> Vec<&Dump> {
        let (its, running) =
            (root_hash.map(ToString::to_string), self.running.as_ref().map(|boot| boot.root_hash.to_string()));
        let failed = self.quarantine.iter().map(|failed| &failed.root_hash);
        let known: Vec<String> =
            self.boots.iter().map(|boot| &boot.root_hash).chain(failed).map(ToString::to_string).collect();
        let on_record = |named: &str| known.iter().any(|known| known == named);
        let of = |dump: &&Dump| match (dump.root_hash(), &its) {
            (Some(named), Some(its)) => named == its,
            (Some(named), None) => running.as_deref() != Some(named) && (dump.at >= since || !on_record(named)),
            (None, _) => dump.at >= since,
        };
        self.dumps.iter().filter(of).collect()
    }
}

impl Dump {
    /// The root hash of the version that ran, where the log reaches back to the kernel's command line or to init's line about it.
    #[must_use]
    pub fn root_hash(&self) -> Option<&str> {
        self.lines.iter().rev().find_map(|line| {
            let after = line.split_once("roothash=").or_else(|| line.split_once("berth: root "))?.1;
            after.get(..64).filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))
        })
    }

    /// The line that says why: that of the panic, or else the last one. A machine that is reset while it writes keeps the end alone.
    #[must_use]
    pub fn headline(&self) -> String {
        let text = |line: &String| line.rsplit_once("] ").map_or(line.as_str(), |(_, text)| text).trim().to_owned();
        match (self.lines.iter().rev().find(|line| line.contains("Kernel panic")), self.lines.last()) {
            (Some(panic), _) => text(panic),
            (None, Some(last)) if self.reason == "Panic" => {
                format!("Kernel panic (the line that says why was not kept; the last one: {})", text(last))
            }
            (None, last) => last.map(text).unwrap_or_default(),
        }
    }
}

fn dump(path: &Path, text: &str) -> Dump {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let at = name.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let mut lines = text.lines();
    let reason = printable(lines.next().unwrap_or_default());
    Dump { at, reason, lines: lines.map(printable).collect() }
}

/// A kernel's log may hold anything.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// Files of a folder with this ending, the last [`MOST`] by name; none when there is no folder.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FileError::Read { path: folder.to_owned(), source }),
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    paths.sort();
    Ok(paths.split_off(paths.len().saturating_sub(MOST)))
}
