//! Upgrades: the room on the ESP, both slots, and failures.

use super::kit::{Esp, SIZE, bless, hash, quarantine, rollback, running, uki, upgrade};
use berth_contract::{
    disk::Slot,
    entry::BootEntry,
    update::{EntryState, Quarantined},
};
use berth_formats::fat::{Disk, Volume};
use hostctl::entries::{Blessing, Entries, EntriesError, EspFile, FailedVersions, FailureCause, Running, SlotContent};
use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
};

#[test]
fn upgrades_alternate_between_the_slots() {
    let esp = Esp::new(&["a_1.efi", "memtest.efi", "rescue_13.efi"]);
    upgrade(&esp, "1", "2");
    assert_eq!(esp.names(), ["a_1.efi", "a_2+3.efi", "memtest.efi", "rescue_13.efi"]);
    assert_eq!(esp.boot(), "a_2+2-1.efi");
    let refused = esp.open().clear_idle(&running("2"), None).unwrap_err();
    assert!(matches!(refused, EntriesError::Unblessed { state: EntryState::Trial(_), .. }) && refused.hint().is_some());
    assert_eq!((bless(&esp, "2"), bless(&esp, "2")), (Blessing::Given, Blessing::Before));
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi", "memtest.efi", "rescue_13.efi"]);
    upgrade(&esp, "2", "3");
    assert_eq!(esp.names(), ["a_2.efi", "a_3+3.efi", "memtest.efi", "rescue_13.efi"]);
    // It fails, and is not booted again.
    let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
    assert_eq!(tries, ["a_3+2-1.efi", "a_3+1-2.efi", "a_3+0-3.efi", "a_2.efi"]);
    upgrade(&esp, "2", "4");
    assert_eq!(esp.names(), ["a_2.efi", "a_4+3.efi", "memtest.efi", "rescue_13.efi"]);
}

/// A disk with unreadable sectors.
struct Rotten {
    file: File,
    bad: Range<u64>,
}

