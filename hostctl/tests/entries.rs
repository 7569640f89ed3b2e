//! Boot entries through every change, on an ESP in a file.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod tiny_efi;

use berth_contract::{
    digest::{RootHash, Sha256},
    disk::Slot,
    engine::StoreFormat,
    entry::{BootCounter, BootEntry},
    update::{EntryState, Quarantined},
    version::OsVersion,
};
use berth_formats::{data::Data, fat, range::Range, verity};
use hostctl::entries::{
    Blessing, Cause, Entries, EntriesError, Host, Other, Quarantine, Running, Settled, SlotContent, Target, next,
    report, show,
};
use hostctl::file::FileError;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

const SIZE: u64 = 34 << 20;

/// The root hash of a version.
fn hash(version: &str) -> RootHash {
    RootHash(Sha256([version.bytes().fold(0, |sum, byte| sum ^ byte); 32]))
}

fn uki(version: &str) -> Vec<u8> {
    tiny_efi::version("a", version, &hash(version).to_string())
}

/// An ESP with these files in /EFI/Linux; versions are one character each.
struct Esp {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Esp {
    fn new(files: &[&str]) -> Self {
        let of = |name: &&str| match name.strip_prefix("a_") {
            Some(rest) => (format!("EFI/Linux/{name}"), Data::from(uki(&rest[..1]))),
            None => (format!("EFI/Linux/{name}"), Data::from(b"not a program".to_vec())),
        };
        Self::with(&files.iter().map(of).collect())
    }

    fn with(files: &BTreeMap<String, Data>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("esp");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(SIZE).unwrap();
        fat::write(&Range::new(&file, 0, SIZE), "ESP", 1, 0, files).unwrap();
        Self { _dir: dir, path }
    }

    fn open(&self) -> Entries {
        Entries::open(&self.path).unwrap()
    }

    fn names(&self) -> Vec<String> {
        Entries::look(&self.path).unwrap().into_iter().map(|found| found.file).collect()
    }

    fn next(&self) -> String {
        next(&Entries::look(&self.path).unwrap()).unwrap().file.clone()
    }

