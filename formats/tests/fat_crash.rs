//! Power cuts after each write, with several choices of the sectors that were not flushed. After each cut, the boot entries
//! and their contents are those before or after the change, and the next update can change the volume.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{
    data::Data,
    fat::{self, Disk, Editor, Volume, VolumeError},
    range::Range,
};
use judge::judge;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fs::{self, File, OpenOptions},
    hash::{Hash, Hasher},
    io,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
};

const ENTRIES: &str = "EFI/Linux";
const SECTOR: usize = 512;
/// Clusters of one sector, and of four as on hosts: there the end mark of a directory moves within a cluster.
const SIZES: [u64; 2] = [34 << 20, 256 << 20];

/// Sectors by number.
type Sectors = BTreeMap<u64, Vec<u8>>;
/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

/// A volume whose changed sectors are kept apart. Writes are recorded in order.
struct Cut<'a> {
    base: &'a File,
    over: RefCell<Sectors>,
    steps: RefCell<Vec<Step>>,
}

impl<'a> Cut<'a> {
    fn new(base: &'a File, over: Sectors) -> Self {
        Self { base, over: RefCell::new(over), steps: RefCell::default() }
    }
}

impl Disk for &Cut<'_> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.base.read_exact_at(bytes, offset)?;
        let (first, over) = (offset / SECTOR as u64, self.over.borrow());
        for (number, sector) in over.range(first..(offset + bytes.len() as u64).div_ceil(SECTOR as u64)) {
            for (at, byte) in (number * SECTOR as u64..).zip(sector) {
                let place = at.checked_sub(offset).and_then(|at| bytes.get_mut(usize::try_from(at).unwrap()));
                if let Some(place) = place {
                    *place = *byte;
                }
            }
        }
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let sector = SECTOR as u64;
        assert!(offset.is_multiple_of(sector) && bytes.len().is_multiple_of(SECTOR), "whole sectors are written");
        for (number, sector) in (offset / SECTOR as u64..).zip(bytes.chunks(SECTOR)) {
            self.over.borrow_mut().insert(number, sector.to_vec());
            self.steps.borrow_mut().push(Step::Write(number, sector.to_vec()));
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.steps.borrow_mut().push(Step::Flush);
        Ok(())
    }
}

/// All states that a cut may leave, as changed sectors.
fn cuts(before: &Sectors, steps: &[Step], random: &mut impl FnMut() -> u64) -> Vec<Sectors> {
    let (mut durable, mut pending, mut found, mut seen) = (before.clone(), Vec::new(), Vec::new(), BTreeSet::new());
    for step in steps {
        match step {
            Step::Write(number, bytes) => pending.push((*number, bytes)),
            Step::Flush => {
                durable.extend(pending.drain(..).map(|(number, bytes)| (number, bytes.clone())));
                continue;
            }
        }
        let count = u64::try_from(pending.len()).unwrap();
        let newest = count - 1;
        let mut keep: Vec<Box<dyn Fn(u64) -> bool>> = vec![
            Box::new(|_| false),
            Box::new(|_| true),
            Box::new(move |at| at == newest),
            Box::new(move |at| at % 2 == newest % 2),
        ];
        for _ in 0..2 {
            let mask = random();
            keep.push(Box::new(move |at| mask >> (at % 64) & 1 == 1));
        }
        for keep in keep {
            let mut state = durable.clone();
            let kept = (0..).zip(&pending).filter(|(at, _)| keep(*at)).map(|(_, sector)| sector);
            state.extend(kept.map(|(number, bytes)| (*number, (*bytes).clone())));
            let mut hasher = DefaultHasher::new();
            state.hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                found.push(state);
            }
        }
    }
    found
}

fn entries<D: Disk>(volume: &Volume<D>) -> Files {
    let items = volume.list(ENTRIES).unwrap().into_iter().map(|item| item.name);
    let items = items.filter(|name| name.to_lowercase().ends_with(".efi"));
    items.map(|name| (name.clone(), volume.read(&format!("{ENTRIES}/{name}"), 1 << 20).unwrap())).collect()
}

/// A file with a state of the volume, for foreign programs.
struct Court<'a> {
    path: &'a Path,
    file: File,
    base: &'a File,
}

