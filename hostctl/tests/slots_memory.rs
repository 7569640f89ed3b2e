//! Each way fills a slot with the largest image in less than 64 MiB of memory. This test is a process of its own, because it reads the peak
//! memory of the process.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    container::ByteSize,
    digest::{RootHash, Sha256},
    disk::Slot,
    release::{DeltaRecord, FORMAT, MAX_WINDOW, MinSlot, ReleaseRecord, RootRecord, Target, UkiRecord},
    update::Way,
};
use berth_formats::{
    delta::marks::{Mark, RUN_BLOCKS, Run},
    verity,
};
use hostctl::slots::{Access, Device, Filling, Idle, MAX_IMAGE, Remote, RemoteError, SlotDevices, Slots, Survey};
use liblzma::{
    stream::{Check, Filters, LzmaOptions, Stream},
    write::XzEncoder,
};
use sha2::Digest;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The largest image would take minutes. The additional memory that it needs is computed.
const IMAGE: u64 = 192 << 20;
/// Memory of the block plan for each further block of the image, in bytes, at most.
const PER_BLOCK: u64 = 24;
/// Size of a chunk, as in a release.
const PIECE: usize = 32 << 10;
/// Bytes at the beginning of the image that are not zeros: more than any compression window.
const RANDOM_BYTES: u64 = 64 << 20;
const LIMIT: u64 = 64 << 20;
/// Size of the kernel images: a usual one.
const UKI: usize = 14 << 20;

/// Peak memory of this process in bytes, since the last [`reset_peak`].
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn create(path: PathBuf, size: u64) -> File {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(size).unwrap();
    file
}

struct Folder<'a> {
    path: &'a Path,
    hidden: &'static [&'static str],
}

impl Remote for Folder<'_> {
    fn len(&self, target: &str) -> Option<u64> {
        let found = fs::metadata(self.path.join(target)).ok()?.len();
        (!self.hidden.iter().any(|ending| target.ends_with(ending))).then_some(found)
    }

    fn sha256(&self, target: &str) -> Option<Sha256> {
        let (mut file, mut hasher) = (File::open(self.path.join(target)).ok()?, sha2::Sha256::new());
        let mut piece = vec![0; PIECE];
        while let read @ 1.. = file.read(&mut piece).unwrap() {
            hasher.update(&piece[..read]);
        }
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

/// A release of an image of random bytes followed by zeros. Its index is made by hand: frames that do not refer to preceding bytes are
/// valid with any prefix.
fn release(folder: &Path) -> ReleaseRecord {
    let image = create(folder.join("image"), IMAGE);
    let (mut state, mut piece) = (1_u64, vec![0; PIECE]);
    let (mut table, mut marks, mut chunks) = (Vec::new(), Vec::<Mark>::new(), Vec::new());
    for at in (0..IMAGE).step_by(PIECE) {
        if at < RANDOM_BYTES {
            for word in piece.chunks_exact_mut(8) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                word.copy_from_slice(&(state ^ state >> 33).to_le_bytes());
            }
            image.write_all_at(&piece, at).unwrap();
        } else if at == RANDOM_BYTES {
            piece.fill(0);
        }
        let frame = zstd::bulk::compress(&piece, 1).unwrap();
        table.extend(&u32::try_from(frame.len()).unwrap().to_le_bytes()[..3]);
        table.push(u8::try_from(PIECE / 4096 - 1).unwrap());
        table.extend(&sha2::Sha256::digest(&frame)[..16]);
        marks.extend(verity::block_digests(&piece).iter().map(Mark::of));
        chunks.extend(frame);
    }
    let tree = verity::build(&image, IMAGE, [1; 16], &create(folder.join("tree"), 0)).unwrap();
    let record = record(tree);
    let path = |target: Target| folder.join(target.name(&record.id, &record.version, &record.arch));
    let mut index = File::create(path(Target::Index)).unwrap();
    index.write_all(b"berthidx\x02\0\0\0").unwrap();
    index.write_all(&u32::try_from(IMAGE / PIECE as u64).unwrap().to_le_bytes()).unwrap();
    index.write_all(&(IMAGE / 4096).to_le_bytes()).unwrap();
    index.write_all(&[0, 2, 0, 0, 32, 0, 0, 0]).unwrap();
    index.write_all(&table).unwrap();
    for run in marks.chunks(RUN_BLOCKS).map(Run::of) {
        index.write_all(&[&run.key.to_le_bytes()[..], &run.digest].concat()).unwrap();
    }
    chunks.extend(marks.iter().flat_map(|mark| mark.0));
    fs::write(path(Target::Chunks), chunks).unwrap();
    let mut full = zstd::Encoder::new(File::create(path(Target::Root)).unwrap(), 1).unwrap();
    full.window_log(MAX_WINDOW.ilog2()).unwrap();
    io::copy(&mut File::open(folder.join("image")).unwrap(), &mut full).unwrap();
    full.finish().unwrap();
    let image = File::open(folder.join("image")).unwrap();
    pack(image, MAX_WINDOW, File::create(path(Target::Packed)).unwrap());
    record
}

