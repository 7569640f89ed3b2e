//! Trees with every type of file and edge case, and the listings that a kernel must give for them.

use crate::listing::{Entry, Holes, Listing, digest, digest_of, value};
use berth_formats::{
    data::Data,
    erofs::{Body, FileSystem, Inode, InodeIndex},
    node::{Kind, Meta, Node, Xattrs},
};
use std::{collections::BTreeMap, fs::File, os::unix::fs::FileExt, path::Path};

pub(crate) const EPOCH: u64 = 1_800_000_000;
const ROOT: InodeIndex = InodeIndex(0);

/// Length of the sparse file. It does not fit in 32 bits.
pub(crate) const SPARSE: u64 = (4 << 30) + (1 << 20);

/// A file system that is built path by path.
pub(crate) struct Maker(pub(crate) FileSystem);

impl Maker {
    fn new() -> Self {
        let root = Inode { meta: Meta::root(0o755), body: Body::Directory(BTreeMap::new()) };
        let (uuid, label) = (*b"0123456789abcdef", "faithful".to_owned());
        Self(FileSystem { inodes: vec![root], root: ROOT, epoch: EPOCH, uuid, label })
    }

    fn names(&mut self, dir: InodeIndex) -> &mut BTreeMap<Vec<u8>, InodeIndex> {
        match &mut self.0.inodes[dir.0].body {
            Body::Directory(names) => names,
            _ => panic!("not a directory"),
        }
    }

    fn link(&mut self, dir: InodeIndex, name: impl AsRef<[u8]>, to: InodeIndex) {
        let name = name.as_ref().to_vec();
        assert!(self.names(dir).insert(name.clone(), to).is_none(), "{}", name.escape_ascii());
    }

    fn add(&mut self, dir: InodeIndex, name: impl AsRef<[u8]>, mode: u16, body: Body) -> InodeIndex {
        self.0.inodes.push(Inode { meta: Meta::root(mode), body });
        let inode = InodeIndex(self.0.inodes.len() - 1);
        self.link(dir, name, inode);
        inode
    }

    fn dir(&mut self, dir: InodeIndex, name: impl AsRef<[u8]>) -> InodeIndex {
        self.add(dir, name, 0o755, Body::Directory(BTreeMap::new()))
    }

    fn file(&mut self, dir: InodeIndex, name: impl AsRef<[u8]>, bytes: Vec<u8>) -> InodeIndex {
        self.add(dir, name, 0o644, Body::File(bytes.into()))
    }

    fn inode(&mut self, index: InodeIndex) -> &mut Inode {
        &mut self.0.inodes[index.0]
    }
}

/// Bytes without zeros and without a short repeating pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0] | 1
    };
    (0..len).map(|_| next()).collect()
}

