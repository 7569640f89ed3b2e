//! Power cuts during an upgrade. After each cut the old or the new version must boot, and its files must be complete.
//!
//! One upgrade is recorded as a log of disk writes. From the log the test makes 40 disks, each cut off at a different write. For each disk
//! it checks which entry the boot loader selects, whether that entry's file and slot are byte for byte equal to the build, and whether /var
//! can be repaired automatically. Two disks boot alike if the firmware and the boot loader read the same data from both. So at most two
//! disks of each kind are really booted.

use crate::{
    common::{LIMIT, output, partition, sectors, tool},
    host::{Host, booted, small},
    publisher::{Publisher, disk, plain},
    server::Server,
    write_log::WriteLog,
};
use berth_contract::disk::PartitionRole;
use berth_formats::fat::Volume;
use berth_qemu::machine::Description;
use hostctl::entries::{Entries, next};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Read,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Number of power cuts that are checked.
const CUTS: usize = 40;
/// How many disks of one kind are booted.
const BOOTS: usize = 2;
const ENTRIES: &str = "EFI/Linux";
/// Length of the start of the disk that holds the partition table, in bytes.
const TABLE: usize = 1 << 20;

#[test]
fn after_a_power_cut_at_any_write_the_old_or_the_new_version_boots() {
    let publisher = Publisher::new("power-cut");
    let (old, new) = (publisher.build(&plain("1")), publisher.build(&plain("2")));
    let server = Server::start(&publisher.shared_release(&[&old, &new]));

    // Run one upgrade and log all its writes.
    let file = publisher.path("writes.log");
    WriteLog::prepare(&file).unwrap();
    let mut description = booted(&small("power-cut", &old));
    description.write_log = Some(file.clone());
    let disk_before = description.booted.as_ref().map_or_else(|| disk(&old), |booted| booted.disk());
    let mut host = Host::start(&description);
    let before = WriteLog::read(&file).unwrap().len();
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    let after = WriteLog::read(&file).unwrap().len();
    host.cut_power();
    let log = WriteLog::read(&file).unwrap();
    let base = publisher.path("before.raw");
    let (from, to) = (disk_before.to_str().unwrap(), base.to_str().unwrap());
    tool("qemu-img", &["convert", "-O", "raw", from, to]).unwrap();

    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut found = BTreeMap::from([("1", 0), ("2", 0)]);
    for (cut, seed) in cuts(before, after) {
        let place = format!("after {cut} of {after} writes (seed {seed:x})");
        let image = publisher.path("cut.raw");
        tool("cp", &["--sparse=always", base.to_str().unwrap(), image.to_str().unwrap()]).unwrap();
        log.apply(&OpenOptions::new().write(true).open(&image).unwrap(), cut, &mut random(seed | 1)).unwrap();
        let kind = Kind::of(&image, &publisher.path("cut.esp"));
        let version = kind.check_what_boots(&image, [&old, &new], &place);
        *found.get_mut(version).unwrap() += 1;
        let count = kinds.entry(kind).or_default();
        *count += 1;
        if *count <= BOOTS {
            let small = small(&format!("power-cut-{cut}"), &old);
            let mut host = Host::try_start(&Description { image: Some(image.clone()), ..small }, LIMIT)
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(host.status().version.as_str(), version, "{place}");
            host.cut_power();
        } else {
            check_var(&image, &publisher.path("cut.var"), &place);
        }
        fs::remove_file(image).unwrap();
    }
    assert!(found["1"] > 0, "no power cut was before the commit: {found:?}");
    assert!(found["2"] > 0, "no power cut was after the commit: {found:?}");
}