/// Packs the bytes as an .xz stream with this dictionary size.
fn pack(mut bytes: impl Read, dictionary: u64, out: File) {
    let mut options = LzmaOptions::new_preset(0).unwrap();
    options.dict_size(u32::try_from(dictionary).unwrap());
    let stream = Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::None).unwrap();
    let mut packed = XzEncoder::new_stream(out, stream);
    io::copy(&mut bytes, &mut packed).unwrap();
    packed.finish().unwrap();
}

/// A delta from the image to itself that still contains `new` bytes, and from the running kernel image to the same one with its first byte
/// moved to its end. `berth_formats::delta::patch` describes the format.
fn delta(folder: &Path, new: u64, out: &Path) {
    let leb128 = |mut number: u64| {
        let mut bytes = Vec::new();
        while number > 0x7f {
            bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        bytes.push(number.to_le_bytes()[0]);
        bytes
    };
    let section = |[seek, copy, add, put]: [u64; 4], bytes: &[u8]| {
        let steps = [leb128(seek), leb128(copy), leb128(add), leb128(put)].concat();
        let lens = [steps.len(), 0, bytes.len()].map(|len| u32::try_from(len).unwrap().to_le_bytes());
        [&lens.concat(), &steps, bytes].concat()
    };
    let (image, mut plain, piece) = (File::open(folder.join("image")).unwrap(), Vec::new(), 1 << 19);
    for at in (0..new).step_by(piece) {
        let mut bytes = vec![0; piece];
        image.read_exact_at(&mut bytes, at).unwrap();
        plain.extend(section([0, 0, 0, piece as u64], &bytes));
    }
    plain.extend(section([new * 2, RANDOM_BYTES - new, 0, 0], &[]));
    // As many zeros as the dictionary holds: otherwise not all of it would be used.
    (0..32).for_each(|_| plain.extend(section([0, 0, 0, piece as u64], &vec![0; piece])));
    plain.extend(section([32 << 20, IMAGE - RANDOM_BYTES - (16 << 20), 0, 0], &[]));
    plain.extend(section([2, UKI as u64 - 1, 0, 1], &uki()[..1]));
    let mut packed = tempfile::tempfile().unwrap();
    pack(&plain[..], 16 << 20, packed.try_clone().unwrap());
    packed.rewind().unwrap();
    let mut out = File::create(out).unwrap();
    out.write_all(b"berthdlt\x01\0\0\0\0\0\0\0").unwrap();
    for len in [IMAGE, IMAGE, UKI as u64, UKI as u64] {
        out.write_all(&len.to_le_bytes()).unwrap();
    }
    io::copy(&mut packed, &mut out).unwrap();
}

/// The running kernel image.
fn uki() -> Vec<u8> {
    (0..UKI / 4).flat_map(|at| u32::try_from(at).unwrap().wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

fn record(tree: verity::Tree) -> ReleaseRecord {
    ReleaseRecord {
        format: FORMAT,
        id: "berth-test".parse().unwrap(),
        version: "2".parse().unwrap(),
        arch: "x86_64".parse().unwrap(),
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

/// Slot A with the running version, and slot B with room for the image.
fn slots(folder: &Path, running: [&str; 2], root_hash: RootHash, verity_size: u64) -> Slots {
    create(folder.join("b"), IMAGE);
    create(folder.join("b-verity"), verity_size);
    let slot = |slot, [data, verity]: [&str; 2], access| SlotDevices {
        slot,
        data: Device::open(folder.join(data), access).unwrap(),
        verity: Device::open(folder.join(verity), access).unwrap(),
    };
    let report = InitrdReport {
        phases: vec![],
        root_hash,
        slot: Slot::A,
        disk: String::new(),
        named_by_firmware: true,
        next_boot: NextBoot::Usual,
    };
    let idle = slot(Slot::B, ["b", "b-verity"], Access::Exclusive);
    Slots::new(slot(Slot::A, running, Access::Read), idle, &report).unwrap()
}

/// Fills the slot with the release by this way, with the running kernel image in memory. Returns the peak memory.
fn fill(record: &ReleaseRecord, slots: &Slots, remote: &Folder, way: Way) -> u64 {
    let running_uki = uki();
    reset_peak();
    let filling = Filling {
        record,
        slots,
        remote,
        running_uki: &running_uki,
        decoder: crate::kit::decoder(),
        idle: Idle::Unchecked,
    };
    let ways = filling.ways(Survey::Cheapest).unwrap();
    let filled = filling.fill(ways, &mut |_| ()).unwrap();
    let peak = peak();
    assert_eq!((filled.way, filled.written, filled.uki.is_some()), (way, RANDOM_BYTES, way == Way::Static));
    peak
}

#[test]
fn every_way_needs_little_memory_for_an_image_of_any_size() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let mut record = release(path);
    let old = create(path.join("a"), 1 << 20);
    old.write_all_at(b"old", 4096).unwrap();
    let small = verity::build(&old, 1 << 20, [0; 16], &create(path.join("a-verity"), 0)).unwrap().root_hash;
    for (way, hidden) in
        [(Way::Blocks, &[".zst", ".xz"][..]), (Way::Full, &[".index", ".xz"]), (Way::Full, &[".index", ".zst"])]
    {
        let slots = slots(path, ["a", "a-verity"], small, record.root.verity_size);
        let peak = fill(&record, &slots, &Folder { path, hidden }, way);
        println!("{way}, without {}: {} MiB", hidden.join(" "), peak >> 20);
        let larger = if way == Way::Blocks { (MAX_IMAGE - IMAGE) / 4096 * PER_BLOCK } else { 0 };
        assert!(peak + larger < LIMIT, "{way}: {peak} bytes");
    }
    // Deltas that are held in memory as a whole, and longer ones. The new kernel image is in memory, too.
    let mut new_uki = uki();
    new_uki.rotate_left(1);
    record.uki = UkiRecord { size: UKI as u64, sha256: digest(&new_uki), parts: Vec::new() };
    drop(new_uki);
    let (from, target) = ("1".parse().unwrap(), "1.delta".to_owned());
    let from_root_hash = record.root.root_hash;
    record.deltas = vec![DeltaRecord { from, from_root_hash, from_uki: digest(&uki()), target, paths: None }];
    for (new, held) in [(15 << 19, true), (9 << 20, false)] {
        delta(path, new, &path.join("1.delta"));
        let len = fs::metadata(path.join("1.delta")).unwrap().len();
        assert_eq!((7 << 20..=8 << 20).contains(&len), held, "{len}");
        let slots = slots(path, ["image", "tree"], from_root_hash, record.root.verity_size);
        let peak = fill(&record, &slots, &Folder { path, hidden: &[".index"] }, Way::Static);
        println!("{}, {len} bytes: {} MiB", Way::Static, peak >> 20);
        assert!(peak < LIMIT, "{peak} bytes");
    }
}
