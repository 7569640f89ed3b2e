//! EROFS images, judged by fsck.erofs and dump.erofs (1.5 and later).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{
    data::Data,
    erofs::{
        BLOCK, Body, Error, FileSystem, Inode, InodeIndex, Plan, Wrong, Xattrs,
        read::{Image, Node, ReadError},
        write,
    },
};
use judge::judge;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    num::NonZeroUsize,
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};
use tempfile::TempDir;

/// A file system that grows by paths.
struct Maker(FileSystem);

impl Maker {
    fn new() -> Self {
        let root = Inode { mode: 0o755, uid: 0, gid: 0, xattrs: Xattrs::new(), body: Body::Dir(BTreeMap::new()) };
        let (epoch, uuid, label) = (1_800_000_000, *b"0123456789abcdef", "berth".to_owned());
        Self(FileSystem { inodes: vec![root], root: InodeIndex(0), epoch, uuid, label })
    }

    fn inode(&mut self, mode: u16, body: Body) -> InodeIndex {
        self.0.inodes.push(Inode { mode, uid: 0, gid: 0, xattrs: Xattrs::new(), body });
        InodeIndex(self.0.inodes.len() - 1)
    }

    fn link(&mut self, dir: InodeIndex, name: &[u8], to: InodeIndex) {
        match &mut self.0.inodes[dir.0].body {
            Body::Dir(names) => names.insert(name.to_vec(), to),
            _ => panic!("not a directory"),
        };
    }

    fn add(&mut self, dir: InodeIndex, name: &str, mode: u16, body: Body) -> InodeIndex {
        let inode = self.inode(mode, body);
        self.link(dir, name.as_bytes(), inode);
        inode
    }

    fn dir(&mut self, dir: InodeIndex, name: &str) -> InodeIndex {
        self.add(dir, name, 0o755, Body::Dir(BTreeMap::new()))
    }

    fn file(&mut self, dir: InodeIndex, name: &str, bytes: Vec<u8>) -> InodeIndex {
        self.add(dir, name, 0o644, Body::File(bytes.into()))
    }
}

const ROOT: InodeIndex = InodeIndex(0);

/// Bytes without zeros or a short period.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0] | 1
    };
    (0..len).map(|_| next()).collect()
}