impl Court<'_> {
    fn with<T>(&self, state: &Sectors, look: impl FnOnce(&str) -> T) -> T {
        for (number, bytes) in state {
            self.file.write_all_at(bytes, number * SECTOR as u64).unwrap();
        }
        let out = look(self.path.to_str().unwrap());
        for number in state.keys() {
            let mut sector = [0; SECTOR];
            self.base.read_exact_at(&mut sector, number * SECTOR as u64).unwrap();
            self.file.write_all_at(&sector, number * SECTOR as u64).unwrap();
        }
        out
    }
}

/// Only damage that the next update repairs is allowed.
fn is_harmless(verdict: &str) -> bool {
    let known = [
        "fsck.fat ",
        "FATs differ",
        "Using first FAT",
        "Reclaimed ",
        "Free cluster summary wrong",
        "Auto-correcting",
        "Leaving filesystem unchanged",
        "Orphaned long file name",
        "files,",
        "Auto-deleting",
    ];
    verdict.lines().all(|line| line.trim().is_empty() || known.iter().any(|known| line.contains(known)))
}

/// Cuts `change` at every write. `between` are names that may exist in addition to the old state, until the next update.
fn survive(
    name: &str,
    path: &Path,
    between: &[&str],
    change: impl Fn(&mut Editor<&Cut<'_>>) -> Result<(), VolumeError>,
) {
    let base = File::open(path).unwrap();
    let copy = path.with_extension("court");
    fs::copy(path, &copy).unwrap();
    let court = Court { path: &copy, file: OpenOptions::new().write(true).open(&copy).unwrap(), base: &base };
    let mut state = 0x1234_5678_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state ^ state >> 32
    };
    let disk = Cut::new(&base, Sectors::new());
    let mut editor = Editor::open(&disk).unwrap();
    assert!(disk.steps.borrow().is_empty(), "{name}: nothing was wrong, and something is put right");
    let old = entries(&editor);
    change(&mut editor).unwrap();
    let new = entries(&editor);
    let steps = disk.steps.take();
    assert!(matches!(steps.last(), Some(Step::Flush)), "{name}: what was written is not flushed");
    let states = cuts(&Sectors::new(), &steps, &mut random);
    assert!(states.len() > 1, "{name}: {} states", states.len());
    let mut seen = [0; 3];
    for state in &states {
        let cut = Cut::new(&base, state.clone());
        let found = entries(&Volume::open(&cut).unwrap());
        let mut both = old.clone();
        both.extend(new.clone());
        let which = match () {
            () if found == old => 0,
            () if found == new => 1,
            () if found == both && between.iter().all(|name| both.contains_key(*name)) && !between.is_empty() => 2,
            () => panic!("{name}: {:?}", found.keys()),
        };
        seen[which] += 1;
        // Firmware and other drivers may read the volume before we do.
        court.with(state, |path| {
            let verdict = Command::new("fsck.fat").args(["-n", path]).output().expect("fsck.fat: run ci/setup");
            let verdict = String::from_utf8_lossy(&verdict.stdout).into_owned();
            assert!(is_harmless(&verdict) || which == 2, "{name}: {verdict}");
            let listed = judge("mdir", &["-i", path, "-b", "-a", &format!("::{ENTRIES}")]);
            let is_entry = |line: &&str| line.to_lowercase().ends_with(".efi");
            let listed: BTreeSet<_> =
                listed.lines().filter(is_entry).map(|line| line.rsplit('/').next().unwrap().to_owned()).collect();
            assert_eq!(listed, found.keys().cloned().collect(), "{name}");
        });
        // Opening the volume repairs it, even if there is a power cut during the repair. Then the change can be made.
        let mut editor = Editor::open(&cut).unwrap();
        let repaired = entries(&editor);
        assert!(repaired == if which == 0 { old.clone() } else { new.clone() }, "{name}: {:?}", repaired.keys());
        let repair = cut.steps.take();
        for again in cuts(state, &repair, &mut random) {
            let cut = Cut::new(&base, again);
            assert!(entries(&Editor::open(&cut).unwrap()) == repaired, "{name}: cut in the repair");
        }
        if which == 0 {
            // (If only bytes outside of entries have changed, old and new are the same, and the change may be done already.)
            if let Err(error) = change(&mut editor) {
                assert!(old == new, "{name}: {error}");
            }
        }
        assert!(entries(&editor) == new);
        let end = cut.over.borrow().clone();
        court.with(&end, |path| {
            let verdict = judge("fsck.fat", &["-n", path]);
            assert_eq!(verdict.lines().count(), 2, "{name}: {verdict}");
        });
    }
    assert!(old == new || seen[0] > 0 && seen[1] > 0, "{name}: {seen:?}");
    assert!(between.is_empty() || seen[2] > 0, "{name}: {seen:?}");
    fs::remove_file(copy).unwrap();
}

