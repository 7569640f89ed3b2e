//! File systems for tests, writing them, and what must be found in them.

use berth_formats::{
    data::Data,
    erofs::{
        BLOCK, Body, FileSystem, Inode, InodeIndex, Plan,
        read::{Image, StoredInode},
        write,
    },
    node::{Meta, Xattrs},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
    sync::Arc,
};

/// A file system that grows by paths.
pub(crate) struct Maker(pub(crate) FileSystem);

impl Maker {
    pub(crate) fn new() -> Self {
        let root = Inode { meta: Meta::root(0o755), body: Body::Directory(BTreeMap::new()) };
        let (epoch, uuid, label) = (1_800_000_000, *b"0123456789abcdef", "berth".to_owned());
        Self(FileSystem { inodes: vec![root], root: InodeIndex(0), epoch, uuid, label })
    }

    pub(crate) fn inode(&mut self, mode: u16, body: Body) -> InodeIndex {
        self.0.inodes.push(Inode { meta: Meta::root(mode), body });
        InodeIndex(self.0.inodes.len() - 1)
    }

    pub(crate) fn link(&mut self, dir: InodeIndex, name: &[u8], to: InodeIndex) {
        match &mut self.0.inodes[dir.0].body {
            Body::Directory(names) => names.insert(name.to_vec(), to),
            _ => panic!("not a directory"),
        };
    }

    pub(crate) fn add(&mut self, dir: InodeIndex, name: &str, mode: u16, body: Body) -> InodeIndex {
        let inode = self.inode(mode, body);
        self.link(dir, name.as_bytes(), inode);
        inode
    }

    pub(crate) fn dir(&mut self, dir: InodeIndex, name: &str) -> InodeIndex {
        self.add(dir, name, 0o755, Body::Directory(BTreeMap::new()))
    }

    pub(crate) fn file(&mut self, dir: InodeIndex, name: &str, bytes: Vec<u8>) -> InodeIndex {
        self.add(dir, name, 0o644, Body::File(bytes.into()))
    }
}

pub(crate) const ROOT: InodeIndex = InodeIndex(0);

/// Bytes without zeros or a short period.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0] | 1
    };
    (0..len).map(|_| next()).collect()
}

/// Every kind of inode that an ordinary user may extract; with `all`, also those that only root may make.
pub(crate) fn every_kind(folder: &Path, all: bool) -> Maker {
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
    maker.0.inodes[sticky.0].meta.mode = 0o1777;
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
        (maker.0.inodes[owned.0].meta.uid, maker.0.inodes[owned.0].meta.gid) = (100_000, 65_535);
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
                ("dir", Body::Directory(BTreeMap::new())),
            ] {
                let inode = maker.add(ROOT, &format!("xattr-{name}-{len}"), 0o755, body);
                maker.0.inodes[inode.0].meta.xattrs = xattrs(len);
            }
        }
    }
    maker
}

pub(crate) fn written(fs: &FileSystem, path: &Path) -> File {
    let out = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    let size = write(fs, &out).unwrap().size;
    assert_eq!(size % BLOCK, 0);
    assert_eq!(out.metadata().unwrap().len(), size);
    assert_eq!(Plan::new(fs).unwrap().size(), size);
    out
}

pub(crate) fn content(image: &Image, node: &StoredInode) -> Vec<u8> {
    let mut bytes = vec![0xee; usize::try_from(node.size()).unwrap()];
    assert_eq!(image.read_at(node, 0, &mut bytes).unwrap(), bytes.len());
    bytes
}

/// Inode and number of links of each path in the table.
pub(crate) fn expected(fs: &FileSystem) -> BTreeMap<Vec<u8>, InodeIndex> {
    let mut all = BTreeMap::from([(b"/".to_vec(), fs.root)]);
    let mut stack = vec![(b"".to_vec(), fs.root)];
    while let Some((path, dir)) = stack.pop() {
        if let Body::Directory(names) = &fs.inodes[dir.0].body {
            for (name, child) in names {
                let path = [&path, b"/".as_slice(), name].concat();
                all.insert(path.clone(), *child);
                stack.push((path, *child));
            }
        }
    }
    all
}