/// Chooses the power cuts: the number of log entries before the cut, and a seed that decides which unflushed writes the disk loses. Half of
/// the cuts are in the last tenth of the upgrade, where the boot entry is written. The last cut is after the upgrade: few writes follow the
/// commit, so chance might choose none of them.
fn cuts(before: usize, after: usize) -> Vec<(usize, u64)> {
    let mut random = random(0x9e37_79b9_7f4a_7c15);
    let tail = after - (after - before) / 10;
    let mut choose = |index: usize| {
        let from = if index.is_multiple_of(2) { before } else { tail };
        (from + usize::try_from(random() % u64::try_from(after - from + 1).unwrap()).unwrap(), random())
    };
    (1..CUTS).map(&mut choose).chain([(after, 1)]).collect()
}

/// xorshift64, a simple generator. The same seed always gives the same numbers.
fn random(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// The data of a disk that the firmware and the boot loader read. Two disks with the same value boot alike.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    table: Vec<u8>,
    /// File names in the folder of the boot entries.
    names: Vec<String>,
    /// Name and content of the entry that the boot loader selects.
    entry: (String, Vec<u8>),
}

impl Kind {
    /// Reads the disk `image`. The ESP is copied to the file `esp`.
    fn of(image: &Path, esp: &Path) -> Self {
        let disk = File::open(image).unwrap();
        let mut table = vec![0; TABLE];
        disk.read_exact_at(&mut table, 0).unwrap();
        let (first, last) = sectors(image, PartitionRole::Esp.number()).unwrap();
        let mut bytes = vec![0; usize::try_from((last + 1 - first) * 512).unwrap()];
        disk.read_exact_at(&mut bytes, first * 512).unwrap();
        fs::write(esp, bytes).unwrap();
        let volume = Volume::open(File::open(esp).unwrap()).unwrap();
        let mut names: Vec<_> = volume.list(ENTRIES).unwrap().iter().map(|item| item.name.clone()).collect();
        names.sort();
        let taken = next(&Entries::look(esp).unwrap()).unwrap().file.clone();
        let content = volume.read(&format!("{ENTRIES}/{taken}"), 64 << 20).unwrap();
        Self { table, names, entry: (taken, content) }
    }

    /// Compares the kernel image and the slot of the version that boots with the files of its build. `builds` are the builds of versions 1
    /// and 2. Returns the version.
    fn check_what_boots(&self, image: &Path, builds: [&PathBuf; 2], place: &str) -> &'static str {
        let (name, content) = &self.entry;
        let is_new = name.starts_with("berth-small_2");
        assert!(is_new || name.starts_with("berth-small_1"), "{place}: {name}");
        let build = builds[usize::from(is_new)];
        assert!(
            *content == fs::read(output(build, ".efi")).unwrap(),
            "{place}: the kernel image {name} differs from the build"
        );
        let roles = if is_new {
            [PartitionRole::RootB, PartitionRole::RootBVerity]
        } else {
            [PartitionRole::RootA, PartitionRole::RootAVerity]
        };
        for (role, ending) in roles.into_iter().zip([".root.erofs", ".root.verity"]) {
            assert!(
                begins_with(image, role.number(), &output(build, ending)),
                "{place}: {} differs from the build",
                role.label()
            );
        }
        if is_new { "2" } else { "1" }
    }
}

/// Whether a partition begins with the content of `file`.
fn begins_with(image: &Path, partition: u32, file: &Path) -> bool {
    let mut offset = sectors(image, partition).unwrap().0 * 512;
    let (disk, mut file) = (File::open(image).unwrap(), File::open(file).unwrap());
    let (mut wanted, mut found) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut wanted).unwrap();
        if read == 0 {
            return true;
        }
        disk.read_exact_at(&mut found[..read], offset).unwrap();
        if wanted[..read] != found[..read] {
            return false;
        }
        offset += read as u64;
    }
}

/// Checks that e2fsck repairs /var without asking a question, so that a boot can mount it. The partition is copied to the file `var`.
fn check_var(image: &Path, var: &Path, place: &str) {
    partition(image, PartitionRole::Var.number(), var).unwrap();
    let output = Command::new("e2fsck").arg("-fp").arg(var).output().unwrap();
    // Status 1 means that errors were corrected. This is normal after a power cut.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{place}: {}", String::from_utf8_lossy(&output.stdout));
}