fn ours(path: &Path, size: u64, files: &[(&str, usize)]) {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(size).unwrap();
    let data = |len: usize| Data::from(vec![u8::try_from(len % 251).unwrap(); len]);
    let files = files.iter().map(|(name, len)| (format!("{ENTRIES}/{name}"), data(*len))).collect();
    fat::write(&Range::new(&file, 0, size), "ESP", 1, 0, &files).unwrap();
}

const OLD: [(&str, usize); 2] = [("berth-docker_2026.10.0.efi", 5000), ("berth-docker_2026.11.0+2-1.efi", 7000)];

#[test]
fn files_are_added_or_not() {
    for size in SIZES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        ours(&path, size, &OLD);
        let add = |name: &'static str, len: usize| {
            move |editor: &mut Editor<&Cut<'_>>| editor.add(ENTRIES, name, len as u64, &mut &vec![9; len][..])
        };
        survive("add", &path, &[], add("berth-docker_2026.12.0+3.efi", 80_000));
        survive("add an empty one", &path, &[], add("a.efi", 0));
        // The rest of the sector is too small, so the directory grows.
        survive("grow", &path, &[], add(&"long name ".repeat(19).trim_end().replace(' ', "_").leak()[..], 1000));
    }
}

#[test]
fn files_are_removed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    ours(&path, SIZES[0], &OLD);
    survive("remove", &path, &[], |editor| editor.remove(ENTRIES, OLD[0].0));
    // An entry in two sectors: without its long name it would have another name.
    let path = dir.path().join("spread");
    let long = format!("{}.efi", "x".repeat(150));
    ours(&path, SIZES[0], &[OLD[0], (&long, 3000)]);
    survive("remove a spread one", &path, &[], |editor| editor.remove(ENTRIES, &long));
}

#[test]
fn files_have_the_old_name_or_the_new_one() {
    for size in SIZES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        ours(&path, size, &OLD);
        survive("bless", &path, &[], |editor| editor.rename(ENTRIES, OLD[1].0, "berth-docker_2026.11.0.efi"));
        survive("longer", &path, &[], |editor| {
            editor.rename(ENTRIES, OLD[1].0, "berth-docker_2026.11.0-with-more-than-a-slot.efi")
        });
        // A name that does not fit into its sector: it gets a later place, and the file has two names for a moment.
        let new = format!("{}.efi", "y".repeat(180));
        survive("move", &path, &[OLD[0].0, &new], |editor| editor.rename(ENTRIES, OLD[0].0, &new));
        let path = dir.path().join("spread");
        let long = format!("{}.efi", "x".repeat(150));
        ours(&path, size, &[OLD[0], (&long, 3000)]);
        survive("move a spread one", &path, &[&long, "z.efi"], |editor| editor.rename(ENTRIES, &long, "z.efi"));
        // There is space before the old name. It is not used: the repair would take the old name for the new one.
        Editor::open(OpenOptions::new().read(true).write(true).open(&path).unwrap())
            .unwrap()
            .remove(ENTRIES, OLD[0].0)
            .unwrap();
        survive("move, not forward", &path, &[&long, "z.efi"], |editor| editor.rename(ENTRIES, &long, "z.efi"));
    }
}

/// The steps of an upgrade. Each step is atomic, so the whole is.
#[test]
fn an_upgrade_commits_by_one_name() {
    for size in SIZES {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        ours(&path, size, &OLD[..1]);
        let bytes = vec![3; 30_000];
        survive("upgrade", &path, &[], |editor| {
            let staged = "berth-docker_2026.11.0.staged";
            if editor.file(&format!("{ENTRIES}/{staged}")).is_ok() {
                editor.remove(ENTRIES, staged)?;
            }
            editor.add(ENTRIES, staged, bytes.len() as u64, &mut &bytes[..])?;
            editor.rename(ENTRIES, staged, "berth-docker_2026.11.0+3.efi")
        });
    }
}
