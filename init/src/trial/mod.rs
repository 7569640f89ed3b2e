//! Is this version on trial, and how does it do? What the supervisor judges by, and what is kept of each boot.

pub mod counter;
pub mod esp;
pub mod one_shot;
pub mod store;
pub mod tail;

use berth_contract::{
    boot_report::InitrdReport,
    entry::TRIES,
    fault::PathError,
    image_spec::ImageSpec,
    paths,
    update::{BootRecord, Verdict},
};
use rustix::time::{ClockId, clock_gettime};
use std::{fs, path::Path};
use store::Store;

/// This boot, as it is judged.
#[derive(Clone, Debug)]
pub struct Boot {
    /// What is known of it.
    pub record: BootRecord,
    /// Where it is kept; nowhere when /var is in memory.
    pub store: Option<Store>,
}

impl Boot {
    /// This boot, with nothing known of its verdict.
    #[must_use]
    pub fn begin(image: &ImageSpec, initrd: &InitrdReport) -> Self {
        // Without it the records of two such boots would be one, which is better than no boot.
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let record = BootRecord {
            boot_id: id.trim_end().to_owned(),
            id: image.id.clone(),
            version: image.version.clone(),
            root_hash: initrd.root_hash,
            slot: initrd.slot,
            counter: None,
            started: u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0),
            verdict: Verdict::Pending,
            end: None,
            tail: Vec::new(),
        };
        Self { record, store: None }
    }

    /// Writes it for the first time.
    ///
    /// # Errors
    /// The step that failed.
    pub fn keep(&mut self) -> Result<(), PathError> {
        let store = self.store.insert(Store::new(Path::new(paths::BOOTS)));
        store.write(&self.record)
    }

    /// Whether a bad verdict brings the machine back to the version before. One that is booted more often than it has tries
    /// is all that the boot loader has left: an ill host is better than one that starts anew for ever.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        self.record.counter.is_some_and(|counter| counter.done <= TRIES)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use berth_contract::{
        digest::{RootHash, Sha256},
        disk::Slot,
        entry::BootCounter,
    };

    /// Any boot.
    pub(crate) fn record() -> BootRecord {
        BootRecord {
            boot_id: "5f3a".to_owned(),
            id: "berth-test".parse().unwrap(),
            version: "2".parse().unwrap(),
            root_hash: RootHash(Sha256([7; 32])),
            slot: Slot::B,
            counter: None,
            started: 1000,
            verdict: Verdict::Pending,
            end: None,
            tail: Vec::new(),
        }
    }

    #[test]
    fn what_is_booted_without_tries_again_and_again_is_not_rebooted_for_ever() {
        let on_trial = |counter| Boot { record: BootRecord { counter, ..record() }, store: None }.on_trial();
        let counted = |left, done| on_trial(Some(BootCounter { left, done }));
        assert!(counted(2, 1) && counted(0, 3) && counted(0, 1));
        assert!(!counted(0, 4) && !on_trial(None));
    }
}