/// A tree with only those files that an ordinary user can make. Other programs can extract it without being root.
pub(crate) fn ordinary() -> Maker {
    let mut maker = Maker::new();
    maker.dir(ROOT, "empty folder");
    let sizes = maker.dir(ROOT, "sizes");
    // Sizes around limits of the format: the sizes of an inode (32, 64), the longest tail (1024), the space behind an inode in a block, and
    // whole blocks.
    for edge in [0, 32, 64, 1024, 4032, 4064, 4096, 5120, 8192, 12_288, 65_536, 1 << 20] {
        for len in edge.max(2) - 2..=edge + 2 {
            if !maker.names(sizes).contains_key(format!("{len}").as_bytes()) {
                maker.file(sizes, format!("{len}"), noise(len));
            }
        }
    }
    let names = maker.dir(ROOT, "names");
    // Names that sort before, between and after `.` and `..`. Then names with characters that are special for a shell or a terminal.
    for name in ["!", "+", "-a", ".-", ".a", "...", "..a", "~"] {
        maker.file(names, name, name.into());
    }
    for name in [" ", "a b", "new\nline", "tab\t", "\"'\\", "*?[", "\u{e4}\u{f6}\u{fc}", "\u{65e5}\u{672c}"] {
        maker.file(names, name, name.into());
    }
    maker.file(names, b"not \xff\xfe UTF-8", b"bytes".to_vec());
    for len in [254, 255] {
        maker.file(names, "n".repeat(len), noise(len));
        maker.dir(names, "d".repeat(len));
    }
    // Blocks of dirents. The first block also holds `.` and `..`: 15 names of 244 bytes and one of 217 bytes fill it. Other blocks are full
    // with 16 names of 244 bytes.
    for (name, count, last) in [("a block to the last byte", 15, 217), ("a byte over", 15, 218), ("more", 47, 255)] {
        let dir = maker.dir(names, name);
        for number in 0..count {
            maker.file(dir, format!("{number:0244}"), vec![]);
        }
        maker.file(dir, "z".repeat(last), vec![]);
    }
    let links = maker.dir(ROOT, "links");
    let file = maker.file(links, "one", noise(6000));
    maker.link(ROOT, "two", file);
    maker.link(links, "three", file);
    let empty = maker.file(links, "empty", vec![]);
    maker.link(links, "empty too", empty);
    for (name, len) in
        [("short", 1), ("inline", 4063), ("longest inline", 4064), ("in a block", 4065), ("longest", 4095)]
    {
        maker.add(links, name, 0o777, Body::Symlink(noise(len)));
    }
    for (name, target) in
        [("loop", "loop"), ("here", "there"), ("there", "here"), ("up", ".."), ("dangling", "/no/such")]
    {
        maker.add(links, name, 0o777, Body::Symlink(target.into()));
    }
    let deep = (0..100).fold(ROOT, |dir, _| maker.dir(dir, "deep"));
    maker.file(deep, "down", b"here\n".to_vec());
    let modes = maker.dir(ROOT, "modes");
    for mode in [0o400, 0o644, 0o755, 0o1755, 0o2755, 0o4755, 0o6711, 0o7777] {
        maker.add(modes, format!("file {mode:o}"), mode, Body::File(noise(10).into()));
        maker.add(modes, format!("folder {mode:o}"), mode | 0o700, Body::Directory(BTreeMap::new()));
    }
    maker.add(ROOT, "fifo", 0o620, Body::Fifo);
    let many = maker.dir(ROOT, "many");
    // These names fill more than a hundred blocks.
    for number in 0..20_000 {
        maker.file(many, format!("file number {number}"), format!("{number}\n").into());
    }
    maker
}

/// A POSIX ACL in the form of the system calls: owner, one user, group, mask, others.
fn acl() -> Vec<u8> {
    let entries = [(1_u16, 7_u16, u32::MAX), (2, 6, 100_000), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 4, u32::MAX)];
    let bytes = |(tag, perm, id): (u16, u16, u32)| {
        [tag.to_le_bytes().to_vec(), perm.to_le_bytes().to_vec(), id.to_le_bytes().to_vec()].concat()
    };
    [2_u32.to_le_bytes().to_vec(), entries.into_iter().flat_map(bytes).collect()].concat()
}

