//! The largest image is brought in 64 MiB of memory, by each way. A process of its own, since its memory is looked at.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use berth_contract::{
    boot_report::InitrdReport,
    container::ByteSize,
    digest::{RootHash, Sha256},
    disk::Slot,
    release::{FORMAT, MAX_WINDOW, MinSlot, ReleaseRecord, RootRecord, Target, UkiRecord},
    update::Way,
};
use berth_formats::verity;
use hostctl::slots::{Access, Device, MAX_IMAGE, Remote, RemoteError, SlotDevices, Slots, Survey, Upgrade};
use sha2::Digest;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The largest image takes minutes; what it takes more is known.
const IMAGE: u64 = 1 << 30;
/// Bytes that the block plan takes for each further block of the image, at most.
const PER_BLOCK: u64 = 16;
const PIECE: usize = 256 << 10;
/// Bytes at the image's beginning that are no zeros: more than any window.
const FULL_OF_CHANCE: u64 = 64 << 20;
const LIMIT: u64 = 64 << 20;

/// Highest memory of this process since it was last forgotten, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn create(path: PathBuf, size: u64) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(size).unwrap();
    file
}

struct Folder<'a> {
    path: &'a Path,
    hidden: &'static str,
}

impl Remote for Folder<'_> {
    fn len(&self, target: &str) -> Option<u64> {
        let found = fs::metadata(self.path.join(target)).ok()?.len();
        (!target.ends_with(self.hidden)).then_some(found)
    }

    fn sha256(&self, target: &str) -> Option<Sha256> {
        let (mut file, mut hasher) = (File::open(self.path.join(target)).ok()?, sha2::Sha256::new());
        io::copy(&mut file, &mut hasher).unwrap();
        Some(Sha256(hasher.finalize().into()))
    }

    fn read_whole(&self, target: &str, _: u64) -> Result<Vec<u8>, RemoteError> {
        Ok(fs::read(self.path.join(target)).unwrap())
    }

    fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError> {
        let mut file = File::open(self.path.join(target)).unwrap();
        file.seek(SeekFrom::Start(start)).unwrap();
        Ok(Box::new(file.take(len.unwrap_or(u64::MAX))))
    }
}

/// A release of an image that is some chance and many zeros, its index made by hand: frames without a reference to what is
/// in front of them go with any prefix.
fn release(folder: &Path) -> ReleaseRecord {
    let image = create(folder.join("image"), IMAGE);
    let (mut state, mut piece) = (1_u64, vec![0; PIECE]);
    let (mut table, mut marks, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
    for at in (0..IMAGE).step_by(PIECE) {
        if at < FULL_OF_CHANCE {
            for word in piece.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word.copy_from_slice(&(state ^ state >> 33).to_le_bytes());
            }
            image.write_all_at(&piece, at).unwrap();
        } else if at == FULL_OF_CHANCE {
            piece.fill(0);
        }
        let frame = zstd::bulk::compress(&piece, 1).unwrap();
        table.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
        table.extend(u32::try_from(PIECE / 4096).unwrap().to_le_bytes());
        table.extend(sha2::Sha256::digest(&frame));
        marks.extend(verity::block_digests(&piece).iter().flat_map(|digest| digest[..8].to_vec()));
        chunks.extend(frame);
    }
    let tree = verity::build(&image, IMAGE, [1; 16], &create(folder.join("tree"), 0)).unwrap();
    let record = record(tree);
    let path = |target: Target| folder.join(target.name(&record.id, &record.version, &record.arch));
    let mut index = File::create(path(Target::Index)).unwrap();
    index.write_all(b"berthidx\x01\0\0\0").unwrap();
    index.write_all(&u32::try_from(IMAGE / PIECE as u64).unwrap().to_le_bytes()).unwrap();
    index.write_all(&(IMAGE / 4096).to_le_bytes()).unwrap();
    index.write_all(&[0, 8, 0, 0, 0, 0, 0, 0]).unwrap();
    index.write_all(&[table, marks].concat()).unwrap();
    fs::write(path(Target::Chunks), chunks).unwrap();
    let mut full = zstd::Encoder::new(File::create(path(Target::Root)).unwrap(), 1).unwrap();
    full.window_log(MAX_WINDOW.ilog2()).unwrap();
    io::copy(&mut File::open(folder.join("image")).unwrap(), &mut full).unwrap();
    full.finish().unwrap();
    record
}

fn record(tree: verity::Tree) -> ReleaseRecord {
    ReleaseRecord {
        format: FORMAT,
        id: "berth-test".parse().unwrap(),
        version: "2".parse().unwrap(),
        arch: "x86_64".to_owned(),
        channel: "stable".to_owned(),
        epoch: 1_700_000_000,
        root: RootRecord {
            root_hash: tree.root_hash,
            size: IMAGE,
            verity_size: tree.size,
            verity_uuid: uuid::Uuid::from_bytes([1; 16]),
        },
        uki: UkiRecord { size: 0, sha256: Sha256([0; 32]), parts: Vec::new() },
        min_slot: MinSlot { root: ByteSize(IMAGE), verity: ByteSize(tree.size) },
        kernel: String::new(),
        engine: None,
        packages: BTreeMap::new(),
        deltas: Vec::new(),
    }
}

/// Slot A with a small version that runs, slot B for a large one.
fn slots(folder: &Path, verity_size: u64) -> Slots {
    let old = create(folder.join("a"), 1 << 20);
    old.write_all_at(b"old", 4096).unwrap();
    let root_hash: RootHash =
        verity::build(&old, 1 << 20, [0; 16], &create(folder.join("a-verity"), 0)).unwrap().root_hash;
    create(folder.join("b"), IMAGE);
    create(folder.join("b-verity"), verity_size);
    let slot = |slot, name: &str, access| SlotDevices {
        slot,
        data: Device::open(folder.join(name), access).unwrap(),
        verity: Device::open(folder.join(format!("{name}-verity")), access).unwrap(),
    };
    let report = InitrdReport { phases: vec![], root_hash, slot: Slot::A, disk: String::new() };
    Slots::new(slot(Slot::A, "a", Access::Read), slot(Slot::B, "b", Access::Exclusive), &report).unwrap()
}

#[test]
fn an_image_of_any_size_takes_little_memory() {
    let folder = TempDir::new().unwrap();
    let record = release(folder.path());
    for (way, hidden) in [(Way::Blocks, ".zst"), (Way::Full, ".index")] {
        let slots = slots(folder.path(), record.root.verity_size);
        let remote = Folder { path: folder.path(), hidden };
        let upgrade = Upgrade { record: &record, slots: &slots, remote: &remote, running_uki: &[] };
        forget_peak();
        let ways = upgrade.ways(Survey::Cheapest).unwrap();
        let surveyed = peak();
        let brought = upgrade.bring(ways, &mut |_| ()).unwrap();
        println!("{way}: {} MiB, {} of them for the survey", peak() >> 20, surveyed >> 20);
        assert_eq!((brought.way, brought.written), (way, FULL_OF_CHANCE));
        let larger = if way == Way::Blocks { (MAX_IMAGE - IMAGE) / 4096 * PER_BLOCK } else { 0 };
        assert!(peak() + larger < LIMIT, "{way}: {} bytes", peak());
    }
}
