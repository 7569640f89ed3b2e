//! A FAT32 volume with a thousand files in a folder and the longest names, judged by fsck.fat and mtools.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{data::Data, fat, range::Range};
use judge::judge;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

/// Paths below a folder, with the contents of the files.
fn found(folder: &Path, below: &str, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found(&entry.path(), &format!("{path}/"), into);
        } else {
            into.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_thousand_files_and_the_longest_names_are_read_with_their_contents() {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // All names have the same beginning, so that their short names need numbers.
    for number in 0..1000_usize {
        files.insert(format!("many/a rather long name, number {number}.conf"), vec![b'x'; number % 700]);
    }
    // Names of every length up to the longest: 1 to 20 slots in addition to the short entry.
    for len in 1..=255 {
        files.insert(format!("lengths/{}", "n".repeat(len)), format!("{len}").into_bytes());
    }
    for name in
        ["\u{e4}\u{f6}\u{fc}", "\u{65e5}\u{672c}", "two.dots.here", "lower", "Mixed.Case", "UPPER.TXT", "+,;=[]"]
    {
        files.insert(format!("names/{name}"), name.into());
    }
    let deep = "deep/".repeat(30);
    files.insert(format!("{deep}down"), b"here".to_vec());
    // Lengths around those of sectors and clusters.
    for len in [0, 1, 511, 512, 513, 2047, 2048, 2049, 65_536, 1_000_000] {
        files.insert(format!("sizes/{len}"), vec![0xa5; len]);
    }

    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("volume"), dir.path().join("out"));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(256 << 20).unwrap();
    let data = files.iter().map(|(path, bytes)| (path.clone(), Data::from(bytes.clone()))).collect();
    fat::write(&Range::new(&file, 0, 256 << 20), "ESP", 1, 1_795_219_200, &data).unwrap();

    let path = path.to_str().unwrap();
    let verdict = judge("fsck.fat", &["-n", "-v", path]);
    for complaint in ["differ", "Reclaim", "wrong", "dirty", "uninitialized", "Start", "lfn", "LFN", "Duplicate"] {
        assert!(!verdict.contains(complaint), "{complaint}: {verdict}");
    }
    fs::create_dir(&out).unwrap();
    judge("mcopy", &["-i", path, "-s", "-n", "::*", out.to_str().unwrap()]);
    let mut copied = BTreeMap::new();
    found(&out, "", &mut copied);
    assert!(copied.keys().eq(files.keys()), "{} of {}", copied.len(), files.len());
    assert!(copied == files);
}
