//! ext4 file systems, judged by e2fsprogs.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{
    data::Data,
    ext4::{self, BadSuperblock, Ext4Error, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock},
    node::{Kind, Meta, Node},
    range::Range,
};
use judge::judge;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

const MIB: u64 = 1 << 20;
const UUID: [u8; 16] = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x80, 1, 2, 3, 4, 5, 6, 7];
const EPOCH: u64 = 1_795_219_200; // 2026-11-21

fn image(path: &Path, len: u64) -> File {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(len).unwrap();
    file
}

fn node(mode: u16, uid: u32, kind: Kind) -> Node {
    Node { meta: Meta::new(mode, uid, uid + 1), kind }
}

fn var() -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::from([
        ("lib".to_owned(), node(0o755, 0, Kind::Directory)),
        ("lib/berth".to_owned(), node(0o700, 0, Kind::Directory)),
        ("lib/berth/file".to_owned(), node(0o4640, 70_000, Kind::File(Data::from(vec![b'x'; 100_000])))),
        ("lib/berth/empty".to_owned(), node(0o644, 0, Kind::File(Data::empty()))),
        ("run".to_owned(), node(0o777, 0, Kind::Symlink(b"/run".to_vec()))),
        ("tmp".to_owned(), node(0o1777, 0, Kind::Directory)),
    ]);
    nodes.extend((0..500).map(|i| (format!("tmp/{i}"), node(0o600, 0, Kind::File(Data::from(vec![1; i]))))));
    nodes
}

fn superblock(file: &File) -> Superblock {
    let mut bytes = [0; SUPERBLOCK_SIZE];
    file.read_exact_at(&mut bytes, SUPERBLOCK_OFFSET).unwrap();
    Superblock::parse(&bytes).unwrap()
}

#[test]
fn file_systems_are_clean_growable_sparse_and_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    for path in [&one, &two] {
        let file = image(path, 512 * MIB);
        ext4::write(&Range::new(&file, 0, 512 * MIB), UUID, "var", EPOCH, &var()).unwrap();
    }
    let path = one.to_str().unwrap();
    judge("cmp", &[path, two.to_str().unwrap()]);
    let used = fs::metadata(&one).unwrap().blocks() * 512;
    assert!(used < 4 * MIB, "{used} bytes on disk");
    judge("e2fsck", &["-fn", path]);
    let dump = judge("dumpe2fs", &["-h", path]);
    for wanted in [
        "Filesystem volume name:   var",
        "Filesystem UUID:          12345678-9abc-4def-8001-020304050607",
        "Filesystem state:         clean",
        "Block count:              131072",
        "Block size:               4096",
        "Total journal size:       64M",
        "metadata_csum",
        "has_journal",
        "sparse_super",
        "flex_bg",
        "Filesystem created:       Sat Nov 21 00:00:00 2026",
    ] {
        assert!(dump.contains(wanted), "{wanted}: {dump}");
    }
    // The kernel does not grow a mounted file system that has this feature.
    assert!(!dump.contains("sparse_super2"), "{dump}");

    let stat = |path: &str, what: &str| judge("debugfs", &["-R", what, path]);
    let file = stat(path, "stat /lib/berth/file");
    for wanted in ["Mode:  04640", "User: 70000   Group: 70001", "Size: 100000", "Sat Nov 21 00:00:00 2026"] {
        assert!(file.contains(wanted), "{wanted}: {file}");
    }
    assert!(stat(path, "stat /run").contains("Fast link dest: \"/run\""));
    assert!(stat(path, "stat /tmp").contains("Mode:  01777"));
    let out = dir.path().join("out");
    judge("debugfs", &["-R", &format!("dump /lib/berth/file {}", out.display()), path]);
    assert_eq!(fs::read(&out).unwrap(), vec![b'x'; 100_000]);

    // Growth without a kernel: resize2fs.
    let file = OpenOptions::new().write(true).open(&one).unwrap();
    file.set_len(64 << 30).unwrap();
    judge("resize2fs", &[path]);
    judge("e2fsck", &["-fn", path]);
    assert_eq!(superblock(&File::open(&one).unwrap()).block_count, 64 << 18);
}

#[test]
fn a_file_system_lies_inside_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = image(&path, 600 * MIB);
    ext4::write(&Range::new(&file, 64 * MIB, 512 * MIB), UUID, "var", EPOCH, &BTreeMap::new()).unwrap();
    let at = format!("{}?offset={}", path.display(), 64 * MIB);
    judge("e2fsck", &["-fn", &at]);
    let mut outside = vec![0; 24 << 20];
    file.read_exact_at(&mut outside, 576 * MIB).unwrap();
    assert!(outside.iter().all(|&byte| byte == 0));
}

