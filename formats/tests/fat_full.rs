//! A FAT32 volume with a thousand files in a folder and the longest names, judged by fsck.fat and mtools.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::judge::judge;
use berth_formats::{data::Data, fat, range::Range};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

/// Paths below a folder, with what is in the files.
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
fn a_thousand_files_and_the_longest_names_come_out_with_their_contents() {
    berth_judge::needs!("fsck.fat", "mcopy");
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    // All of them have the same beginning: their short names have to be told apart by number.
    for number in 0..1000_usize {
        files.insert(format!("many/a rather long name, number {number}.conf"), vec![b'x'; number % 700]);
    }
    // Names of every length up to the longest, which take 1 to 20 entries beside the short name's.
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
    // Around sectors and clusters.
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
