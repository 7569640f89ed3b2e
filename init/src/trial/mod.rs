//! The record of this boot: whether the version is on trial, the verdict, and how the boot ended.

pub mod counter;
pub mod esp;
pub mod one_shot;
pub mod standby;
pub mod store;
pub mod tail;

use crate::console;
use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    entry::{BootEntry, TRIES},
    fault::PathError,
    image_spec::ImageSpec,
    paths,
    update::{BootRecord, Verdict},
};
use rustix::time::{ClockId, clock_gettime};
use std::{fs, path::Path};
use store::Store;

/// The record of this boot, and where it is stored.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The record.
    pub record: BootRecord,
    /// Where the record is stored. `None` when /var is in memory.
    pub store: Option<Store>,
    /// The disk from which the host runs: a node like `/dev/vda`.
    pub disk: String,
    /// The entry that the initrd has requested for the next boot. The verdict takes the request back.
    pub fallback: Option<BootEntry>,
}

impl Boot {
    /// Starts the record of this boot. The verdict is pending.
    #[must_use]
    pub fn begin(image: &ImageSpec, initrd: &InitrdReport) -> Self {
        // An error is ignored: the record of another boot without a boot id would be overwritten, but the boot continues.
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
        let fallback = match &initrd.next_boot {
            NextBoot::Fallback(entry) => Some(entry.clone()),
            NextBoot::Usual | NextBoot::InsteadOf(_) => None,
        };
        Self { record, store: None, disk: initrd.disk.clone(), fallback }
    }

    /// Tells the firmware that this boot has come to its verdict, that the entries may have changed since, or that the boot ends in order.
    pub fn settle(&mut self) {
        if let Err(error) = one_shot::settle(self.settlement()) {
            console::warning(format_args!("cannot start a thread for the firmware's variables: {error}"));
        }
    }

    /// After a healthy verdict, what the firmware starts is chosen anew each time: an upgrade, a rollback or a repair has perhaps changed the
    /// entries. An older version that comes next could not correct a wrong choice.
    fn settlement(&mut self) -> one_shot::Settlement {
        let BootRecord { id, version, verdict, .. } = &self.record;
        let healthy = (*verdict == Verdict::Good).then(|| (version.clone(), self.disk.clone()));
        one_shot::Settlement { id: id.clone(), disarm: self.fallback.take().is_some(), healthy }
    }

    /// Writes the record for the first time.
    ///
    /// # Errors
    /// The step that failed.
    pub fn keep(&mut self) -> Result<(), PathError> {
        let store = self.store.insert(Store::new(Path::new(paths::BOOTS)));
        store.write(&self.record)
    }

    /// Whether the version is on trial: a bad verdict reboots the host, and finally the boot loader takes the earlier version. A version
    /// that was booted more often than it has tries is not on trial. The boot loader has no other entry then, and an unhealthy host is
    /// better than one that reboots for ever.
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
        subject::Subject,
        update::BootEnd,
    };

    /// A record for tests.
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
    fn a_version_that_was_booted_more_often_than_it_has_tries_is_not_on_trial() {
        let on_trial = |counter| {
            Boot { record: BootRecord { counter, ..record() }, store: None, disk: String::new(), fallback: None }
                .on_trial()
        };
        let counted = |left, done| on_trial(Some(BootCounter { left, done }));
        assert!(counted(2, 1) && counted(0, 3) && counted(0, 1));
        assert!(!counted(0, 4) && !on_trial(None));
    }

    #[test]
    fn the_choice_is_made_anew_at_the_end_of_a_healthy_boot() {
        let bad = Verdict::Bad { what: Subject::Bless, why: String::new() };
        for (verdict, is_healthy) in [(Verdict::Good, true), (Verdict::Pending, false), (bad, false)] {
            let fallback = Some("berth-test_1.efi".parse().unwrap());
            let mut boot = Boot { record: record(), store: None, disk: "/dev/vda".to_owned(), fallback };
            boot.record.verdict = verdict;
            for end in [None, Some(BootEnd::Reboot)] {
                boot.record.end.clone_from(&end);
                let settlement = boot.settlement();
                assert_eq!(settlement.healthy.is_some(), is_healthy, "{:?}", boot.record);
                assert_eq!(settlement.disarm, end.is_none(), "the request is taken back once");
            }
        }
    }
}