/// Every kind of thing that an ordinary user may extract; with `all`, also what only root may make.
fn every_kind(folder: &Path, all: bool) -> Maker {
    let mut maker = Maker::new();
    let sizes = maker.dir(ROOT, "sizes");
    let cache = folder.join("cache");
    let content = noise(50_000);
    fs::write(&cache, &content).unwrap();
    let path: Arc<Path> = cache.into();
    for len in [0, 1, 31, 32, 4063, 4064, 4065, 4095, 4096, 4097, 5119, 5120, 5121, 8191, 8192, 40_000] {
        maker.file(sizes, &format!("bytes-{len}"), noise(len));
        let from_file = Data::File { path: Arc::clone(&path), offset: 17, len: len as u64 };
        maker.add(sizes, &format!("cached-{len}"), 0o600, Body::File(from_file));
    }
    let names = maker.dir(ROOT, "names");
    for name in ["!", "-a", ".-a", ".a", "...", "..a", "a b", "new\nline", "ümläut", "~", &"n".repeat(255)] {
        maker.file(names, name, name.into());
    }
    let long = maker.dir(ROOT, "long");
    for number in 0..100 {
        maker.file(long, &format!("{number:0200}"), vec![]);
    }
    let links = maker.dir(ROOT, "links");
    let file = maker.file(links, "one", noise(6000));
    maker.link(ROOT, b"two", file);
    maker.link(links, b"three", file);
    for (name, len) in [("short", 4), ("longest", 4064), ("paged", 4065), ("max", 4095)] {
        maker.add(links, name, 0o777, Body::Symlink(vec![b'/'; len]));
    }
    maker.add(links, "loop", 0o777, Body::Symlink(b"loop".to_vec()));
    let deep = (0..40).fold(ROOT, |dir, _| maker.dir(dir, "deep"));
    maker.file(deep, "down", b"here\n".to_vec());
    let modes = maker.dir(ROOT, "modes");
    for mode in [0o444, 0o755, 0o4755, 0o2755, 0o1777, 0o7777] {
        maker.add(modes, &format!("{mode:o}"), mode, Body::File(noise(10).into()));
    }
    let sticky = maker.dir(modes, "sticky");
    maker.0.inodes[sticky.0].mode = 0o1777;
    maker.add(ROOT, "fifo", 0o600, Body::Fifo);
    let mut sparse = vec![0; 1 << 20];
    sparse[300_000..300_005].copy_from_slice(b"there");
    sparse.extend(b"end");
    maker.file(ROOT, "sparse", sparse);
    maker.file(ROOT, "zeros", vec![0; 2 << 20]);
    if all {
        let dev = maker.dir(ROOT, "dev");
        maker.add(dev, "null", 0o666, Body::CharDevice { major: 1, minor: 3 });
        maker.add(dev, "far", 0o660, Body::BlockDevice { major: 4095, minor: 0xf_ffff });
        maker.add(dev, "socket", 0o777, Body::Socket);
        let owned = maker.file(ROOT, "owned", noise(100));
        (maker.0.inodes[owned.0].uid, maker.0.inodes[owned.0].gid) = (100_000, 65_535);
        let xattrs = |len: usize| -> Xattrs {
            let names = ["user.u", "trusted.overlay.opaque", "security.capability", "system.posix_acl_access"];
            names.into_iter().zip(0..).map(|(name, n)| (name.into(), noise(len + n))).collect()
        };
        for len in [0, 20, 900, 1000, 3000] {
            for (name, body) in [
                ("file", Body::File(noise(7).into())),
                ("tail", Body::File(noise(5000).into())),
                ("link", Body::Symlink(b"target".to_vec())),
                ("fifo", Body::Fifo),
                ("dir", Body::Dir(BTreeMap::new())),
            ] {
                let inode = maker.add(ROOT, &format!("xattr-{name}-{len}"), 0o755, body);
                maker.0.inodes[inode.0].xattrs = xattrs(len);
            }
        }
    }
    maker
}

fn written(fs: &FileSystem, path: &Path) -> File {
    let out = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    let size = write(fs, &out).unwrap().size;
    assert_eq!(size % BLOCK, 0);
    assert_eq!(out.metadata().unwrap().len(), size);
    assert_eq!(Plan::new(fs).unwrap().size(), size);
    out
}

fn content(image: &Image, node: &Node) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(node.size()).unwrap()];
    assert_eq!(image.read_at(node, 0, &mut bytes).unwrap(), bytes.len());
    bytes
}

/// What the table says about each path: inode, number of links.
fn expected(fs: &FileSystem) -> BTreeMap<Vec<u8>, InodeIndex> {
    let mut all = BTreeMap::from([(b"/".to_vec(), fs.root)]);
    let mut stack = vec![(b"".to_vec(), fs.root)];
    while let Some((path, dir)) = stack.pop() {
        if let Body::Dir(names) = &fs.inodes[dir.0].body {
            for (name, child) in names {
                let path = [&path, b"/".as_slice(), name].concat();
                all.insert(path.clone(), *child);
                stack.push((path, *child));
            }
        }
    }
    all
}

