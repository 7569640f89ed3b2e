//! Boot records on the disk: a file `BOOT_ID.json` for each of the last boots.

use crate::console;
use berth_contract::{
    fault::{At, PathError},
    update::BootRecord,
};
use berth_file::{Flush, replace};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Number of records that are kept.
const KEPT: usize = 10;

/// Writes the record of this boot, again after each change.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    /// Number of changes so far. A thread with an older record must not overwrite a newer one.
    changes: u64,
    written: Arc<Mutex<u64>>,
}

impl Store {
    /// A store in `folder`. The first write makes the folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), changes: 0, written: Arc::default() }
    }

    /// Writes the record. After a crash the file has the old or the new record. Removes the oldest records of other boots.
    ///
    /// # Errors
    /// The step that failed.
    pub fn write(&self, record: &BootRecord) -> Result<(), PathError> {
        fs::create_dir_all(&self.folder).at("create", &self.folder)?;
        let path = self.folder.join(format!("{}.json", record.boot_id));
        let bytes = serde_json::to_vec_pretty(record).map_err(std::io::Error::from).at("write", &path)?;
        replace(&path, &bytes, 0o600, Flush::Content)?;
        self.remove_oldest(&path)?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).at("sync", &self.folder)
    }

    /// Like [`Store::write`], but in a thread, because PID 1 must not wait for a disk.
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
            console::warning(format_args!("boot record: cannot start a thread: {error}"));
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

    fn remove_oldest(&self, newest: &Path) -> Result<(), PathError> {
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
    fn the_last_ten_records_are_kept_and_a_change_replaces_the_record_of_its_boot() {
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
    fn the_last_change_wins_even_if_older_threads_are_slower() {
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
        // A write that hangs is waited for only up to the limit.
        store.changes += 1;
        store.wait(Duration::from_millis(20));
    }
}
