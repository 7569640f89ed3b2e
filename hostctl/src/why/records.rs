//! Records that earlier boots have left on the disk, and the last messages of kernels that panicked.

use crate::file::{self, FileError};
use berth_contract::{
    boot_report::{LOG_TAG, ROOT_LINE},
    chain::Chain,
    cmdline::ROOTHASH,
    digest::RootHash,
    paths,
    update::{BootRecord, Quarantined, SlotCheck},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Most files that are read in one folder: the newest, by name.
const MOST: usize = 64;

/// Paths of the records. The default is those of a host.
#[derive(Clone, Debug)]
pub struct RecordPaths {
    /// Folder of boot records.
    pub boots: PathBuf,
    /// Folder of kernel dumps.
    pub pstore: PathBuf,
    /// File of failed versions.
    pub quarantine: PathBuf,
    /// The running boot's id.
    pub boot_id: PathBuf,
    /// File of the slots' checks.
    pub slot_checks: PathBuf,
}

impl Default for RecordPaths {
    fn default() -> Self {
        Self {
            boots: paths::BOOTS.into(),
            pstore: paths::PSTORE.into(),
            quarantine: paths::QUARANTINE.into(),
            boot_id: "/proc/sys/kernel/random/boot_id".into(),
            slot_checks: paths::SLOT_CHECKS.into(),
        }
    }
}

/// A kernel log that was kept over a reboot (pstore).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Dump {
    /// Seconds since 1970 by the host's clock.
    pub at: u64,
    /// `Panic`, `Oops`, ...
    pub reason: String,
    /// The log, oldest line first.
    pub lines: Vec<String>,
}

/// All records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Boots before the running one, oldest first.
    pub boots: Vec<BootRecord>,
    /// The running boot, if it has a record.
    pub running: Option<BootRecord>,
    /// Kernel dumps, oldest first.
    pub dumps: Vec<Dump>,
    /// Versions that have failed on this host.
    pub quarantine: Vec<Quarantined>,
    /// The slots in which damage was found.
    pub damaged_slots: Vec<SlotCheck>,
    /// Files and folders that cannot be read and count as empty: one sentence each.
    pub damaged: Vec<String>,
}

impl Records {
    /// Reads all records. A record of an older or newer init that cannot be parsed is ignored. A file or folder that cannot be read counts as
    /// empty, so that one bad sector does not hide all records.
    #[must_use]
    pub fn read(at: &RecordPaths) -> Self {
        let mut damaged = Vec::new();
        let mut whole = |result: Result<Vec<u8>, FileError>| {
            result.map_err(|error| damaged.push(Chain(&error).to_string())).unwrap_or_default()
        };
        let (records, dumped) = (files(&at.boots, "json"), files(&at.pstore, "txt"));
        let parse = |bytes: Vec<u8>| serde_json::from_slice::<BootRecord>(&bytes).ok();
        let mut boots: Vec<BootRecord> =
            records.iter().flatten().filter_map(|path| parse(whole(file::read(path)))).collect();
        boots.sort_by_key(|boot| boot.started);
        let id = fs::read_to_string(&at.boot_id).unwrap_or_default();
        let index = boots.iter().position(|boot| boot.boot_id == id.trim_end());
        let running = index.map(|index| boots.remove(index));
        let mut dumps: Vec<Dump> = dumped
            .iter()
            .flatten()
            .map(|path| dump(path, &String::from_utf8_lossy(&whole(file::read(path)))))
            .collect();
        dumps.sort_by_key(|dump| dump.at);
        let (quarantine, damage) = file::json_or_empty(&at.quarantine);
        let faults = [records.err(), dumped.err(), damage].into_iter().flatten();
        damaged.extend(faults.map(|error| Chain(&error).to_string()));
        let (mut damaged_slots, damage) = file::json_or_empty::<Vec<SlotCheck>>(&at.slot_checks);
        damaged.extend(damage.map(|error| Chain(&error).to_string()));
        damaged_slots.retain(SlotCheck::has_found);
        Self { boots, running, dumps, quarantine, damaged, damaged_slots }
    }

    /// The dumps of one version. If its root hash is known: dumps whose log names it. If not: dumps that name a root hash which is not the
    /// running version's, and which no record has or which are not older than `since`. In both cases also dumps that name no root hash and
    /// are not older than `since`, in seconds since 1970.
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
    /// The root hash of the version that ran. `None` if the log does not reach back to the kernel's command line or to init's line about
    /// the root.
    #[must_use]
    pub fn root_hash(&self) -> Option<&str> {
        let (word, ours) = (format!("{ROOTHASH}="), format!("{LOG_TAG}{ROOT_LINE}"));
        self.lines.iter().rev().find_map(|line| {
            let after = line.split_once(&word).or_else(|| line.split_once(&ours))?.1;
            after.get(..64).filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))
        })
    }

    /// The line that gives the reason: the panic line, or else the last line. If the host was reset while the dump was written, only the
    /// end of the log is kept.
    #[must_use]
    pub fn headline(&self) -> String {
        let text = |line: &String| line.rsplit_once("] ").map_or(line.as_str(), |(_, text)| text).trim().to_owned();
        match (self.lines.iter().rev().find(|line| line.contains("Kernel panic")), self.lines.last()) {
            (Some(panic), _) => text(panic),
            (None, Some(last)) if self.reason == "Panic" => {
                format!("Kernel panic (the line with the reason was not kept; last line: {})", text(last))
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

/// Removes control characters, because a kernel log may contain any bytes.
fn printable(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

/// The last [`MOST`] files of a folder with this extension, by name; none when there is no folder.
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
