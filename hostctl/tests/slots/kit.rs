//! Slots in plain files, releases in folders, and a server with faults.

use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    container::ByteSize,
    digest::{RootHash, Sha256},
    disk::Slot,
    release::{FORMAT, MinSlot, ReleaseRecord, RootRecord, Target, UkiRecord},
    update::{UpgradeEvent, Way},
};
use berth_formats::{
    delta::chunks::{Settings, write},
    verity,
};
use hostctl::slots::{
    Access, Device, Filled, Filling, Idle, Remote, RemoteError, SlotDevices, SlotError, Slots, Survey,
};
use sha2::Digest as _;
use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

pub(crate) const BLOCK: usize = 4096;
/// Bytes by which a partition is larger than its content.
pub(crate) const SPARE: usize = 37 * BLOCK;

/// A pseudo-random generator with the same sequence in each run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A block that can be compressed a little.
    pub(crate) fn block(&mut self) -> Vec<u8> {
        (0..BLOCK / 8)
            .flat_map(|at| if at % 3 == 0 { self.next() } else { 0x6265_7274_6820_6f73 }.to_le_bytes())
            .collect()
    }

    pub(crate) fn blocks(&mut self, count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| self.block()).collect()
    }
}

/// An image with random blocks, blocks of zeros and equal blocks.
pub(crate) fn old_image() -> Vec<u8> {
    let mut chance = Chance(7);
    let mut image = chance.blocks(700);
    image.extend(vec![0; 40 * BLOCK]);
    let twin = chance.block();
    (0..30).for_each(|_| image.extend(&twin));
    image.extend(chance.blocks(300));
    image
}

/// Its next version: single blocks changed, and a run of new blocks inserted, which moves all blocks after it.
pub(crate) fn new_image() -> Vec<u8> {
    let (mut image, mut chance) = (old_image(), Chance(8));
    for block in [0, 1, 64, 399, 1000] {
        image[block * BLOCK..(block + 1) * BLOCK].copy_from_slice(&chance.block());
    }
    image.splice(500 * BLOCK..500 * BLOCK, chance.blocks(50));
    image
}

pub(crate) fn release_version(image: &[u8], folder: &Path, version: &str) -> ReleaseRecord {
    fs::create_dir_all(folder).unwrap();
    let scratch = TempDir::new().unwrap();
    let (data, tree) = (scratch.path().join("data"), scratch.path().join("tree"));
    fs::write(&data, image).unwrap();
    let uuid = uuid::Uuid::from_u128(0x0123_4567_89ab_cdef);
    let built = build_tree(&data, &tree, uuid);
    let size = image.len() as u64;
    let record = ReleaseRecord {
        format: FORMAT,
        id: "berth-test".parse().unwrap(),
        version: version.parse().unwrap(),
        arch: "x86_64".parse().unwrap(),
        channel: "stable".to_owned(),
        epoch: 1_700_000_000,
        root: RootRecord { root_hash: built.root_hash, size, verity_size: built.size, verity_uuid: uuid },
        uki: UkiRecord { size: 0, sha256: Sha256([0; 32]), parts: Vec::new() },
        min_slot: MinSlot { root: ByteSize(size), verity: ByteSize(built.size) },
        kernel: "6.12".to_owned(),
        engine: None,
        packages: BTreeMap::new(),
        deltas: Vec::new(),
    };
    let path = |target: Target| folder.join(name(&record, target));
    fs::write(path(Target::Root), zstd::encode_all(image, 3).unwrap()).unwrap();
    let mut chunks = File::create(path(Target::Chunks)).unwrap();
    let settings = Settings { level: 3, chunk_blocks: 16, prefix_blocks: 64, group_blocks: 48 };
    let index = write(&File::open(&data).unwrap(), size, &[], settings, &mut chunks).unwrap();
    fs::write(path(Target::Index), index.to_bytes()).unwrap();
    record
}

pub(crate) fn name(record: &ReleaseRecord, target: Target) -> String {
    target.name(&record.id, &record.version, &record.arch)
}

