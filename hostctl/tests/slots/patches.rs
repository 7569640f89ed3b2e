//! The static delta. Its images are real file systems: it is made of their files.

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
use hostctl::slots::{Brought, Survey, Upgrade};
use sha2::Digest;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// An EROFS image of files, by name.
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

/// Two versions, and the second one's release with a delta from the first.
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
    // A program with a few other addresses, all behind it moved by a new one in front.
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
    record.deltas = vec![DeltaRecord { from, from_root_hash, from_uki: digest(&old_uki), target }];
    Versions { folder, old, new, old_uki, new_uki, record }
}

impl Versions {
    fn remote(&self) -> Folder {
        Folder::new(&self.folder.path().join("repo"))
    }

    fn delta(&self) -> PathBuf {
        self.remote().path.join(&self.record.deltas[0].target)
    }

    fn bring(&self, disk: &Disk, remote: &Folder, running_uki: &[u8]) -> (Brought, Vec<(Way, String)>) {
        let slots = disk.slots();
        let upgrade = Upgrade { record: &self.record, slots: &slots, remote, running_uki };
        let ways = upgrade.ways(Survey::Cheapest).unwrap();
        let mut fell_back = Vec::new();
        let brought = upgrade.bring(ways, &mut |event| {
            if let UpgradeEvent::FellBack { way, why } = event {
                fell_back.push((way, why));
            }
        });
        (brought.unwrap(), fell_back)
    }
}

#[test]
fn a_static_delta_leads_there_from_each_state_and_brings_the_kernel() {
    let mut versions = versions();
    for (state, prepare) in states() {
        let disk = Disk::new(&versions.old, versions.new.len());
        prepare(&disk, &versions.old, &versions.new);
        let (before, differing) = (fs::read(disk.path("b")).unwrap(), disk.differing(&versions.new));
        let (brought, fell_back) = versions.bring(&disk, &versions.remote(), &versions.old_uki);
        assert_eq!((brought.way, fell_back), (Way::Static, vec![]), "{state}");
        assert_eq!(brought.written, differing, "{state}");
        assert!(brought.uki.unwrap() == versions.new_uki);
        disk.judge(&versions.new, &versions.record, &before);
    }
    // Another kernel runs than the one that the delta begins with: the root file system alone.
    let disk = Disk::new(&versions.old, versions.new.len());
    let (brought, _) = versions.bring(&disk, &versions.remote(), b"another");
    assert_eq!((brought.way, brought.uki), (Way::Static, None));
    // The kernel's part of the delta was made wrong: likewise.
    let delta = versions.delta();
    let mut bytes = fs::read(&delta).unwrap();
    let size = bytes.len();
    bytes[size - 64] ^= 1;
    fs::write(&delta, &bytes).unwrap();
    let disk = Disk::new(&versions.old, versions.new.len());
    let (brought, _) = versions.bring(&disk, &versions.remote(), &versions.old_uki);
    assert_eq!((brought.way, brought.uki), (Way::Static, None));
    bytes[size - 64] ^= 1;
    fs::write(&delta, &bytes).unwrap();
    // And a kernel that is not the signed one.
    versions.record.uki.sha256.0[0] ^= 1;
    let disk = Disk::new(&versions.old, versions.new.len());
    let (brought, _) = versions.bring(&disk, &versions.remote(), &versions.old_uki);
    assert_eq!((brought.way, brought.uki), (Way::Static, None));
}

#[test]
fn a_static_delta_that_does_not_lead_there_is_left() {
    let versions = versions();
    let (delta, disk) = (versions.delta(), || Disk::new(&versions.old, versions.new.len()));
    let sound = fs::read(&delta).unwrap();
    let left = |disk: Disk, remote: Folder, part: &str| {
        let before = fs::read(disk.path("b")).unwrap();
        let (brought, fell_back) = versions.bring(&disk, &remote, &versions.old_uki);
        assert_eq!((brought.way, brought.uki), (Way::Blocks, None), "{fell_back:?}");
        assert_eq!((fell_back.len(), fell_back[0].0), (1, Way::Static));
        assert!(fell_back[0].1.contains(part), "{part}: {}", fell_back[0].1);
        disk.judge(&versions.new, &versions.record, &before);
    };
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    // Signed as they are.
    for (bytes, part) in [
        (vec![], "cannot read it to its end"),
        (sound[..sound.len() / 2].to_vec(), "cannot read it to its end"),
        (flipped(0), "expected `berthdlt`"),
        (flipped(24), "expected a delta to an image of"),
        (flipped(sound.len() / 2), ""),
    ] {
        fs::write(&delta, bytes).unwrap();
        left(disk(), versions.remote(), part);
    }
    fs::write(&delta, &sound).unwrap();
    // Signed otherwise: never unpacked.
    let last = sound.len() as u64 - 1;
    left(disk(), Folder { broken: Some((".delta", last)), ..versions.remote() }, "digest");
    for at in [0, last] {
        left(disk(), Folder { flipped: Some((".delta", at, Lie::Always)), ..versions.remote() }, "digest");
    }
    // What runs is not what it was: the delta makes something else of it.
    let rotten = disk();
    let mut old = versions.old.clone();
    old[200 * BLOCK + 99] ^= 8;
    rotten.overwrite("a", 0, &old);
    left(rotten, versions.remote(), "expected root hash");
}

#[test]
fn a_static_delta_from_another_version_is_no_way() {
    let mut versions = versions();
    let disk = Disk::new(&versions.old, versions.new.len());
    versions.record.deltas[0].from_root_hash = versions.record.root.root_hash;
    let (slots, remote) = (disk.slots(), versions.remote());
    let upgrade = Upgrade { record: &versions.record, slots: &slots, remote: &remote, running_uki: &versions.old_uki };
    let ways = upgrade.ways(Survey::EachWay).unwrap();
    assert_eq!(ways.costs.iter().map(|(way, _)| *way).collect::<Vec<_>>(), [Way::Blocks, Way::Full]);
}