#[test]
fn superblocks_give_state_and_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = image(&path, 512 * MIB);
    ext4::write(&Range::new(&file, 0, 512 * MIB), UUID, "a label of 16 by", EPOCH, &BTreeMap::new()).unwrap();
    let fresh = superblock(&file);
    let wanted = Superblock {
        block_count: 131_072,
        free_blocks: fresh.free_blocks,
        block_size: 4096,
        uuid: UUID,
        label: "a label of 16 by".to_owned(),
        has_journal: true,
        needs_recovery: false,
        clean: true,
        has_errors: false,
    };
    assert_eq!(fresh, wanted);
    assert!(
        judge("dumpe2fs", &["-h", path.to_str().unwrap()])
            .contains(&format!("Free blocks:              {}\n", fresh.free_blocks))
    );

    judge("debugfs", &["-w", "-R", "feature needs_recovery", path.to_str().unwrap()]);
    judge("debugfs", &["-w", "-R", "set_super_value state 2", path.to_str().unwrap()]);
    let worn = superblock(&file);
    assert!(worn.needs_recovery && worn.has_errors && !worn.clean);

    // A file system of mke2fs, with 64-bit block numbers and another block size.
    let other = dir.path().join("other");
    image(&other, 64 * MIB);
    judge("mke2fs", &["-q", "-t", "ext4", "-O", "64bit", "-b", "1024", "-L", "x", other.to_str().unwrap()]);
    let other = superblock(&File::open(&other).unwrap());
    assert_eq!((other.block_count, other.block_size, other.label.as_str()), (65536, 1024, "x"));

    let mut bytes = [0; SUPERBLOCK_SIZE];
    file.read_exact_at(&mut bytes, SUPERBLOCK_OFFSET).unwrap();
    assert_eq!(Superblock::parse(&bytes[..1023]), Err(BadSuperblock::Short { found: 1023 }));
    assert_eq!(Superblock::parse(&[0; 1024]), Err(BadSuperblock::Magic { found: 0 }));
    bytes[4] ^= 1;
    assert!(matches!(Superblock::parse(&bytes), Err(BadSuperblock::Checksum { .. })));
}

#[test]
fn what_ext4_cannot_hold_is_refused_with_the_reason() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(600 * MIB).unwrap();
    let write = |size: u64, label: &str, nodes: &BTreeMap<String, Node>| {
        ext4::write(&Range::new(&file, 0, size), UUID, label, EPOCH, nodes)
    };
    let one = |path: &str, kind: Kind| BTreeMap::from([(path.to_owned(), node(0o644, 0, kind))]);
    let error = write(511 * MIB, "var", &BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "an ext4 file system needs 536870912 bytes (512 MiB) at least and a multiple of 4096, found 535822336"
    );
    assert!(matches!(write(512 * MIB + 512, "var", &BTreeMap::new()), Err(Ext4Error::Size { .. })));
    assert!(matches!(write(512 * MIB, "more than 16 byte", &BTreeMap::new()), Err(Ext4Error::Make(_))));
    for (path, parent) in [("a/b", "a"), ("/a", ""), ("a/", "a")] {
        match write(512 * MIB, "var", &one(path, Kind::Directory)) {
            Err(Ext4Error::NoParent { parent: found, .. }) => assert_eq!(found, parent),
            Err(Ext4Error::Node { path: found, .. }) => assert_eq!(found, path),
            other => panic!("{path}: {other:?}"),
        }
    }
    let target = Kind::Symlink(vec![0xff]);
    assert!(matches!(write(512 * MIB, "var", &one("a", target)), Err(Ext4Error::Target { .. })));
    assert!(matches!(write(512 * MIB, "var", &one("a", Kind::Fifo)), Err(Ext4Error::Kind { found: "named pipe", .. })));
    assert!(matches!(write(512 * MIB, "var", &one("..", Kind::Directory)), Err(Ext4Error::Node { .. })));
    let short = Data::File { path: Path::new("/dev/null").into(), offset: 0, len: 1 };
    assert!(matches!(write(512 * MIB, "var", &one("a", Kind::File(short))), Err(Ext4Error::Content { .. })));
    let huge = Data::File { path: Path::new("/dev/zero").into(), offset: 0, len: 500 * MIB };
    assert!(matches!(write(512 * MIB, "var", &one("a", Kind::File(huge))), Err(Ext4Error::Make(_))));
}
