//! Upgrades: the room they need, their slots, their failures.

use super::kit::{Esp, SIZE, bless, hash, quarantine, rollback, running, uki, upgrade};
use berth_contract::{
    disk::Slot,
    entry::BootEntry,
    update::{EntryState, Quarantined},
};
use berth_formats::fat::{Disk, Volume};
use hostctl::entries::{Blessing, Cause, Entries, EntriesError, Found, Running, Settled, SlotContent};
use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
};

#[test]
fn upgrades_go_back_and_forth_between_the_slots() {
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
    // It fails, and is not heard of again.
    let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
    assert_eq!(tries, ["a_3+2-1.efi", "a_3+1-2.efi", "a_3+0-3.efi", "a_2.efi"]);
    upgrade(&esp, "2", "4");
    assert_eq!(esp.names(), ["a_2.efi", "a_4+3.efi", "memtest.efi", "rescue_13.efi"]);
}

/// A disk with sectors that cannot be read.
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
fn an_image_that_cannot_be_read_is_known_by_its_name_and_hides_no_other() {
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    let (bytes, image) = (fs::read(&esp.path).unwrap(), uki("2"));
    let at = bytes.windows(image.len()).position(|window| window == image).unwrap() as u64;
    let volume = Volume::open(Rotten { file: File::open(&esp.path).unwrap(), bad: at..at + 512 }).unwrap();
    let all = Found::all(&volume, &esp.path).unwrap();
    let known: Vec<_> = all.iter().map(|found| (found.file.as_str(), found.root_hash(), found.state())).collect();
    assert_eq!(known, [("a_1.efi", Some(hash("1")), EntryState::Blessed), ("a_2.efi", None, EntryState::Blessed)]);
}

#[test]
fn failures_are_noted_and_leftovers_go_at_boot() {
    let dir = tempfile::tempdir().unwrap();
    let esp = Esp::new(&["a_2.efi", "a_3+0-3.efi", "a_4.staged", "a_5.staged", "x.efi"]);
    let slots = [
        SlotContent { slot: Slot::A, root_hash: Some(hash("2")) },
        SlotContent { slot: Slot::B, root_hash: Some(hash("4")) },
    ];
    let settle = |word: &'static str, anew: bool| {
        let cause = |entry: &BootEntry, known: Option<&Quarantined>| {
            (known.is_none() || anew).then(|| Cause::Version(format!("{word} {}", entry.version)))
        };
        esp.open().settle(&running("2"), &mut quarantine(dir.path()), 7, cause).unwrap()
    };
    let settled = settle("why", false);
    assert_eq!(esp.names().len(), 5, "an upgrade that was broken off may go on with what is staged");
    assert_eq!(esp.open().sweep(&slots).unwrap(), ["a_5.staged"]);
    assert_eq!(settled.failed.len(), 1);
    let failed = &quarantine(dir.path());
    let noted = failed.find(&"a".parse().unwrap(), &"3".parse().unwrap(), hash("3")).unwrap();
    assert_eq!((noted.cause.as_str(), noted.tries, noted.at), ("why 3", 3, 7));
    assert_eq!(settle("why", false), Settled::default(), "once");
    assert_eq!(settle("again", true).failed.len(), 1);
    let causes: Vec<_> = quarantine(dir.path()).list().iter().map(|it| it.cause.clone()).collect();
    assert_eq!(causes, ["again 3"], "in place of the old one");
    assert_eq!(esp.names(), ["a_2.efi", "a_3+0-3.efi", "a_4.staged", "x.efi"]);
    // What runs is on its last try; the one that waits was put aside.
    let esp = Esp::new(&["a_1+0-3.efi", "a_2+0.efi"]);
    let mut failed = quarantine(&dir.path().join("other"));
    let settled = esp.open().settle(&running("1"), &mut failed, 7, |_, _| Some(Cause::Version(String::new()))).unwrap();
    assert_eq!(settled, Settled::default());
    // Nobody's fault: it may be taken again.
    let esp = Esp::new(&["a_2.efi", "a_3+0-3.efi"]);
    let settled =
        esp.open().settle(&running("2"), &mut failed, 7, |_, _| Some(Cause::Place("no route".into()))).unwrap();
    assert_eq!((settled.spared.len(), settled.failed.len(), failed.list().len()), (1, 0, 0));
    assert_eq!((esp.names(), esp.next()), (vec!["a_2.efi".into(), "a_3+0.efi".into()], "a_2.efi".into()));
    rollback(&esp, "2", "3").unwrap();
}

#[test]
fn an_upgrade_knows_beforehand_whether_the_esp_has_room() {
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
    // The old entry's room counts, for it goes before.
    let before = free - entries.list().unwrap()[0].size;
    let (version, image) = ("3".parse().unwrap(), vec![0; usize::try_from(free - 512).unwrap()]);
    let mut entries = esp.open();
    let full = entries.stage(&running("2").id, &version, &image).unwrap_err();
    assert!(matches!(full, EntriesError::Full { free, .. } if free == before), "{full}");
    entries.clear_idle(&running("2"), None).unwrap();
    entries.stage(&running("2").id, &version, &image).unwrap();
    assert_eq!(esp.names(), ["a_2.efi", "a_3.staged"]);
    // A staged image of the same version stays when it is asked for; any other goes.
    let keep = esp.open().clear_idle(&running("2"), Some((&running("2").id, &version))).unwrap();
    assert!(keep.is_empty());
    assert_eq!(esp.open().clear_idle(&running("2"), None).unwrap(), ["a_3.staged"]);
}

#[test]
fn what_runs_must_have_an_entry() {
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