    /// What the boot loader does.
    fn boot(&self) -> String {
        let file = self.next();
        if let Ok(mut entry) = file.parse::<berth_contract::entry::BootEntry>()
            && let Some(BootCounter { left, done }) = entry.counter
        {
            entry.counter = Some(BootCounter { left: left.saturating_sub(1), done: done + 1 });
            let device = File::options().read(true).write(true).open(&self.path).unwrap();
            fat::Editor::open(device).unwrap().rename("EFI/Linux", &file, &entry.to_string()).unwrap();
            return entry.to_string();
        }
        file
    }
}

fn running(version: &str) -> Running {
    Running { id: "a".parse().unwrap(), version: version.parse().unwrap(), root_hash: hash(version) }
}

fn other(version: &str) -> Other {
    Other { root_hash: Some(hash(version)), ..Other::default() }
}

fn quarantine(dir: &Path) -> Quarantine {
    Quarantine::load(&dir.join("quarantine.json")).unwrap()
}

fn upgrade(esp: &Esp, from: &str, to: &str) {
    let (running, version): (_, OsVersion) = (running(from), to.parse().unwrap());
    let mut entries = esp.open();
    entries.check_room(&running, uki(to).len() as u64).unwrap();
    entries.clear_idle(&running, None).unwrap();
    entries.stage(&running.id, &version, &uki(to)).unwrap();
    entries.commit(&running.id, &version, &running).unwrap();
}

fn rollback(esp: &Esp, from: &str, to: &str) -> Result<(), EntriesError> {
    let dir = tempfile::tempdir().unwrap();
    let done = esp.open().rollback(&running(from), Target::Other, &other(to), &quarantine(dir.path()))?;
    assert_eq!(done.to_string(), format!("a_{to}+3.efi"));
    Ok(())
}

fn bless(esp: &Esp, version: &str) -> Blessing {
    esp.open().bless(&running(version)).unwrap()
}

#[test]
fn upgrades_go_back_and_forth_between_the_slots() {
    let esp = Esp::new(&["a_1.efi", "memtest.efi"]);
    upgrade(&esp, "1", "2");
    assert_eq!(esp.names(), ["a_1.efi", "a_2+3.efi", "memtest.efi"]);
    assert_eq!(esp.boot(), "a_2+2-1.efi");
    let refused = esp.open().clear_idle(&running("2"), None).unwrap_err();
    assert!(matches!(refused, EntriesError::Unblessed { state: EntryState::Trial(_), .. }) && refused.hint().is_some());
    assert_eq!((bless(&esp, "2"), bless(&esp, "2")), (Blessing::Given, Blessing::Before));
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi", "memtest.efi"]);
    upgrade(&esp, "2", "3");
    assert_eq!(esp.names(), ["a_2.efi", "a_3+3.efi", "memtest.efi"]);
    // It fails, and is not heard of again.
    let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
    assert_eq!(tries, ["a_3+2-1.efi", "a_3+1-2.efi", "a_3+0-3.efi", "a_2.efi"]);
    upgrade(&esp, "2", "4");
    assert_eq!(esp.names(), ["a_2.efi", "a_4+3.efi", "memtest.efi"]);
}

#[test]
fn an_older_version_gets_its_tries_and_the_newer_one_comes_back_if_it_fails_them() {
    for by_rollback in [true, false] {
        let esp = Esp::new(if by_rollback { &["a_1.efi", "a_2.efi"] } else { &["a_2.efi"] });
        if by_rollback {
            rollback(&esp, "2", "1").unwrap();
            // Once more changes nothing, and a blessing that comes late does not undo it.
            rollback(&esp, "2", "1").unwrap();
            assert_eq!(bless(&esp, "2"), Blessing::SetAside);
        } else {
            upgrade(&esp, "2", "1");
        }
        assert_eq!(esp.names(), ["a_1+3.efi", "a_2+0.efi"]);
        let refused = esp.open().clear_idle(&running("2"), None).unwrap_err();
        assert!(refused.hint().unwrap().contains("hostctl reboot"), "{refused}");
        let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
        assert_eq!(tries, ["a_1+2-1.efi", "a_1+1-2.efi", "a_1+0-3.efi", "a_2+0-1.efi"]);
        assert_eq!(bless(&esp, "2"), Blessing::Given);
        assert_eq!((esp.names(), esp.boot()), (vec!["a_1+0-3.efi".into(), "a_2.efi".into()], "a_2.efi".into()));
    }
}

#[test]
fn a_rollback_can_be_rolled_back() {
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    rollback(&esp, "2", "1").unwrap();
    assert_eq!(esp.boot(), "a_1+2-1.efi");
    assert!(matches!(rollback(&esp, "1", "2"), Err(EntriesError::Unblessed { .. })));
    bless(&esp, "1");
    assert_eq!(esp.names(), ["a_1.efi", "a_2+0.efi"]);
    assert_eq!(esp.boot(), "a_1.efi");
    rollback(&esp, "1", "2").unwrap();
    let to =
        esp.open().may_roll_back(&running("1"), Target::Other, &other("2"), &quarantine(Path::new("/nonexistent")));
    assert_eq!(to.unwrap().as_str(), "2");
    assert_eq!(esp.names(), ["a_1.efi", "a_2+3.efi"]);
    assert_eq!(esp.boot(), "a_2+2-1.efi");
    bless(&esp, "2");
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi"]);
}

#[test]
fn a_rollback_needs_a_reason_to_believe_in_the_other_version() {
    let dir = tempfile::tempdir().unwrap();
    let mut failed = quarantine(dir.path());
    let go = |esp: &Esp, target: Target<'_>, other: &Other, failed: &Quarantine| {
        let done = esp.open().rollback(&running("2"), target, other, failed);
        done.map(|entry| entry.to_string()).map_err(|error| format!("{error} / {}", error.hint().unwrap_or_default()))
    };
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    let before = esp.names();
    let empty = go(&esp, Target::Other, &Other::default(), &failed).unwrap_err();
    assert!(empty.starts_with("there is no other version to go to: its slot is empty / the first upgrade"), "{empty}");
    let gone = go(&esp, Target::Other, &other("7"), &failed).unwrap_err();
    assert!(gone.contains("an upgrade was interrupted"), "{gone}");
    let (one, seven) = ("1".parse().unwrap(), "7".parse().unwrap());
    let named = go(&esp, Target::Named(&seven), &other("1"), &failed).unwrap_err();
    assert!(named.starts_with("the other slot holds version 1, not 7"), "{named}");
    let format = |name: &str| Some(StoreFormat(name.into()));
    let stores = Other { stores: (format("docker-snapshotter"), format("docker-graphdriver")), ..other("1") };
    let crossed = go(&esp, Target::Other, &stores, &failed).unwrap_err();
    assert!(
        crossed.contains("keeps the engine's data as docker-graphdriver") && crossed.contains("hostctl rollback 1")
    );
    failed
        .add(Quarantined {
            id: "a".parse().unwrap(),
            version: "1".parse().unwrap(),
            root_hash: hash("1"),
            cause: "service dockerd: status 1".into(),
            tries: 3,
            at: 0,
        })
        .unwrap();
    let refused = go(&esp, Target::Other, &other("1"), &failed).unwrap_err();
    assert!(refused.starts_with("version 1 has failed on this host: service dockerd: status 1 / to try"), "{refused}");
    assert_eq!(esp.names(), before, "what is refused changes nothing");
    assert_eq!(go(&esp, Target::Named(&one), &stores, &failed).unwrap(), "a_1+3.efi");
    let staged = Esp::new(&["a_1.staged", "a_2.efi"]);
    assert!(
        go(&staged, Target::Other, &other("1"), &quarantine(Path::new("/nonexistent"))).unwrap_err().contains("staged")
    );
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
fn the_last_resort_can_be_left() {
    // It was blessed, was set aside, came back when the other had failed, and is ill now.
    let esp = Esp::new(&["a_1+0-3.efi", "a_2+0-3.efi"]);
    let upgrade_refused = |esp: &Esp| esp.open().clear_idle(&running("2"), None).unwrap_err();
    assert!(matches!(upgrade_refused(&esp), EntriesError::Unblessed { .. }), "on its last try");
    assert_eq!(esp.boot(), "a_2+0-4.efi");
    let named = |esp: &Esp| {
        let (one, dir) = ("1".parse().unwrap(), tempfile::tempdir().unwrap());
        esp.open().rollback(&running("2"), Target::Named(&one), &other("1"), &quarantine(dir.path())).unwrap();
    };
    named(&esp);
    assert_eq!(esp.names(), ["a_1+3.efi", "a_2+0-4.efi"]);
    let tries = [esp.boot(), esp.boot(), esp.boot(), esp.boot()];
    assert_eq!(tries, ["a_1+2-1.efi", "a_1+1-2.efi", "a_1+0-3.efi", "a_2+0-5.efi"]);
    // Another version, newer or older, takes the place of the failed one.
    upgrade(&esp, "2", "3");
    assert_eq!((esp.names(), esp.next()), (vec!["a_2+0-5.efi".into(), "a_3+3.efi".into()], "a_3+3.efi".into()));
    let esp = Esp::new(&["a_2+0-4.efi"]);
    upgrade(&esp, "2", "1");
    assert_eq!((esp.names(), esp.next()), (vec!["a_1+3.efi".into(), "a_2+0-4.efi".into()], "a_1+3.efi".into()));
    // Chosen by hand at the boot loader, with something better beside it that an upgrade would remove.
    for better in ["a_1.efi", "a_1+1-2.efi"] {
        let esp = Esp::new(&[better, "a_2+0-4.efi"]);
        assert!(upgrade_refused(&esp).hint().unwrap().contains("hostctl rollback"));
        named(&esp);
        assert_eq!(esp.next(), "a_1+3.efi");
    }
}

#[test]
fn what_is_to_boot_next_can_be_called_off() {
    let dir = tempfile::tempdir().unwrap();
    let stay = |esp: &Esp, version: &str| {
        let (running, none) = (running(version), quarantine(dir.path()));
        let target = Target::Named(&running.version);
        esp.open().rollback(&running, target, &Other::default(), &none).map(|entry| entry.to_string())
    };
    let esp = Esp::new(&["a_1.efi"]);
    upgrade(&esp, "1", "2");
    assert_eq!(esp.next(), "a_2+3.efi");
    assert_eq!(stay(&esp, "1").unwrap(), "a_1.efi");
    assert_eq!((esp.names(), esp.next()), (vec!["a_1.efi".into(), "a_2+0.efi".into()], "a_1.efi".into()));
    // And called for once more.
    rollback(&esp, "1", "2").unwrap();
    assert_eq!(esp.boot(), "a_2+2-1.efi");
    assert!(matches!(stay(&esp, "2"), Err(EntriesError::Unblessed { .. })));
    bless(&esp, "2");
    rollback(&esp, "2", "1").unwrap();
    assert_eq!(esp.next(), "a_1+3.efi");
    for _ in 0..2 {
        assert_eq!(stay(&esp, "2").unwrap(), "a_2.efi");
        assert_eq!((esp.names(), esp.next()), (vec!["a_1+0.efi".into(), "a_2.efi".into()], "a_2.efi".into()));
    }
    esp.open().clear_idle(&running("2"), None).unwrap();
}

#[test]
fn both_slots_are_told_with_what_boots_next() {
    let slots = |other: Option<&str>| {
        let other = other.map(hash);
        [SlotContent { slot: Slot::A, root_hash: other }, SlotContent { slot: Slot::B, root_hash: Some(hash("2")) }]
    };
    let told = |files: &[&str], other: Option<&str>| {
        let esp = Esp::new(files);
        let report = report(&Entries::look(&esp.path).unwrap(), &slots(other), &running("2"), &[]);
        show(&report).into_iter().map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("; ")
    };
    for (files, other, wanted) in [
        (&["a_2.efi"][..], None, "slot a: empty; slot b: 2, blessed, running, boots next"),
        (&["a_1.efi", "a_2.efi"], Some("1"), "slot a: 1, blessed; slot b: 2, blessed, running, boots next"),
        (
            &["a_2.efi", "a_3+3.efi"],
            Some("3"),
            "slot a: 3, on trial, 3 tries left, 0 done, boots next; slot b: 2, blessed, running",
        ),
        (
            &["a_1.efi", "a_2+0-3.efi"],
            Some("1"),
            "slot a: 1, blessed, boots next; slot b: 2, on trial, 0 tries left, 3 done, running",
        ),
        (&["a_2.efi", "a_3+0-3.efi"], Some("3"), "slot a: 3, failed; slot b: 2, blessed, running, boots next"),
        (
            &["a_1+3.efi", "a_2+0.efi"],
            Some("1"),
            "slot a: 1, on trial, 3 tries left, 0 done, boots next; slot b: 2, set aside, running",
        ),
        (&["a_2.efi", "a_3.staged"], Some("3"), "slot a: 3, staged; slot b: 2, blessed, running, boots next"),
        (
            &["a_2.efi", "a_9.efi"],
            Some("3"),
            "slot a: a version without a boot entry; slot b: 2, blessed, running; boots next: a_9.efi",
        ),
    ] {
        assert_eq!(told(files, other), wanted);
    }
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

/// A host's files: version 2 runs from slot A, the partitions are these.
fn host(root: &Path, partitions: &[(&str, &Path)]) -> Host {
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let report = format!(r#"{{"phases":[],"root_hash":"{}","slot":"a","disk":"/dev/sda"}}"#, hash("2"));
    put("run/berth/initrd.json", &report);
    put(
        "usr/lib/berth/image.json",
        r#"{"id":"a","version":"2","arch":"x86_64","kernel":"6","modules":[],"images":[],"containers":[],"packages":{}}"#,
    );
    fs::create_dir_all(root.join("dev")).unwrap();
    for (number, (label, path)) in (1..).zip(partitions) {
        put(&format!("sys/block/sda/sda{number}/uevent"), &format!("PARTNAME={label}\n"));
        symlink(path, root.join(format!("dev/sda{number}"))).unwrap();
    }
    Host::find(root).unwrap()
}

#[test]
fn a_slot_that_cannot_be_read_keeps_nobody_from_a_blessing() {
    // On a disk: in a tmpfs, folders have no end.
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let esp = Esp::new(&["a_2+2-1.efi"]);
    let empty = root.path().join("empty");
    fs::write(&empty, "").unwrap();
    // A folder can be opened, and every read fails.
    let bad = root.path();
    let partitions = [
        ("esp", &*esp.path),
        ("root-a", &empty),
        ("root-a-verity", &empty),
        ("root-b", &empty),
        ("root-b-verity", bad),
    ];
    let host = host(root.path(), &partitions);
    assert!(host.slots().iter().all(|slot| slot.root_hash.is_none()) && !host.is_blessed().unwrap());
    assert_eq!(host.entries().unwrap().bless(host.running()).unwrap(), Blessing::Given);
    assert!(host.is_blessed().unwrap());
}

#[test]
fn a_rollback_is_prepared_before_anything_changes_and_only_if_it_may_be() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::write(path("b"), [0; 8192]).unwrap();
    let tree = File::options().read(true).write(true).create_new(true).open(path("b-verity")).unwrap();
    let tree = verity::build(&File::open(path("b")).unwrap(), 8192, [0; 16], &tree).unwrap();
    fs::write(path("empty"), "").unwrap();
    let one = Data::from(tiny_efi::version("a", "1", &tree.root_hash.to_string()));
    let file = |name: &str| format!("EFI/Linux/{name}");
    let esp = Esp::with(&BTreeMap::from([(file("a_1.efi"), one), (file("a_2.efi"), Data::from(uki("2")))]));
    let (b, b_verity, empty) = (path("b"), path("b-verity"), path("empty"));
    let partitions = [
        ("esp", &*esp.path),
        ("root-a", &empty),
        ("root-a-verity", &empty),
        ("root-b", &b),
        ("root-b-verity", &b_verity),
    ];
    let host = host(root.path(), &partitions);
    let seven = "7".parse().unwrap();
    host.rollback(Target::Named(&seven), |_| panic!("it may not be")).unwrap_err();
    let cannot = FileError::Write { path: empty.clone(), source: std::io::ErrorKind::StorageFull.into() };
    host.rollback(Target::Other, |_| Err(cannot)).unwrap_err();
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi"]);
    let mut told = None;
    host.rollback(Target::Other, |to| {
        told = Some((to.to_string(), esp.names()));
        Ok(())
    })
    .unwrap();
    assert_eq!(told, Some(("1".to_owned(), vec!["a_1.efi".to_owned(), "a_2.efi".to_owned()])));
    assert_eq!(esp.names(), ["a_1+3.efi", "a_2+0.efi"]);
    let two = "2".parse().unwrap();
    host.rollback(Target::Named(&two), |_| panic!("nothing is left")).unwrap();
    assert_eq!(esp.names(), ["a_1+0.efi", "a_2.efi"]);
}