#[test]
fn every_kind_reads_back_as_it_was_given() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let path = folder.path().join("image");
    let image = Image::open(written(&maker.0, &path), 0).unwrap();
    let expected = expected(&maker.0);
    let walked: BTreeMap<Vec<u8>, Node> = image.walk().unwrap().into_iter().collect();
    assert!(walked.keys().eq(expected.keys()));
    assert_eq!(image.superblock().inos, maker.0.inodes.len() as u64);
    for (path, index) in &expected {
        let (node, inode) = (&walked[path], &maker.0.inodes[index.0]);
        let place = String::from_utf8_lossy(path);
        assert_eq!(node.mode() & 0o7777, inode.mode, "{place}");
        assert_eq!(node.owner(), (inode.uid, inode.gid), "{place}");
        assert_eq!(node.mtime(), maker.0.epoch, "{place}");
        assert_eq!(image.xattrs(node).unwrap(), inode.xattrs, "{place}");
        let subdirectories = |names: &BTreeMap<_, InodeIndex>| {
            names.values().filter(|child| matches!(maker.0.inodes[child.0].body, Body::Dir(_))).count()
        };
        let (kind, nlink) = match &inode.body {
            Body::Dir(names) => (0o04, 2 + subdirectories(names)),
            Body::File(data) => {
                assert!(content(&image, node) == *data.to_bytes().unwrap(), "{place}");
                (0o10, expected.values().filter(|other| *other == index).count())
            }
            Body::Symlink(target) => {
                assert!(node.is_symlink() && content(&image, node) == *target, "{place}");
                (0o12, 1)
            }
            Body::CharDevice { major, minor } => {
                assert_eq!(node.device(), (*major, *minor));
                (0o02, 1)
            }
            Body::BlockDevice { major, minor } => {
                assert_eq!(node.device(), (*major, *minor));
                (0o06, 1)
            }
            Body::Fifo => (0o01, 1),
            Body::Socket => (0o14, 1),
        };
        assert_eq!((node.mode() >> 12, node.nlink() as usize), (kind, nlink), "{place}");
    }
    assert_eq!(walked[b"/two".as_slice()], walked[b"/links/three".as_slice()]);
}

#[test]
fn fsck_finds_nothing_and_dump_reads_the_same() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let path = folder.path().join("image");
    let image = Image::open(written(&maker.0, &path), 0).unwrap();
    let path = path.to_str().unwrap();
    judge("fsck.erofs", &[path]);
    let superblock = judge("dump.erofs", &["-s", path]);
    for line in ["inode count:                       ", "Filesystem created:", "30313233-3435-3637-3839-616263646566"] {
        assert!(superblock.contains(line.trim_end()), "{line}: {superblock}");
    }
    assert!(superblock.contains("sb_csum mtime chunked_file"), "{superblock}");
    let find = |wanted: &[u8]| image.walk().unwrap().into_iter().find(|(path, _)| path == wanted).unwrap().1;
    let node = find(b"/owned");
    let text = judge("dump.erofs", &["--path=/owned", path]);
    for line in [format!("NID: {}", node.nid()), "Uid: 100000".into(), "Gid: 65535".into(), "Size: 100".into()] {
        assert!(text.contains(&line), "{line}: {text}");
    }
    let text = judge("dump.erofs", &["--path=/sizes/cached-40000", "-e", path]);
    assert!(text.contains("Access: 0600") && text.contains("Links: 1"), "{text}");
    assert!(text.contains("2027-01-15 08:00:00"), "the epoch: {text}");
    let text = judge("dump.erofs", &["--path=/xattr-file-900", path]);
    assert!(text.contains("Xattr size: "), "{text}");
}

#[test]
fn fsck_extracts_the_same_tree() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), false);
    let path = folder.path().join("image");
    written(&maker.0, &path);
    let to = folder.path().join("extracted");
    let extract = format!("--extract={}", to.display());
    judge("fsck.erofs", &[&extract, "--preserve-perms", "--no-preserve-owner", path.to_str().unwrap()]);
    let expected = expected(&maker.0);
    for (path, index) in &expected {
        let path = to.join(std::str::from_utf8(&path[1..]).unwrap());
        let (inode, found) = (&maker.0.inodes[index.0], fs::symlink_metadata(&path).unwrap());
        let mode = found.permissions().mode() & 0o7777;
        match &inode.body {
            // fsck.erofs 1.5 does not step over holes when it extracts; the kernel does.
            Body::File(data) if data.len() >= 1 << 20 => assert!(found.is_file()),
            Body::File(data) => {
                assert!(found.is_file() && fs::read(&path).unwrap() == *data.to_bytes().unwrap(), "{}", path.display());
            }
            Body::Symlink(target) => {
                assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes(), target);
                continue;
            }
            Body::Dir(names) => assert_eq!(fs::read_dir(&path).unwrap().count(), names.len()),
            _ => assert!(found.file_type().is_fifo()),
        }
        assert_eq!(mode, u32::from(inode.mode), "{}", path.display());
    }
}

