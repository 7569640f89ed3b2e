//! The layout of an image: reproducible, sparse, and small changes move few blocks.

use super::{
    judge::judge,
    kit::{Maker, ROOT, content, every_kind, noise, written},
};
use berth_formats::{
    data::Data,
    erofs::{Body, Plan, read::Image},
};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    num::NonZeroUsize,
    os::unix::fs::{FileExt, MetadataExt},
};
use tempfile::TempDir;

#[test]
fn bytes_are_pinned_and_do_not_depend_on_threads() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let plan = Plan::new(&maker.0).unwrap();
    let path = folder.path().join("image");
    let mut seen = Vec::new();
    for threads in [1, 2, 5] {
        // Old bytes of the file must not remain.
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
    // From the second byte on and without the last byte: only the window counts.
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

/// A change moves only the blocks that the layout promises: the file's own, those of referring inodes, a few self-contained.
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
