//! The static delta. The images are real file systems, because the delta is made from their files.

use super::{
    kit::{BLOCK, Chance, Disk, Folder, Lie, release_version},
    ways::states,
};
use berth_contract::{
    digest::Sha256,
    release::{DeltaRecord, ReleaseRecord, UkiRecord, delta_name},
    update::{UpgradeEvent, Way},
};
use berth_formats::delta::patch::make;
use hostctl::slots::{Filled, Filling, Idle, Survey};
use sha2::Digest;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// Makes an EROFS image of these files.
fn image(folder: &Path, name: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let (tree, path) = (folder.join(format!("{name}.d")), folder.join(name));
    fs::create_dir(&tree).unwrap();
    files.iter().for_each(|(file, content)| fs::write(tree.join(file), content).unwrap());
    let run = Command::new("mkfs.erofs")
        .args(["-T0", "-U00000000-0000-0000-0000-000000000000"])
        .arg(&path)
        .arg(&tree)
        .output();
    let run = run.expect("mkfs.erofs: run ci/setup");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    fs::read(path).unwrap()
}

/// Two versions, and the release of the second one with a delta from the first.
struct Versions {
    folder: TempDir,
    old: Vec<u8>,
    new: Vec<u8>,
    old_uki: Vec<u8>,
    new_uki: Vec<u8>,
    record: ReleaseRecord,
}

fn versions() -> Versions {
    let folder = TempDir::new().unwrap();
    let mut chance = Chance(31);
    let (engine, mut tool, old_uki) = (chance.blocks(300), chance.blocks(100), chance.blocks(40));
    let old = image(folder.path(), "old", &[("engine", &engine), ("tool", &tool)]);
    // The program has a few other addresses, and a new file in front of it moves everything after it.
    (0..tool.len()).step_by(1000).for_each(|at| tool[at] ^= 3);
    let new = image(folder.path(), "new", &[("added", &chance.blocks(20)), ("engine", &engine), ("tool", &tool)]);
    let mut new_uki = old_uki.clone();
    new_uki[70_000..70_100].copy_from_slice(&[5; 100]);
    new_uki.extend([6; 1000]);
    let mut record = release_version(&new, &folder.path().join("repo"), "2");
    let digest = |bytes: &[u8]| Sha256(sha2::Sha256::digest(bytes).into());
    record.uki = UkiRecord { size: new_uki.len() as u64, sha256: digest(&new_uki), parts: vec![] };
    let from = "1".parse().unwrap();
    let target = delta_name(&record.id, &from, &record.version, &record.arch);
    let open = |name: &str| File::open(folder.path().join(name)).unwrap();
    let out = File::create(folder.path().join("repo").join(&target)).unwrap();
    make(&open("old"), &open("new"), &old_uki, &new_uki, out).unwrap();
    let from_root_hash = Disk::new(&old, new.len()).running;
    record.deltas = vec![DeltaRecord { from, from_root_hash, from_uki: digest(&old_uki), target, paths: None }];
    Versions { folder, old, new, old_uki, new_uki, record }
}

impl Versions {
    fn remote(&self) -> Folder {
        Folder::new(&self.folder.path().join("repo"))
    }

    fn delta(&self) -> PathBuf {
        self.remote().path.join(&self.record.deltas[0].target)
    }

    fn upgrade(&self, disk: &Disk, remote: &Folder, running_uki: &[u8]) -> (Filled, Vec<(Way, String)>) {
        let slots = disk.slots();
        let filling = Filling {
            record: &self.record,
            slots: &slots,
            remote,
            running_uki,
            decoder: crate::kit::decoder(),
            idle: Idle::Unchecked,
        };
        let ways = filling.ways(Survey::Cheapest).unwrap();
        let mut fell_back = Vec::new();
        let filled = filling.fill(ways, &mut |event| {
            if let UpgradeEvent::FellBack { way, why } = event {
                fell_back.push((way, why));
            }
        });
        (filled.unwrap(), fell_back)
    }
}

#[test]
fn the_static_delta_succeeds_from_every_state_and_brings_the_kernel_image() {
    let mut versions = versions();
    for (state, prepare) in states() {
        let disk = Disk::new(&versions.old, versions.new.len());
        prepare(&disk, &versions.old, &versions.new);
        let (before, differing) = (fs::read(disk.path("b")).unwrap(), disk.differing(&versions.new));
        let (filled, fell_back) = versions.upgrade(&disk, &versions.remote(), &versions.old_uki);
        assert_eq!((filled.way, fell_back), (Way::Static, vec![]), "{state}");
        assert_eq!(filled.written, differing, "{state}");
        assert!(filled.uki.unwrap() == versions.new_uki);
        disk.judge(&versions.new, &versions.record, &before);
    }
    // If another kernel image runs, the delta makes only the root file system.
    let disk = Disk::new(&versions.old, versions.new.len());
    let (filled, _) = versions.upgrade(&disk, &versions.remote(), b"another");
    assert_eq!((filled.way, filled.uki), (Way::Static, None));
    // The same if the kernel image in the delta is damaged.
    let delta = versions.delta();
    let mut bytes = fs::read(&delta).unwrap();
    let size = bytes.len();
    bytes[size - 64] ^= 1;
    fs::write(&delta, &bytes).unwrap();
    let disk = Disk::new(&versions.old, versions.new.len());
    let (filled, _) = versions.upgrade(&disk, &versions.remote(), &versions.old_uki);
    assert_eq!((filled.way, filled.uki), (Way::Static, None));
    bytes[size - 64] ^= 1;
    fs::write(&delta, &bytes).unwrap();
    // The same if the kernel image is not the signed one.
    versions.record.uki.sha256.0[0] ^= 1;
    let disk = Disk::new(&versions.old, versions.new.len());
    let (filled, _) = versions.upgrade(&disk, &versions.remote(), &versions.old_uki);
    assert_eq!((filled.way, filled.uki), (Way::Static, None));
}