#[test]
fn bytes_are_pinned_and_do_not_depend_on_threads() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let plan = Plan::new(&maker.0).unwrap();
    let path = folder.path().join("image");
    let mut seen = Vec::new();
    for threads in [1, 2, 5] {
        // What was in the file before must not shine through.
        fs::write(&path, vec![0xff; 10_000_000]).unwrap();
        let out = File::options().write(true).open(&path).unwrap();
        plan.write(&out, NonZeroUsize::new(threads).unwrap()).unwrap();
        seen.push(fs::read(&path).unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    let digest: String = Sha256::digest(&seen[0]).iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(digest, @"bca48d48553b787d70586a261b8e973a804c9ca0b795c5ab842a71e8604a5279");
}

#[test]
fn unnamed_inodes_and_their_order_in_the_table_do_not_matter() {
    let folder = TempDir::new().unwrap();
    let image = |reverse: bool| {
        let mut maker = Maker::new();
        let numbers: Vec<usize> = if reverse { (0..50).rev().collect() } else { (0..50).collect() };
        for number in numbers {
            maker.inode(0o600, Body::Fifo);
            maker.file(ROOT, &format!("{number}"), noise(number * 97));
        }
        let path = folder.path().join("image");
        written(&maker.0, &path);
        fs::read(path).unwrap()
    };
    assert!(image(false) == image(true));
}

#[test]
fn a_folder_of_100_000_files() {
    let folder = TempDir::new().unwrap();
    let mut maker = Maker::new();
    let many = maker.dir(ROOT, "many");
    for number in 0..100_000 {
        maker.file(many, &format!("file number {number}"), format!("{number}\n").into());
    }
    let path = folder.path().join("image");
    let image = Image::open(written(&maker.0, &path), 0).unwrap();
    judge("fsck.erofs", &[path.to_str().unwrap()]);
    let text = judge("dump.erofs", &["--path=/many/file number 77777", path.to_str().unwrap()]);
    assert!(text.contains("Size: 6 "), "{text}");
    let walked = image.walk().unwrap();
    assert_eq!(walked.len(), 100_002);
    let (path, node) = &walked[60_000];
    assert!(
        String::from_utf8_lossy(path)
            .ends_with(&format!(" {}", String::from_utf8_lossy(&content(&image, node)).trim()))
    );
}

#[test]
fn a_sparse_file_of_5_gib_stays_sparse() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("source");
    let file = File::create(&path).unwrap();
    file.set_len(5 << 30).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"middle", (4 << 30) - 3).unwrap();
    file.write_all_at(b"end", (5 << 30) - 3).unwrap();
    let mut maker = Maker::new();
    // From the second byte on, and without the last: the window is what counts.
    let data = Data::File { path: path.into(), offset: 1, len: (5 << 30) - 2 };
    maker.add(ROOT, "sparse", 0o644, Body::File(data));
    let path = folder.path().join("image");
    let out = written(&maker.0, &path);
    assert!(out.metadata().unwrap().len() < 4 << 20 && out.metadata().unwrap().blocks() * 512 < 3 << 20);
    judge("fsck.erofs", &[path.to_str().unwrap()]);
    let image = Image::open(out, 0).unwrap();
    let (_, node) = image.walk().unwrap().pop().unwrap();
    assert_eq!(node.size(), (5 << 30) - 2);
    for (at, wanted) in [(0, "egin\0"), ((4 << 30) - 5, "\0middle\0"), ((5 << 30) - 7, "\0\0\0en"), (3 << 30, "\0\0")] {
        let mut found = vec![0xee; wanted.len()];
        assert_eq!(image.read_at(&node, at, &mut found).unwrap(), wanted.len());
        assert_eq!(String::from_utf8_lossy(&found), wanted);
    }
}

