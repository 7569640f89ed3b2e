//! The last boots on the disk, `BOOT_ID.json` each.

use crate::{
    console,
    fault::{At, PathError},
};
use berth_contract::update::BootRecord;
use berth_file::{Flush, replace};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Boots that are kept.
const KEPT: usize = 10;

/// Where this boot's record is written, again with each change.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    /// Changes so far: the latest must not be overwritten by one that was slower.
    changes: u64,
    written: Arc<Mutex<u64>>,
}

impl Store {
    /// In this folder, which is made with the first record.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), changes: 0, written: Arc::default() }
    }

    /// Writes the record: after a cut there is the old one or the new one. Oldest records of other boots go.
    ///
    /// # Errors
    /// The step that failed.
    pub fn write(&self, record: &BootRecord) -> Result<(), PathError> {
        fs::create_dir_all(&self.folder).at("create", &self.folder)?;
        let path = self.folder.join(format!("{}.json", record.boot_id));
        let bytes = serde_json::to_vec_pretty(record).map_err(std::io::Error::from).at("write", &path)?;
        replace(&path, &bytes, 0o600, Flush::Content)?;
        self.forget_oldest(&path)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).at("sync", &self.folder)
    }

    /// The same in a thread of its own: PID 1 does not wait for a disk.
    pub fn write_beside(&mut self, record: &BootRecord) {
        self.changes += 1;
        let (store, record) = (self.clone(), record.clone());
        let write = move || {
            let mut written = store.written.lock().unwrap_or_else(PoisonError::into_inner);
            if *written < store.changes {
                if let Err(error) = store.write(&record) {
                    console::warning(format_args!("boot record: {error}"));
                }
                *written = store.changes;
            }
        };
        if let Err(error) = thread::Builder::new().name("boot-record".to_owned()).spawn(write) {
            console::warning(format_args!("boot record: no thread: {error}"));
        }
    }

    /// Waits until the last change is on the disk, but no longer than `limit`.
    pub fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let is_written = || self.written.try_lock().is_ok_and(|written| *written == self.changes);
        while !is_written() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn forget_oldest(&self, newest: &Path) -> Result<(), PathError> {
        let mut others: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.folder)
            .at("list", &self.folder)?
            .flatten()
            .filter(|entry| entry.path() != newest)
            .map(|entry| {
                (entry.metadata().and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
            })
            .collect();
        others.sort();
        let surplus = (others.len() + 1).saturating_sub(KEPT);
        for (_, path) in &others[..surplus] {
            fs::remove_file(path).at("remove", path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::record, *};
    use berth_contract::update::Verdict;

    #[test]
    fn the_last_ten_are_kept_and_a_change_replaces_its_boots_record() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("boots");
        let store = Store::new(&folder);
        for number in 0_u64..13 {
            let mut record = record();
            record.boot_id = format!("boot-{number}");
            store.write(&record).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + number);
            File::open(folder.join(format!("boot-{number}.json"))).unwrap().set_modified(time).unwrap();
        }
        let mut changed = record();
        (changed.boot_id, changed.verdict) = ("boot-12".to_owned(), Verdict::Good);
        store.write(&changed).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), KEPT);
        assert!(!names.contains(&"boot-2.json".to_owned()) && names.contains(&"boot-3.json".to_owned()), "{names:?}");
        let read: BootRecord = serde_json::from_slice(&fs::read(folder.join("boot-12.json")).unwrap()).unwrap();
        assert_eq!(read, changed);
    }

    #[test]
    fn the_last_change_stays_whatever_thread_is_slow() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(dir.path());
        for number in 0..50 {
            let mut record = record();
            record.started = number;
            store.write_beside(&record);
        }
        let path = dir.path().join(format!("{}.json", record().boot_id));
        store.wait(Duration::from_secs(60));
        let started = || Some(serde_json::from_slice::<BootRecord>(&fs::read(&path).ok()?).ok()?.started);
        assert_eq!(started(), Some(49));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(started(), Some(49));
        // One that hangs is not waited for for ever.
        store.changes += 1;
        store.wait(Duration::from_millis(20));
    }
}