/// The capability `cap_net_bind_service+ep` in the form that `setcap` writes (`vfs_cap_data` of linux/capability.h).
fn capability() -> Vec<u8> {
    [0x0200_0001_u32, 1 << 10, 0, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The tree of [`ordinary`], files that only root can make, and a sparse file. The content of the sparse file is in `folder/sparse`.
pub(crate) fn everything(folder: &Path) -> Maker {
    let mut maker = ordinary();
    let dev = maker.dir(ROOT, "dev");
    maker.add(dev, "null", 0o666, Body::CharDevice { major: 1, minor: 3 });
    maker.add(dev, "sda", 0o660, Body::BlockDevice { major: 8, minor: 0 });
    maker.add(dev, "far", 0o600, Body::BlockDevice { major: 4095, minor: 0xf_ffff });
    maker.add(dev, "large minor", 0o600, Body::CharDevice { major: 10, minor: 256 });
    maker.add(dev, "socket", 0o777, Body::Socket);
    let owners = maker.dir(ROOT, "owners");
    for (uid, gid) in [(1, 2), (65_535, 65_535), (65_536, 0), (0, 65_536), (u32::MAX - 1, 100_000)] {
        let file = maker.file(owners, format!("{uid} {gid}"), noise(100));
        (maker.inode(file).meta.uid, maker.inode(file).meta.gid) = (uid, gid);
        let dir = maker.dir(owners, format!("folder {uid} {gid}"));
        (maker.inode(dir).meta.uid, maker.inode(dir).meta.gid) = (uid, gid);
    }
    // More hard links than fit in 16 bits.
    let popular = maker.file(ROOT, "popular", b"liked".to_vec());
    let fans = maker.dir(ROOT, "fans");
    for number in 0..66_000 {
        maker.link(fans, format!("{number}"), popular);
    }
    attributes(&mut maker);
    let path = folder.join("sparse");
    let sparse = File::create(&path).unwrap();
    sparse.set_len(SPARSE).unwrap();
    for at in [0, 70_000, (4 << 30) - 3, SPARSE - 4] {
        sparse.write_all_at(b"here", at).unwrap();
    }
    maker.add(ROOT, "sparse", 0o644, Body::File(Data::File { path: path.into(), offset: 0, len: SPARSE }));
    maker
}

fn attributes(maker: &mut Maker) {
    let xattrs = maker.dir(ROOT, "xattrs");
    let text = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
    let capable = maker.add(xattrs, "capable", 0o755, Body::File(noise(5000).into()));
    maker.inode(capable).meta.xattrs = Xattrs::from([text("security.capability", &capability())]);
    let listed = maker.add(xattrs, "acl", 0o775, Body::Directory(BTreeMap::new()));
    maker.inode(listed).meta.xattrs =
        Xattrs::from([text("system.posix_acl_access", &acl()), text("system.posix_acl_default", &acl())]);
    // Hundreds of files share the same attributes.
    for number in 0..500 {
        let file = maker.file(xattrs, format!("labelled {number}"), noise(number));
        let name = format!("user.{}", ["a", "b", "c"][number % 3]);
        maker.inode(file).meta.xattrs =
            Xattrs::from([text("security.label", b"system_u:object_r:bin_t:s0"), text(&name, b"")]);
    }
    // Attributes that end inside the inode's block, at its end, and after it. Each length is combined with every type of content.
    for len in [0, 1, 900, 3900, 4000, 4010, 4020, 4030, 4050, 5000, 20_000, 65_535] {
        for (name, user, body) in [
            ("empty", true, Body::File(Data::empty())),
            ("short", true, Body::File(noise(7).into())),
            ("long", true, Body::File(noise(5000).into())),
            ("blocks", true, Body::File(noise(8192).into())),
            ("folder", true, Body::Directory(BTreeMap::new())),
            ("link", false, Body::Symlink(b"target".to_vec())),
            ("fifo", false, Body::Fifo),
            ("device", false, Body::CharDevice { major: 1, minor: 5 }),
        ] {
            let inode = maker.add(xattrs, format!("{name} {len}"), 0o755, body);
            let (long, short) = if user { ("user.long", "user.n") } else { ("trusted.long", "trusted.n") };
            let short = short.replace('n', &"n".repeat(if len % 2 == 0 { 1 } else { 250 - (short.len() - 6) }));
            maker.inode(inode).meta.xattrs = Xattrs::from([
                text(long, &noise(len)),
                text(&short, b"last"),
                text("trusted.overlay.opaque", b"y"),
                text("security.berth", b"\0\xff"),
            ]);
        }
    }
}

/// The listing that a kernel must give for `fs`.
pub(crate) fn planned(fs: &FileSystem) -> Listing {
    let mut listing = Listing::new();
    let mut first: BTreeMap<InodeIndex, Vec<u8>> = BTreeMap::new();
    let mut paths = BTreeMap::new();
    let mut links = vec![0; fs.inodes.len()];
    let mut folders = vec![(Vec::new(), fs.root)];
    paths.insert(Vec::new(), fs.root);
    while let Some((folder, index)) = folders.pop() {
        let Body::Directory(names) = &fs.inodes[index.0].body else { continue };
        links[index.0] += 1;
        for (name, child) in names {
            let path = if folder.is_empty() { name.clone() } else { [folder.as_slice(), b"/", name].concat() };
            if matches!(fs.inodes[child.0].body, Body::Directory(_)) {
                links[index.0] += 1;
                folders.push((path.clone(), *child));
            }
            links[child.0] += 1;
            paths.insert(path, *child);
        }
    }
    links[fs.root.0] += 1;
    for (path, index) in paths {
        let entry = match first.get(&index) {
            Some(other) => Entry { same_as: format!("/{}", other.escape_ascii()), ..listing[other].clone() },
            None => entry(&fs.inodes[index.0], links[index.0], fs.epoch),
        };
        first.entry(index).or_insert_with(|| path.clone());
        listing.insert(path, entry);
    }
    listing
}

fn entry(inode: &Inode, nlink: u64, epoch: u64) -> Entry {
    let (kind, size, device, content) = match &inode.body {
        Body::Directory(_) => (0o04, 0, (0, 0), String::new()),
        Body::File(data) => (0o10, data.len(), (0, 0), content(data)),
        Body::Symlink(target) => (0o12, target.len() as u64, (0, 0), target.escape_ascii().to_string()),
        Body::CharDevice { major, minor } => (0o02, 0, (*major, *minor), String::new()),
        Body::BlockDevice { major, minor } => (0o06, 0, (*major, *minor), String::new()),
        Body::Fifo => (0o01, 0, (0, 0), String::new()),
        Body::Socket => (0o14, 0, (0, 0), String::new()),
    };
    let xattrs = inode.meta.xattrs.iter().map(|(name, bytes)| (name.escape_ascii().to_string(), value(bytes)));
    Entry {
        mode: kind << 12 | u32::from(inode.meta.mode),
        owner: (inode.meta.uid, inode.meta.gid),
        size,
        mtime: i64::try_from(epoch).unwrap(),
        nlink,
        device,
        content,
        xattrs: xattrs.collect(),
        same_as: String::new(),
    }
}

/// A tree for /var: the files of a new host, and edge cases.
pub(crate) fn var() -> BTreeMap<String, Node> {
    let node = |mode, uid, kind| Node { meta: Meta::new(mode, uid, uid + 1), kind };
    let mut nodes = BTreeMap::from([
        ("lib".to_owned(), node(0o755, 0, Kind::Directory)),
        ("lib/berth".to_owned(), node(0o700, 70_000, Kind::Directory)),
        ("lib/berth/large".to_owned(), node(0o4640, 70_000, Kind::File(noise(3 << 20).into()))),
        ("lib/berth/empty".to_owned(), node(0o644, 0, Kind::File(Data::empty()))),
        ("run".to_owned(), node(0o777, 0, Kind::Symlink(b"/run".to_vec()))),
        ("long".to_owned(), node(0o777, 0, Kind::Symlink(vec![b'l'; 3000]))),
        ("tmp".to_owned(), node(0o1777, 0, Kind::Directory)),
        (format!("tmp/{}", "n".repeat(255)), node(0o600, 0, Kind::File(noise(1).into()))),
    ]);
    nodes.extend((0..2000).map(|i| (format!("tmp/{i} \u{e4}"), node(0o600, 0, Kind::File(noise(i).into())))));
    nodes
}

/// The listing that a kernel must give for an ext4 file system with `nodes`.
pub(crate) fn planned_var(nodes: &BTreeMap<String, Node>) -> Listing {
    let entry_of = |path: &str, node: &Node| {
        let (kind, size, content) = match &node.kind {
            Kind::Directory => (0o04, 0, String::new()),
            Kind::File(data) => (0o10, data.len(), content(data)),
            Kind::Symlink(target) => (0o12, target.len() as u64, String::from_utf8_lossy(target).into_owned()),
            other => panic!("{path}: a {}", other.word()),
        };
        let inside = |other: &str| other.rsplit_once('/').map_or("", |(folder, _)| folder) == path;
        let folders = nodes.iter().filter(|(other, node)| node.kind == Kind::Directory && inside(other));
        Entry {
            mode: kind << 12 | u32::from(node.meta.mode),
            owner: (node.meta.uid, node.meta.gid),
            size,
            mtime: i64::try_from(EPOCH).unwrap(),
            nlink: if kind == 0o04 { 2 + folders.count() as u64 } else { 1 },
            device: (0, 0),
            content,
            xattrs: BTreeMap::new(),
            same_as: String::new(),
        }
    };
    let folder = |mode| Node::root(mode, Kind::Directory);
    let made = [("", folder(0o755)), ("lost+found", folder(0o700))];
    let mut listing: Listing =
        nodes.iter().map(|(path, node)| (path.clone().into_bytes(), entry_of(path, node))).collect();
    listing.extend(made.iter().map(|(path, node)| (path.as_bytes().to_vec(), entry_of(path, node))));
    listing.get_mut(b"".as_slice()).unwrap().nlink += 1;
    listing
}

pub(crate) fn content(data: &Data) -> String {
    match data {
        Data::Bytes(bytes) => digest(bytes.len() as u64, |at, piece| {
            let from = usize::try_from(at).unwrap();
            piece.copy_from_slice(&bytes[from..from + piece.len()]);
            Ok(())
        }),
        Data::File { path, offset, len } => digest_of(path, *offset, *len, Holes::Trust),
    }
    .unwrap()
}