fn build_tree(data: &Path, tree: &Path, uuid: uuid::Uuid) -> verity::Tree {
    let out = File::options().read(true).write(true).create(true).truncate(true).open(tree).unwrap();
    let data = File::open(data).unwrap();
    verity::build(&data, data.metadata().unwrap().len(), uuid.into_bytes(), &out).unwrap()
}

/// A folder with a release, read like a server that may have faults.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Only whole files can be requested.
    pub(crate) no_ranges: bool,
    /// Targets with these endings do not exist.
    pub(crate) hidden: Vec<&'static str>,
    /// The byte at this offset of the target with this ending is wrong, each time or only the first time.
    pub(crate) flipped: Option<(&'static str, u64, Lie)>,
    /// The target with this ending ends at this offset.
    pub(crate) broken: Option<(&'static str, u64)>,
    /// The server fails for ever after this many bytes.
    pub(crate) dies_after: Cell<u64>,
    pub(crate) requests: Cell<u32>,
    /// Whether the wrong byte was sent once.
    pub(crate) lied: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    Once,
    Always,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        let (dies_after, requests, lied) = (Cell::new(u64::MAX), Cell::new(0), Cell::new(false));
        let path = path.to_owned();
        Self { path, no_ranges: false, hidden: vec![], flipped: None, broken: None, dies_after, requests, lied }
    }

    fn stream(&self, target: &str, start: u64, len: u64) -> io::Result<Stream<'_>> {
        self.requests.set(self.requests.get() + 1);
        let mut file = File::open(self.path.join(target))?;
        file.seek(SeekFrom::Start(start))?;
        let end = self.broken.filter(|(ending, _)| target.ends_with(ending)).map_or(u64::MAX, |(_, end)| end);
        let flipped = self.flipped.filter(|(ending, _, _)| target.ends_with(ending)).map(|(_, at, lie)| (at, lie));
        Ok(Stream { file: file.take(len.min(end.saturating_sub(start))), at: start, flipped, server: self })
    }
}

struct Stream<'a> {
    file: io::Take<File>,
    at: u64,
    flipped: Option<(u64, Lie)>,
    server: &'a Folder,
}

impl Read for Stream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.server.dies_after.get();
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the server is gone"));
        }
        let most = buf.len().min(5000).min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = self.file.read(&mut buf[..most])?;
        self.server.dies_after.set(left - got as u64);
        let flipped = self.flipped.filter(|(at, _)| (self.at..self.at + got as u64).contains(at));
        if let Some((at, lie)) = flipped
            && (!self.server.lied.replace(true) || lie == Lie::Always)
        {
            buf[usize::try_from(at - self.at).unwrap()] ^= 1;
        }
        self.at += got as u64;
        Ok(got)
    }
}

impl Remote for Folder {
    fn len(&self, target: &str) -> Option<u64> {
        let hidden = self.hidden.iter().any(|ending| target.ends_with(ending));
        fs::metadata(self.path.join(target)).ok().map(|metadata| metadata.len()).filter(|_| !hidden)
    }

    fn sha256(&self, target: &str) -> Option<Sha256> {
        let bytes = fs::read(self.path.join(target)).ok()?;
        Some(Sha256(sha2::Sha256::digest(bytes).into()))
    }

    fn read_whole(&self, target: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let failed = |cause: io::Error| RemoteError::Failed { target: target.to_owned(), cause: cause.into() };
        let mut bytes = Vec::new();
        self.stream(target, 0, limit).and_then(|mut stream| stream.read_to_end(&mut bytes)).map_err(failed)?;
        if bytes != fs::read(self.path.join(target)).unwrap() {
            return Err(failed(io::Error::other("digest")));
        }
        Ok(bytes)
    }

