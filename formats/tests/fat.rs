//! FAT32 volumes, judged by fsck.fat and mtools.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{
    data::Data,
    fat::{self, FatError},
    range::Range,
};
use judge::judge;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::MetadataExt,
    path::Path,
};

const MIB: u64 = 1 << 20;
const EPOCH: u64 = 1_795_219_200 + 3661; // 2026-11-21 01:01:01

fn image(path: &Path, start: u64, len: u64) -> File {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(start + len).unwrap();
    file
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

fn esp() -> BTreeMap<String, Data> {
    let file = |path: &str, bytes: Vec<u8>| (path.to_owned(), Data::from(bytes));
    let mut files = BTreeMap::from([
        file("EFI/BOOT/BOOTX64.EFI", noise(140_891)),
        file("EFI/systemd/systemd-bootx64.efi", noise(140_891)),
        file("EFI/Linux/berth-docker_2026.11.0+3.efi", noise(15_000_001)),
        file("EFI/Linux/berth-docker_2026.10.0.efi", noise(0)),
        file("loader/loader.conf", b"timeout 0\n".to_vec()),
        file("a b/\u{e4}\u{f6}.txt", b"umlauts\n".to_vec()),
    ]);
    // So many files that their directory needs more than one cluster, and so many directories.
    files.extend((0..100).map(|i| file(&format!("berth/many/file number {i:03}.toml"), noise(i))));
    files.extend((0..60).map(|i| file(&format!("deep/directory {i:02}/x"), noise(i))));
    files
}

#[test]
fn volumes_are_clean_readable_sparse_and_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let files = esp();
    for path in [&one, &two] {
        let file = image(path, 0, 256 * MIB);
        fat::write(&Range::new(&file, 0, 256 * MIB), "ESP", 0x1234_abcd, EPOCH, &files).unwrap();
    }
    let path = one.to_str().unwrap();
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "two runs differ");
    let used = fs::metadata(&one).unwrap().blocks() * 512;
    assert!(used < 17 * MIB, "{used} bytes on disk");

    let verdict = judge("fsck.fat", &["-n", "-v", path]);
    assert!(verdict.contains("2048 bytes per cluster") && verdict.contains("32 bit entries"), "{verdict}");
    for complaint in ["differ", "Reclaim", "wrong", "dirty", "uninitialized", "Start", "lfn", "LFN"] {
        assert!(!verdict.contains(complaint), "{verdict}");
    }
    let list = judge("mdir", &["-i", path, "-/", "-a", "::"]);
    assert!(list.contains("Volume in drive : is ESP"), "{list}");
    assert!(list.contains("Volume Serial Number is 1234-ABCD"), "{list}");
    assert!(list.contains("berth-docker_2026.11.0+3.efi"), "{list}");
    assert!(list.contains("2026-11-21   1:01"), "{list}");

    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    judge("mcopy", &["-i", path, "-s", "-n", "-m", "::*", out.to_str().unwrap()]);
    for (path, data) in &files {
        assert!(fs::read(out.join(path)).unwrap() == *data.to_bytes().unwrap(), "{path}");
    }
    assert_eq!(judge("mtype", &["-i", path, "::loader/loader.conf"]), "timeout 0\n");
    // What systemd-boot does at each boot, with a foreign FAT driver.
    judge("mren", &["-i", path, "::EFI/Linux/berth-docker_2026.11.0+3.efi", "berth-docker_2026.11.0+2-1.efi"]);
    judge("fsck.fat", &["-n", path]);
}

#[test]
fn a_volume_inside_a_disk_does_not_write_outside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = image(&path, MIB, 64 * MIB);
    let source = dir.path().join("package.tar");
    fs::write(&source, b"....content....").unwrap();
    let data = Data::File { path: source.into(), offset: 4, len: 7 };
    let files = BTreeMap::from([("f".to_owned(), data)]);
    fat::write(&Range::new(&file, MIB, 34 * MIB), "A_B-1", 1, 0, &files).unwrap();
    let disk = fs::read(&path).unwrap();
    let mib = usize::try_from(MIB).unwrap();
    assert!(disk[..mib].iter().chain(&disk[35 * mib..]).all(|&byte| byte == 0));
    assert_eq!(judge("mtype", &["-i", &format!("{}@@1M", path.display()), "::f"]), "content");
    let alone = dir.path().join("alone");
    fs::write(&alone, &disk[mib..35 * mib]).unwrap();
    let verdict = judge("fsck.fat", &["-n", "-v", alone.to_str().unwrap()]);
    assert!(verdict.contains("512 bytes per cluster"), "{verdict}");
}

#[test]
fn clusters_are_as_large_as_fat32_allows() {
    let dir = tempfile::tempdir().unwrap();
    for (size, cluster) in [(33, 512), (64, 512), (65, 1024), (256, 2048), (257, 4096), (2 << 10, 4096)] {
        let path = dir.path().join(size.to_string());
        let file = image(&path, 0, size * MIB);
        let files = BTreeMap::from([("EFI/x".to_owned(), Data::from(noise(5000)))]);
        fat::write(&Range::new(&file, 0, size * MIB), "ESP", 1, EPOCH, &files).unwrap();
        let verdict = judge("fsck.fat", &["-n", "-v", path.to_str().unwrap()]);
        assert!(verdict.contains(&format!("{cluster} bytes per cluster")), "{size}: {verdict}");
        assert!(verdict.contains("32 bit entries"), "{size}: {verdict}");
        assert_eq!(judge("mdir", &["-i", path.to_str().unwrap(), "-b", "::EFI"]), "::/EFI/x\n");
    }
}

#[test]
fn content_that_fat_cannot_hold_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = image(&dir.path().join("disk"), 0, 64 * MIB);
    let write = |label: &str, size: u64, paths: &[(&str, usize)]| {
        let files = paths.iter().map(|(path, len)| ((*path).to_owned(), Data::from(vec![1; *len]))).collect();
        fat::write(&Range::new(&file, 0, size), label, 1, 0, &files)
    };
    let error = write("ESP", 33 * MIB - 512, &[]).unwrap_err().to_string();
    assert_eq!(error, "a FAT32 volume needs 34603008 bytes (33 MiB) at least and 32 GiB at most, found 34602496");
    for label in ["", "esp", "TWELVE CHARS", " A", "Ä"] {
        assert!(matches!(write(label, 34 * MIB, &[]), Err(FatError::Label { .. })), "{label}");
    }
    let long = "x".repeat(256);
    for path in ["", "/a", "a/", "a//b", "a/..", ".", "a.", "a ", "a:b", "a\\b", "a\nb", "a*", &long] {
        assert!(matches!(write("ESP", 34 * MIB, &[(path, 0)]), Err(FatError::Path { .. })), "{path}");
    }
    for (one, other) in [("a/b", "A/c"), ("a", "A"), ("a", "a/b"), ("x/y", "x/Y")] {
        let result = write("ESP", 34 * MIB, &[(one, 0), (other, 0)]);
        assert!(matches!(result, Err(FatError::Clash { .. })), "{one} {other} {result:?}");
    }
    assert!(matches!(write("ESP", 34 * MIB, &[("a", 40 << 20)]), Err(FatError::Full { wanted: 41_943_040, .. })));
    let short = Data::File { path: Path::new("/dev/null").into(), offset: 0, len: 1 };
    let error = fat::write(&Range::new(&file, 0, 34 * MIB), "ESP", 1, 0, &BTreeMap::from([("a".to_owned(), short)]));
    assert!(matches!(error, Err(FatError::File { path, .. }) if path == "a"));
}