impl Disk for Rotten {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        if at < self.bad.end && self.bad.start < at + bytes.len() as u64 {
            return Err(io::Error::other("bad sector"));
        }
        self.file.read_exact_at(bytes, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_unreadable_image_is_listed_by_name_and_does_not_hide_others() {
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    let (bytes, image) = (fs::read(&esp.path).unwrap(), uki("2"));
    let at = bytes.windows(image.len()).position(|window| window == image).unwrap() as u64;
    let volume = Volume::open(Rotten { file: File::open(&esp.path).unwrap(), bad: at..at + 512 }).unwrap();
    let all = EspFile::all(&volume, &esp.path).unwrap();
    let known: Vec<_> = all.iter().map(|found| (found.file.as_str(), found.root_hash(), found.state())).collect();
    assert_eq!(known, [("a_1.efi", Some(hash("1")), EntryState::Blessed), ("a_2.efi", None, EntryState::Blessed)]);
}

#[test]
fn failed_versions_are_noted_and_stray_images_removed() {
    let dir = tempfile::tempdir().unwrap();
    let esp = Esp::new(&["a_2.efi", "a_3+0-3.efi", "a_4.staged", "a_5.staged", "x.efi"]);
    let slots = [
        SlotContent { slot: Slot::A, root_hash: Some(hash("2")) },
        SlotContent { slot: Slot::B, root_hash: Some(hash("4")) },
    ];
    let note = |word: &'static str, anew: bool| {
        let cause = |entry: &BootEntry, known: Option<&Quarantined>| {
            (known.is_none() || anew).then(|| FailureCause::Version(format!("{word} {}", entry.version)))
        };
        esp.open().note_failed(&running("2"), &mut quarantine(dir.path()), 7, cause).unwrap()
    };
    let noted = note("why", false);
    assert_eq!(esp.names().len(), 5, "an interrupted upgrade may continue with its staged image");
    assert_eq!(esp.open().remove_stray_images(&slots).unwrap(), ["a_5.staged"]);
    assert_eq!(noted.quarantined.len(), 1);
    let failed = &quarantine(dir.path());
    let noted = failed.find(&"a".parse().unwrap(), &"3".parse().unwrap(), hash("3")).unwrap();
    assert_eq!((noted.cause.as_str(), noted.tries, noted.at), ("why 3", 3, 7));
    assert_eq!(note("why", false), FailedVersions::default(), "once");
    assert_eq!(note("again", true).quarantined.len(), 1);
    let causes: Vec<_> = quarantine(dir.path()).list().iter().map(|it| it.cause.clone()).collect();
    assert_eq!(causes, ["again 3"], "in place of the old one");
    assert_eq!(esp.names(), ["a_2.efi", "a_3+0-3.efi", "a_4.staged", "x.efi"]);
    // The running version is on its last try, and the other one was set aside.
    let esp = Esp::new(&["a_1+0-3.efi", "a_2+0.efi"]);
    let mut failed = quarantine(&dir.path().join("other"));
    let noted = esp
        .open()
        .note_failed(&running("1"), &mut failed, 7, |_, _| Some(FailureCause::Version(String::new())))
        .unwrap();
    assert_eq!(noted, FailedVersions::default());
    // The environment was the cause, so the version may be installed again.
    let esp = Esp::new(&["a_2.efi", "a_3+0-3.efi"]);
    let noted = esp
        .open()
        .note_failed(&running("2"), &mut failed, 7, |_, _| Some(FailureCause::Environment("no route".into())))
        .unwrap();
    assert_eq!((noted.set_aside.len(), noted.quarantined.len(), failed.list().len()), (1, 0, 0));
    assert_eq!((esp.names(), esp.next()), (vec!["a_2.efi".into(), "a_3+0.efi".into()], "a_2.efi".into()));
    rollback(&esp, "2", "3").unwrap();
}

#[test]
fn the_room_on_the_esp_is_checked_before_an_upgrade() {
    let esp = Esp::new(&["a_1+0-3.efi", "a_2.efi"]);
    let entries = esp.open();
    let free = match entries.check_room(&running("2"), SIZE) {
        Err(error @ EntriesError::Full { free, .. }) => {
            assert!(error.to_string().contains(&free.to_string()) && error.hint().is_some());
            free
        }
        other => panic!("{other:?}"),
    };
    entries.check_room(&running("2"), free - 512).unwrap();
    // The room of the old entry counts as free, because the entry is removed first.
    let before = free - entries.list().unwrap()[0].size;
    let (version, image) = ("3".parse().unwrap(), vec![0; usize::try_from(free - 512).unwrap()]);
    let mut entries = esp.open();
    let full = entries.stage(&running("2").id, &version, &image).unwrap_err();
    assert!(matches!(full, EntriesError::Full { free, .. } if free == before), "{full}");
    entries.clear_idle(&running("2"), None).unwrap();
    entries.stage(&running("2").id, &version, &image).unwrap();
    assert_eq!(esp.names(), ["a_2.efi", "a_3.staged"]);
    // A staged image of the same version stays if requested. All others are removed.
    let keep = esp.open().clear_idle(&running("2"), Some((&running("2").id, &version))).unwrap();
    assert!(keep.is_empty());
    assert_eq!(esp.open().clear_idle(&running("2"), None).unwrap(), ["a_3.staged"]);
}

#[test]
fn the_running_version_must_have_an_entry() {
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    let elsewhere = Running { root_hash: hash("9"), ..running("2") };
    for refused in [
        esp.open().clear_idle(&elsewhere, None).map(drop),
        esp.open().bless(&elsewhere).map(drop),
        esp.open().blessed(&elsewhere).map(drop),
        esp.open().running_uki(&elsewhere).map(drop),
    ] {
        assert!(matches!(refused, Err(EntriesError::NoRunning { .. })), "{refused:?}");
    }
    assert!(esp.open().running_uki(&running("2")).unwrap() == uki("2"));
    let mut entries = esp.open();
    entries.stage(&running("2").id, &running("2").version, &uki("2")).unwrap();
    let same = entries.commit(&running("2").id, &running("2").version, &running("2"));
    assert!(matches!(same, Err(EntriesError::SameVersion { .. })));
    assert!(Entries::open(Path::new("/dev/null")).is_err());
}

#[test]
fn a_forgiven_version_does_not_count_as_failed() {
    let esp = Esp::new(&["a_2.efi", "a_3+0-3.efi", "b_1+0-3.efi"]);
    esp.open().forgive(&running("2")).unwrap();
    assert_eq!(esp.names(), ["a_2.efi", "a_3+0.efi", "b_1+0-3.efi"]);
    assert!(!esp.open().has_trial().unwrap() && Esp::new(&["a_2.efi", "a_3+3.efi"]).open().has_trial().unwrap());
}