    fn open(&self, target: &str, start: u64, len: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError> {
        let target_name = target.to_owned();
        if self.no_ranges && (start != 0 || len.is_some()) {
            return Err(RemoteError::NoRanges { target: target_name });
        }
        let stream = self.stream(target, start, len.unwrap_or(u64::MAX));
        Ok(Box::new(stream.map_err(|cause| RemoteError::Failed { target: target_name, cause: cause.into() })?))
    }
}

/// Two slots in files. The host runs from slot A.
pub(crate) struct Disk {
    pub(crate) folder: TempDir,
    pub(crate) running: RootHash,
}

impl Disk {
    /// A disk with the image `running` in slot A, and partitions for images of `room` bytes.
    pub(crate) fn new(running: &[u8], room: usize) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("a"), running).unwrap();
        let tree = build_tree(&folder.path().join("a"), &folder.path().join("a-verity"), uuid::Uuid::nil());
        let disk = Self { folder, running: tree.root_hash };
        for (name, size) in [("a", room + SPARE), ("b", room + SPARE), ("a-verity", room / 64), ("b-verity", room / 64)]
        {
            let file = File::options().write(true).create(true).truncate(false).open(disk.path(name)).unwrap();
            file.set_len((size + SPARE) as u64).unwrap();
        }
        disk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes an image and its hash tree into slot B.
    pub(crate) fn fill(&self, image: &[u8]) {
        let (data, tree) = (self.path("image"), self.path("tree"));
        fs::write(&data, image).unwrap();
        build_tree(&data, &tree, uuid::Uuid::nil());
        self.overwrite("b", 0, image);
        self.overwrite("b-verity", 0, &fs::read(tree).unwrap());
    }

    pub(crate) fn overwrite(&self, name: &str, at: usize, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        File::options().write(true).open(self.path(name)).unwrap().write_all_at(bytes, at as u64).unwrap();
    }

    pub(crate) fn slots(&self) -> Slots {
        let open = |name: &str, access| Device::open(self.path(name), access).unwrap();
        let slot = |slot, name: &str, access| SlotDevices {
            slot,
            data: open(name, access),
            verity: open(&format!("{name}-verity"), access),
        };
        let report = InitrdReport {
            phases: vec![],
            root_hash: self.running,
            slot: Slot::A,
            disk: "/dev/vda".to_owned(),
            named_by_firmware: true,
            next_boot: NextBoot::Usual,
        };
        Slots::new(slot(Slot::A, "a", Access::Read), slot(Slot::B, "b", Access::Exclusive), &report).unwrap()
    }

    /// Fills slot B with a release. Returns also the ways that failed.
    pub(crate) fn upgrade(
        &self,
        record: &ReleaseRecord,
        remote: &Folder,
    ) -> (Result<Filled, SlotError>, Vec<(Way, String)>) {
        let slots = self.slots();
        let filling = Filling {
            record,
            slots: &slots,
            remote,
            running_uki: &[],
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
        (filled, fell_back)
    }

    /// The number of bytes in blocks of slot B that differ from `image`.
    pub(crate) fn differing(&self, image: &[u8]) -> u64 {
        let held = fs::read(self.path("b")).unwrap();
        let differ = image.chunks(BLOCK).zip(held.chunks(BLOCK)).filter(|(new, old)| new != old);
        (differ.count() * BLOCK) as u64
    }

    /// Checks that slot B holds the image, byte by byte and with veritysetup, and that the bytes after it are those of `before`.
    pub(crate) fn judge(&self, image: &[u8], record: &ReleaseRecord, before: &[u8]) {
        let held = fs::read(self.path("b")).unwrap();
        assert!(held[..image.len()] == *image, "slot B holds another image");
        assert!(held[image.len()..] == before[image.len()..], "bytes after the image were written");
        let (data, tree) = (self.path("b"), self.path("b-verity"));
        let root = record.root.root_hash.to_string();
        let run = Command::new("veritysetup").arg("verify").args([&data, &tree]).arg(&root).output();
        let run = run.expect("veritysetup: run ci/setup");
        assert!(run.status.success(), "veritysetup: {}", String::from_utf8_lossy(&run.stderr));
        let dump = Command::new("veritysetup").arg("dump").arg(&tree).output().unwrap();
        let dump = String::from_utf8(dump.stdout).unwrap();
        assert!(dump.contains(&record.root.verity_uuid.to_string()), "{dump}");
    }

    pub(crate) fn holds_no_version(&self) -> bool {
        self.slots().idle.content().unwrap().is_none()
    }
}
