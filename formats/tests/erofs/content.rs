//! An image holds what was given: judged by our reader and by foreign ones.

use super::{
    judge::judge,
    kit::{Maker, ROOT, content, every_kind, expected, noise, written},
};
use berth_formats::erofs::{
    Body, InodeIndex,
    read::{Image, StoredInode},
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::{FileTypeExt, PermissionsExt},
};
use tempfile::TempDir;

#[test]
fn every_kind_reads_back_as_it_was_given() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let path = folder.path().join("image");
    let image = Image::open(written(&maker.0, &path), 0).unwrap();
    let expected = expected(&maker.0);
    let walked: BTreeMap<Vec<u8>, StoredInode> = image.walk().unwrap().into_iter().collect();
    assert!(walked.keys().eq(expected.keys()));
    assert_eq!(image.superblock().inos, maker.0.inodes.len() as u64);
    for (path, index) in &expected {
        let (node, inode) = (&walked[path], &maker.0.inodes[index.0]);
        let place = String::from_utf8_lossy(path);
        assert_eq!(node.mode() & 0o7777, inode.meta.mode, "{place}");
        assert_eq!(node.owner(), (inode.meta.uid, inode.meta.gid), "{place}");
        assert_eq!(node.mtime(), maker.0.epoch, "{place}");
        assert_eq!(image.xattrs(node).unwrap(), inode.meta.xattrs, "{place}");
        let subdirectories = |names: &BTreeMap<_, InodeIndex>| {
            names.values().filter(|child| matches!(maker.0.inodes[child.0].body, Body::Directory(_))).count()
        };
        let (kind, nlink) = match &inode.body {
            Body::Directory(names) => (0o04, 2 + subdirectories(names)),
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
            // fsck.erofs 1.5 does not extract files with holes; the kernel reads them.
            Body::File(data) if data.len() >= 1 << 20 => assert!(found.is_file()),
            Body::File(data) => {
                assert!(found.is_file() && fs::read(&path).unwrap() == *data.to_bytes().unwrap(), "{}", path.display());
            }
            Body::Symlink(target) => {
                assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes(), target);
                continue;
            }
            Body::Directory(names) => assert_eq!(fs::read_dir(&path).unwrap().count(), names.len()),
            _ => assert!(found.file_type().is_fifo()),
        }
        assert_eq!(mode, u32::from(inode.meta.mode), "{}", path.display());
    }
}

#[test]
fn images_of_mkfs_are_read_and_ours_are_at_most_a_hundredth_larger() {
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