#[test]
fn what_mkfs_writes_is_read_and_not_smaller_by_a_hundredth() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("source");
    let mut maker = Maker::new();
    for dir in 0..8 {
        let name = format!("dir{dir}");
        fs::create_dir_all(source.join(&name)).unwrap();
        let index = maker.dir(ROOT, &name);
        for number in 0..60 {
            // Sizes as in a root file system: the median some KiB, a few large ones.
            let len = noise(8 * 60 + 1)[dir * 60 + number] as usize * [10, 200, 1000, 4000][number % 4];
            let name = format!("file{number}");
            fs::write(source.join(format!("dir{dir}/{name}")), noise(len)).unwrap();
            maker.file(index, &name, noise(len));
        }
    }
    let (theirs, ours) = (folder.path().join("theirs"), folder.path().join("ours"));
    judge("mkfs.erofs", &["--quiet", "-T1", theirs.to_str().unwrap(), source.to_str().unwrap()]);
    written(&maker.0, &ours);
    let (theirs, ours) = (File::open(theirs).unwrap(), File::open(ours).unwrap());
    let (their_len, our_len) = (theirs.metadata().unwrap().len(), ours.metadata().unwrap().len());
    assert!(our_len * 100 <= their_len * 101, "{our_len} against {their_len}");
    let contents = |file| {
        let image = Image::open(file, 0).unwrap();
        let walked = image.walk().unwrap().into_iter();
        walked.map(|(path, node)| (path, content(&image, &node))).filter(|(path, _)| path.len() > 6).collect()
    };
    let (theirs, ours): (BTreeMap<_, _>, BTreeMap<_, _>) = (contents(theirs), contents(ours));
    assert_eq!(ours.len(), 8 * 60);
    assert!(theirs == ours);
}

/// A change moves as few blocks as the layout promises: the file's own, those of referring inodes, a few self-contained.
#[test]
fn a_small_change_leaves_most_blocks_as_they_were() {
    let folder = TempDir::new().unwrap();
    let sizes: Vec<usize> = noise(1000).iter().map(|byte| usize::from(*byte) * 8).collect();
    let blocks = |changed: bool| -> Vec<Vec<u8>> {
        let mut maker = Maker::new();
        for (number, size) in sizes.iter().enumerate() {
            maker.file(ROOT, &format!("small{number:04}"), noise(*size));
            maker.file(ROOT, &format!("large{number:04}"), noise(4096 + number * 7));
        }
        if changed {
            maker.file(ROOT, "small0300a", noise(1234));
            maker.file(ROOT, "large0300a", noise(12_345));
        }
        let path = folder.path().join("image");
        written(&maker.0, &path);
        fs::read(path).unwrap().chunks(4096).map(<[u8]>::to_vec).collect()
    };
    let (old, new) = (blocks(false), blocks(true));
    let had: std::collections::BTreeSet<_> = old.iter().collect();
    let fresh = new.iter().filter(|block| !had.contains(block)).count();
    // 2000 dirents of some 21 bytes, 1000 referring inodes with tails of 150 bytes on average, 4 new blocks, a dozen.
    assert!(fresh < 11 + 60 + 4 + 15, "{fresh} of {}", new.len());
    assert!(new.len() > 2000, "{}", new.len());
}

#[test]
fn trees_that_are_none_are_named() {
    type Make<'a> = &'a dyn Fn(&mut Maker) -> Wrong;
    let try_one = |make: Make<'_>| {
        let mut maker = Maker::new();
        let usr = maker.dir(ROOT, "usr");
        maker.file(usr, "file", noise(3));
        let wanted = make(&mut maker);
        match Plan::new(&maker.0) {
            Err(Error::Tree { path, wrong }) if wrong == wanted => path,
            other => panic!("{wanted:?}: {other:?}"),
        }
    };
    let usr = InodeIndex(1);
    for name in ["", ".", "..", "a/b", "a\0", &"n".repeat(256)] {
        let path = try_one(&|maker| {
            maker.file(usr, name, vec![]);
            Wrong::Name { name: name.to_owned() }
        });
        assert_eq!(path, "/usr");
    }
    let cases: [(&str, Make<'_>); 7] = [
        ("/usr", &|maker| {
            maker.link(usr, b"ghost", InodeIndex(9));
            Wrong::NoInode { name: "ghost".into(), index: 9, count: 3 }
        }),
        ("/usr", &|maker| {
            maker.link(usr, b"up", usr);
            Wrong::SecondName { name: "up".into(), second: "/usr".into() }
        }),
        ("/", &|maker| {
            maker.link(usr, b"up", ROOT);
            Wrong::SecondName { name: "up".into(), second: "/usr".into() }
        }),
        ("/usr/link", &|maker| {
            maker.add(usr, "link", 0o777, Body::Symlink(vec![b'x'; 4096]));
            Wrong::Symlink { len: 4096 }
        }),
        ("/usr/dev", &|maker| {
            maker.add(usr, "dev", 0o600, Body::CharDevice { major: 4096, minor: 0 });
            Wrong::Device { major: 4096, minor: 0 }
        }),
        ("/usr/file", &|maker| {
            maker.0.inodes[2].mode = 0o10_0644;
            Wrong::Mode { mode: 0o10_0644 }
        }),
        ("/", &|maker| {
            maker.0.root = InodeIndex(2);
            Wrong::Root
        }),
    ];
    for (path, make) in cases {
        assert_eq!(try_one(make), path);
    }
    let mut maker = Maker::new();
    maker.0.label = "seventeen bytes..".into();
    assert!(matches!(Plan::new(&maker.0), Err(Error::Label { .. })));
}