#[test]
fn another_way_is_tried_if_the_static_delta_fails() {
    let versions = versions();
    let (delta, disk) = (versions.delta(), || Disk::new(&versions.old, versions.new.len()));
    let sound = fs::read(&delta).unwrap();
    let left = |disk: Disk, remote: Folder, part: &str| {
        let before = fs::read(disk.path("b")).unwrap();
        let (filled, fell_back) = versions.upgrade(&disk, &remote, &versions.old_uki);
        assert_eq!((filled.way, filled.uki), (Way::Blocks, None), "{fell_back:?}");
        assert_eq!((fell_back.len(), fell_back[0].0), (1, Way::Static));
        assert!(fell_back[0].1.contains(part), "{part}: {}", fell_back[0].1);
        disk.judge(&versions.new, &versions.record, &before);
    };
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    // The digest is right, but the delta is wrong.
    for (bytes, part) in [
        (vec![], "cannot read or unpack the whole file"),
        (sound[..sound.len() / 2].to_vec(), "cannot read or unpack the whole file"),
        (flipped(0), "expected `berthdlt`"),
        (flipped(24), "expected a delta to an image of"),
        (flipped(sound.len() / 2), ""),
    ] {
        fs::write(&delta, bytes).unwrap();
        left(disk(), versions.remote(), part);
    }
    fs::write(&delta, &sound).unwrap();
    // The digest is wrong: the delta is never unpacked.
    let last = sound.len() as u64 - 1;
    left(disk(), Folder { broken: Some((".delta", last)), ..versions.remote() }, "digest");
    for at in [0, last] {
        left(disk(), Folder { flipped: Some((".delta", at, Lie::Always)), ..versions.remote() }, "digest");
    }
    // The running slot is damaged, so the delta makes another image.
    let rotten = disk();
    let mut old = versions.old.clone();
    old[200 * BLOCK + 99] ^= 8;
    rotten.overwrite("a", 0, &old);
    left(rotten, versions.remote(), "expected root hash");
}

#[test]
fn a_static_delta_from_another_version_is_not_used() {
    let mut versions = versions();
    let disk = Disk::new(&versions.old, versions.new.len());
    versions.record.deltas[0].from_root_hash = versions.record.root.root_hash;
    let (slots, remote) = (disk.slots(), versions.remote());
    let filling = Filling {
        record: &versions.record,
        slots: &slots,
        remote: &remote,
        running_uki: &versions.old_uki,
        decoder: crate::kit::decoder(),
        idle: Idle::Unchecked,
    };
    let ways = filling.ways(Survey::EachWay).unwrap();
    assert_eq!(ways.costs.iter().map(|(way, _)| *way).collect::<Vec<_>>(), [Way::Blocks, Way::Full]);
}

/// A slot with damaged blocks names the version that it holds.
#[test]
fn a_damaged_slot_is_filled_again_by_the_cheapest_way() {
    let versions = versions();
    let remote = versions.remote();
    for (idle, ways, written) in [
        (Idle::Damaged, &[Way::Blocks, Way::Static, Way::Full][..], BLOCK),
        (Idle::Unchecked, &[Way::Present, Way::Static, Way::Full], BLOCK),
    ] {
        let disk = Disk::new(&versions.old, versions.new.len());
        disk.fill(&versions.new);
        let before = fs::read(disk.path("b")).unwrap();
        disk.overwrite("b", 200 * BLOCK, &[!before[200 * BLOCK]]);
        let (slots, decoder) = (disk.slots(), crate::kit::decoder());
        let filling =
            Filling { record: &versions.record, slots: &slots, remote: &remote, running_uki: &[], decoder, idle };
        let found = filling.ways(Survey::Cheapest).unwrap();
        assert_eq!(found.costs.iter().map(|(way, _)| *way).collect::<Vec<_>>(), ways);
        let mut fell_back = 0;
        let filled = filling.fill(found, &mut |event| {
            fell_back += u32::from(matches!(event, UpgradeEvent::FellBack { .. }));
        });
        assert_eq!((filled.unwrap().written, fell_back), (written as u64, u32::from(idle == Idle::Unchecked)));
        disk.judge(&versions.new, &versions.record, &before);
    }
}
