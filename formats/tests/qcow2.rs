//! qcow2 images, judged by qemu-img.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::qcow2::{CLUSTER, Error, write};
use judge::judge;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};
use tempfile::TempDir;

fn open(path: &Path) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

/// Writes pieces of text into a sparse disk.
fn disk(path: &Path, size: u64, texts: &[u64]) -> File {
    let file = open(path);
    file.set_len(size).unwrap();
    texts.iter().for_each(|at| file.write_all_at(b"text", *at).unwrap());
    file
}

/// Converts a disk; qemu-img checks and compares the result. Returns QEMU's number of data clusters.
fn judged(folder: &Path, raw: &File) -> u64 {
    let (raw_path, path) = (folder.join("raw"), folder.join("qcow2"));
    let size = write(raw, &open(&path)).unwrap().size;
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    let (raw_path, path) = (raw_path.to_str().unwrap(), path.to_str().unwrap());
    let check: serde_json::Value = serde_json::from_str(&judge("qemu-img", &["check", "--output=json", path])).unwrap();
    assert_eq!(check["check-errors"], 0);
    for bad in ["corruptions", "leaks"] {
        assert_eq!(check.get(bad), None, "{check}");
    }
    assert_eq!(check["image-end-offset"], size);
    judge("qemu-img", &["compare", "-f", "raw", "-F", "qcow2", raw_path, path]);
    let info: serde_json::Value = serde_json::from_str(&judge("qemu-img", &["info", "--output=json", path])).unwrap();
    assert_eq!(info["virtual-size"], raw.metadata().unwrap().len());
    assert_eq!(info["cluster-size"], CLUSTER);
    assert_eq!(info["format-specific"]["data"]["compat"], "1.1");
    check["allocated-clusters"].as_u64().unwrap_or(0)
}

const GIB: u64 = 1 << 30;

#[test]
fn disks_of_many_shapes_are_what_qemu_reads() {
    let l2 = 8192 * CLUSTER;
    for (size, texts, clusters) in [
        (512, &[0][..], 1),
        (512, &[], 0),
        (CLUSTER, &[CLUSTER - 4], 1),
        // The disk ends within a cluster, once with data there and once without.
        (CLUSTER + 512, &[CLUSTER + 100], 1),
        (CLUSTER + 512, &[0], 1),
        (3 * CLUSTER, &[CLUSTER - 2], 2),
        // First and last cluster of an L2 table, an L2 table without data, and the third.
        (3 * l2, &[0, l2 - 4, 2 * l2 + 5 * CLUSTER], 3),
        (3 * l2 + 512, &[3 * l2], 1),
        (1024 * GIB, &[0, 512 * GIB, 1024 * GIB - 512], 3),
    ] {
        let folder = TempDir::new().unwrap();
        let raw = disk(&folder.path().join("raw"), size, texts);
        assert_eq!(judged(folder.path(), &raw), clusters, "{size} {texts:?}");
    }
}

#[test]
fn bytes_are_pinned_and_do_not_depend_on_holes() {
    let folder = TempDir::new().unwrap();
    let size = 100 * CLUSTER + 1024;
    let raw = disk(&folder.path().join("raw"), size, &[7, 9 * CLUSTER + 30_000, 50 * CLUSTER - 2, size - 4]);
    assert_eq!(judged(folder.path(), &raw), 5);
    let sparse = fs::read(folder.path().join("qcow2")).unwrap();
    let full = fs::read(folder.path().join("raw")).unwrap();
    fs::write(folder.path().join("raw"), full).unwrap();
    // Old bytes of the file must not remain.
    fs::write(folder.path().join("qcow2"), vec![0xff; 2_000_000]).unwrap();
    assert_eq!(judged(folder.path(), &open(&folder.path().join("raw"))), 5);
    assert!(fs::read(folder.path().join("qcow2")).unwrap() == sparse);
    let digest: String = Sha256::digest(&sparse).iter().map(|byte| format!("{byte:02x}")).collect();
    insta::assert_snapshot!(digest, @"f0e2cc6bcbf5ce5fab9028de2aad702d7d253d213aa7d0919f31b2656f688d7a");
}

#[test]
fn invalid_sizes_are_refused() {
    for size in [0, 511, 513] {
        let raw = tempfile::tempfile().unwrap();
        raw.set_len(size).unwrap();
        assert!(
            matches!(write(&raw, &tempfile::tempfile().unwrap()), Err(Error::Size { size: found }) if found == size)
        );
    }
}