#[test]
fn a_source_that_is_missing_or_short_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("source");
    let out = tempfile::tempfile().unwrap();
    for len in [100, 10_000, 10 << 20] {
        let mut maker = Maker::new();
        maker.add(ROOT, "file", 0o644, Body::File(Data::File { path: path.clone().into(), offset: 5, len }));
        for prepare in [false, true] {
            if prepare {
                File::create(&path).unwrap().write_all(&vec![0; usize::try_from(len).unwrap() + 4]).unwrap();
            }
            let error = write(&maker.0, &out).unwrap_err();
            assert!(matches!(&error, Error::Source { path: found, .. } if *found == path), "{error:?}");
        }
        fs::remove_file(&path).unwrap();
    }
}

/// Reads all there is, but not the terabytes that a damaged inode may promise.
fn look_around(file: File) -> Result<(), ReadError> {
    let image = Image::open(file, 0)?;
    for (_, node) in image.walk()? {
        image.xattrs(&node)?;
        let mut piece = [0; 20_000];
        image.read_at(&node, 0, &mut piece)?;
        image.read_at(&node, node.size().saturating_sub(5000), &mut piece)?;
    }
    Ok(())
}

#[test]
fn damaged_images_are_errors_or_other_data_but_never_a_panic() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let path = folder.path().join("image");
    let file = written(&maker.0, &path);
    let metadata = 60 * 4096;
    look_around(file.try_clone().unwrap()).unwrap();
    let mut flipped = 0;
    for (step, bit) in noise(3000).chunks(3).zip((0..8).cycle()) {
        let mut byte = [0];
        let at = (u64::from(step[0]) << 16 | u64::from(step[1]) << 8 | u64::from(step[2])) % metadata;
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
        flipped += usize::from(look_around(file.try_clone().unwrap()).is_err());
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(flipped > 20, "{flipped}");
    // Without the checksum every field of the superblock counts.
    file.write_all_at(&[0], 1024 + 8).unwrap();
    look_around(file.try_clone().unwrap()).unwrap();
    for at in 1024..1024 + 128 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[value], at).unwrap();
            let _ = look_around(file.try_clone().unwrap());
            file.write_all_at(&byte, at).unwrap();
        }
    }
    for len in (0..metadata).rev().step_by(1009) {
        file.set_len(len).unwrap();
        assert!(look_around(file.try_clone().unwrap()).is_err(), "cut to {len}");
    }
}

#[test]
fn directories_that_hold_themselves_end_the_walk() {
    let folder = TempDir::new().unwrap();
    let mut maker = Maker::new();
    maker.dir(ROOT, "loop");
    let file = written(&maker.0, &folder.path().join("image"));
    let image = Image::open(file.try_clone().unwrap(), 0).unwrap();
    let (root, child) = (image.root().unwrap(), image.walk().unwrap()[1].1.nid());
    // The third dirent behind the root's inode names the child.
    let dirent = root.nid() * 32 + 32 + 2 * 12;
    let mut nid = [0; 8];
    file.read_exact_at(&mut nid, dirent).unwrap();
    assert_eq!(u64::from_le_bytes(nid), child);
    file.write_all_at(&root.nid().to_le_bytes(), dirent).unwrap();
    assert!(matches!(image.walk(), Err(ReadError::Damaged { what: "directory with two names", .. })));
}
