//! Changes of FAT32 volumes of ours and of mkfs.fat, judged by fsck.fat and mtools.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{
    data::Data,
    fat::{self, Editor, Volume, VolumeError},
    range::Range,
};
use judge::judge;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const MIB: u64 = 1 << 20;
const ENTRIES: &str = "EFI/Linux";

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// A volume as the builder makes it.
fn ours(path: &Path, size: u64) {
    let file = open(path);
    file.set_len(size).unwrap();
    let files = BTreeMap::from([
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), Data::from(noise(9000, 1))),
        (format!("{ENTRIES}/berth_1.efi"), Data::from(noise(70_000, 2))),
        ("loader/loader.conf".to_owned(), Data::from(b"timeout 0\n".to_vec())),
    ]);
    fat::write(&Range::new(&file, 0, size), "ESP", 1, 0, &files).unwrap();
}

/// A volume that mkfs.fat makes and mtools fill, with names of all kinds.
fn theirs(path: &Path, sector: u32, cluster: u32) {
    let file = path.to_str().unwrap();
    open(path).set_len(300 * MIB).unwrap();
    let (sector, cluster) = (sector.to_string(), (cluster / sector).to_string());
    judge("mkfs.fat", &["-F", "32", "-S", &sector, "-s", &cluster, "-n", "ESP", file]);
    judge("mmd", &["-i", file, "::EFI", "::EFI/Linux", "::odd"]);
    let source = path.with_extension("source");
    fs::write(&source, noise(70_000, 2)).unwrap();
    let source = source.to_str().unwrap();
    for name in ["berth_1.efi", "PLAIN.EFI", "lower.efi", "\u{e4}\u{f6} \u{fc}.efi", "a.b.c+[1],;=.txt", "noending"] {
        judge("mcopy", &["-i", file, source, &format!("::EFI/Linux/{name}")]);
    }
    // Long names in two sectors, with free slots between them.
    for number in 0..40 {
        let name = format!("::EFI/Linux/{number:02} {}.txt", "x".repeat(90));
        judge("mcopy", &["-i", file, "/dev/null", &name]);
        if number % 3 == 0 {
            judge("mdel", &["-i", file, &name]);
        }
    }
}

fn listed(path: &Path, folder: &str) -> Vec<String> {
    let volume = Volume::open(open(path)).unwrap();
    volume.list(folder).unwrap().into_iter().map(|item| item.name).collect()
}

/// The listing of mtools, without the folder.
fn by_mtools(path: &Path, folder: &str) -> Vec<String> {
    let text = judge("mdir", &["-i", path.to_str().unwrap(), "-b", "-a", &format!("::{folder}")]);
    text.lines().filter_map(|line| line.rsplit('/').next()).map(str::to_owned).collect()
}

fn check(path: &Path, folder: &str) {
    fsck(path);
    compare(path, folder);
}

fn fsck(path: &Path) {
    let verdict = judge("fsck.fat", &["-n", "-v", path.to_str().unwrap()]);
    for complaint in ["differ", "Reclaim", "wrong", "dirty", "Start", "Orphan", "Wrong"] {
        assert!(!verdict.contains(complaint), "{verdict}");
    }
}

fn compare(path: &Path, folder: &str) {
    let (mut ours, mut theirs) = (listed(path, folder), by_mtools(path, folder));
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn foreign_programs_see_added_renamed_and_removed_files() {
    let dir = tempfile::tempdir().unwrap();
    let makers: [fn(&Path); 5] = [
        |path| ours(path, 34 * MIB),
        |path| ours(path, 256 * MIB),
        |path| theirs(path, 512, 512),
        |path| theirs(path, 512, 4096),
        |path| theirs(path, 4096, 4096),
    ];
    for (number, make) in makers.iter().enumerate() {
        let path: PathBuf = dir.path().join(number.to_string());
        make(&path);
        check(&path, ENTRIES);
        let free = Volume::open(open(&path)).unwrap().free();
        let bytes = noise(3_000_001, 7);
        let mut editor = Editor::open(open(&path)).unwrap();
        editor.add(ENTRIES, "berth_2.staged", bytes.len() as u64, &mut &bytes[..]).unwrap();
        check(&path, ENTRIES);
        editor.rename(ENTRIES, "berth_2.staged", "berth_2+3.efi").unwrap();
        check(&path, ENTRIES);
        assert_eq!(editor.free(), free - editor.whole(bytes.len() as u64));
        assert_eq!(Volume::open(open(&path)).unwrap().free(), editor.free());
        // systemd-boot counts with another driver; then the counter is removed.
        judge("mren", &["-i", path.to_str().unwrap(), "::EFI/Linux/berth_2+3.efi", "berth_2+2-1.efi"]);
        let mut editor = Editor::open(open(&path)).unwrap();
        editor.rename(ENTRIES, "berth_2+2-1.efi", "berth_2.efi").unwrap();
        editor.remove(ENTRIES, "BERTH_1.EFI").unwrap();
        check(&path, ENTRIES);
        let names = listed(&path, ENTRIES);
        assert!(names.contains(&"berth_2.efi".into()) && !names.contains(&"berth_1.efi".into()), "{names:?}");
        let copy = dir.path().join("copy");
        let copied = ["-i", path.to_str().unwrap(), "-n", "::EFI/Linux/berth_2.efi", copy.to_str().unwrap()];
        judge("mcopy", &copied);
        assert!(fs::read(&copy).unwrap() == bytes, "volume {number}");
        fs::remove_file(&copy).unwrap();
        assert!(editor.read("efi/linux/BERTH_2.efi", bytes.len()).unwrap() == bytes);
        let mut part = [0; 777];
        editor.file("EFI/Linux/berth_2.efi").unwrap().read_at(&mut part, 1_000_003).unwrap();
        assert!(part == bytes[1_000_003..1_000_780]);
    }
}

/// Many entries of all lengths: sectors overflow, directories grow, and free slots are used again.
#[test]
fn hundreds_of_changes_leave_a_clean_volume() {
    let dir = tempfile::tempdir().unwrap();
    for (name, size) in [("small", 34 * MIB), ("large", 300 * MIB)] {
        let path = dir.path().join(name);
        ours(&path, size);
        let mut editor = Editor::open(open(&path)).unwrap();
        let free = editor.free();
        let mut there: Vec<String> = Vec::new();
        let random = noise(3 * 300, 99);
        for (number, random) in random.chunks(3).enumerate() {
            let long =
                |length: u8| format!("{number:03}{}.efi", "long name ".repeat(usize::from(length % 19)).trim_end());
            let which = usize::from(random[1]) % there.len().max(1);
            match random[0] % 4 {
                0 | 1 => {
                    let bytes = noise(usize::from(random[1]) * 20, 5);
                    editor.add(ENTRIES, &long(random[2]), bytes.len() as u64, &mut &bytes[..]).unwrap();
                    there.push(long(random[2]));
                }
                2 if !there.is_empty() => editor.remove(ENTRIES, &there.swap_remove(which)).unwrap(),
                3 if !there.is_empty() => {
                    editor.rename(ENTRIES, &there[which], &long(random[2])).unwrap();
                    there[which] = long(random[2]);
                }
                _ => {}
            }
            if number % 20 == 0 {
                check(&path, ENTRIES);
            }
        }
        check(&path, ENTRIES);
        let mut names = listed(&path, ENTRIES);
        names.retain(|name| name != "berth_1.efi");
        names.sort();
        there.sort();
        assert_eq!(names, there);
        for name in &there {
            editor.remove(ENTRIES, name).unwrap();
        }
        check(&path, ENTRIES);
        let grown = free - editor.free();
        assert!(grown <= 32 << 10, "only the directory itself is larger: {grown}");
    }
}

#[test]
fn bytes_after_a_directorys_end_mark_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    ours(&path, 256 * MIB);
    // The directory is the one cluster that holds this short name. Fill the bytes after its end mark with entries.
    let disk = fs::read(&path).unwrap();
    let at = disk.windows(11).position(|window| window.starts_with(b"BERTH_") && window.ends_with(b"EFI")).unwrap();
    let cluster = at / 2048 * 2048;
    let end = (cluster..).step_by(32).find(|&at| disk[at] == 0).unwrap();
    let garbage = b"GARBAGE TXT".iter().copied().chain([0x20; 21]);
    let garbage: Vec<u8> = garbage.cycle().take(cluster + 2048 - end - 32).collect();
    open(&path).write_all_at(&garbage, end as u64 + 32).unwrap();
    // fsck.fat reads the bytes after the mark, unlike drivers.
    compare(&path, ENTRIES);
    let mut editor = Editor::open(open(&path)).unwrap();
    // Short names: slots are used one by one, up to the last of each sector.
    for number in 10..60 {
        editor.add(ENTRIES, &format!("{number}.efi"), 0, &mut &b""[..]).unwrap();
        compare(&path, ENTRIES);
    }
    assert_eq!(listed(&path, ENTRIES).len(), 51);
}

#[test]
fn a_change_that_fails_leaves_the_volume_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    ours(&path, 34 * MIB);
    let before = fs::read(&path).unwrap();
    let mut editor = Editor::open(open(&path)).unwrap();
    let said = |result: Result<(), VolumeError>| result.unwrap_err().to_string();
    let mut add = |folder: &str, name: &str, len: u64| said(editor.add(folder, name, len, &mut &b"four"[..]));
    assert_eq!(add(ENTRIES, "BERTH_1.efi", 4), "FAT volume: there is a \"EFI/Linux/BERTH_1.efi\" already");
    assert_eq!(add(ENTRIES, "x", 5), "cannot read what is to become \"EFI/Linux/x\"");
    assert_eq!(add("EFI/No", "x", 4), "FAT volume: there is no \"EFI/No\"");
    assert_eq!(add("EFI/Linux/berth_1.efi", "x", 4), "FAT volume: \"EFI/Linux/berth_1.efi\" is not a directory");
    let full = add(ENTRIES, "x", 40 * MIB);
    assert!(full.starts_with("FAT volume: 41943040 bytes are needed, 3"), "{full}");
    assert!(add(ENTRIES, "x", 1 << 32).contains("are needed"));
    for name in ["", "a/b", "a:", "a.", " a", "a ", "a\n", &"x".repeat(196)] {
        assert!(add(ENTRIES, name, 4).starts_with("FAT name"), "{name}");
    }
    assert!(said(editor.remove(ENTRIES, "none")).contains("there is no"));
    assert!(said(editor.remove("EFI", "Linux")).contains("not a file"));
    assert!(said(editor.rename(ENTRIES, "none", "x")).contains("there is no"));
    assert!(said(editor.rename("EFI", "Linux", "x")).contains("not a file"));
    editor.add(ENTRIES, "other", 4, &mut &b"four"[..]).unwrap();
    assert!(said(editor.rename(ENTRIES, "other", "berth_1.EFI")).contains("already"));
    editor.rename(ENTRIES, "other", "OTHER").unwrap();
    assert!(matches!(editor.read("EFI/Linux/OTHER", 3), Err(VolumeError::Damaged { .. })));
    editor.remove(ENTRIES, "other").unwrap();
    check(&path, ENTRIES);
    // All is as before, except for deleted slots and for bytes of a failed write in free clusters.
    assert_eq!(listed(&path, ENTRIES), ["berth_1.efi"]);
    assert_eq!(fs::read(&path).unwrap()[..34 * 512], before[..34 * 512]);
}

#[test]
fn damage_by_other_programs_is_refused_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    ours(&path, 34 * MIB);
    let good = fs::read(&path).unwrap();
    let word = |at: usize| usize::from(u16::from_le_bytes([good[at], good[at + 1]]));
    let table = word(14) * 512;
    let judged = |at: usize, bytes: &[u8]| {
        // A repair may change only the tables and directories, which are at the beginning.
        let file = open(&path);
        file.write_all_at(&good[..1 << 20], 0).unwrap();
        file.write_all_at(bytes, at as u64).unwrap();
        let added = Editor::open(file).and_then(|mut editor| editor.add("EFI/Linux", "x", 1, &mut &b"x"[..]));
        added.map_err(|error| error.to_string())
    };
    assert!(judged(0, &[]).is_ok());
    for (at, bytes, field) in [
        (510, &[0, 0][..], "Signature_word"),
        (11, &[0, 1], "BPB_BytsPerSec"),
        (13, &[3], "BPB_SecPerClus"),
        (14, &[0, 0], "BPB_RsvdSecCnt"),
        (16, &[3], "BPB_NumFATs"),
        (17, &[0, 2], "BPB_RootEntCnt"),
        (22, &[1, 0], "BPB_FATSz16"),
        (32, &[0xff; 4], "BPB_TotSec32"),
        (36, &[0xff; 4], "BPB_FATSz32"),
        (40, &[0x80, 0], "BPB_ExtFlags"),
        (44, &[1, 0, 0, 0], "BPB_RootClus"),
        (48, &[0xff, 0xff], "BPB_FSInfo"),
    ] {
        let error = judged(at, bytes).unwrap_err();
        assert!(error.contains(field), "{error}");
    }
    // The root's chain leads to itself, to no cluster, to a free cluster.
    for (next, why) in [(2_u32, "has no end"), (0x00ff_ffff, "does not exist"), (60_000, "marked as free")] {
        let error = judged(table + 8, &next.to_le_bytes()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    // A file's chain leads into another file's clusters: found for either file.
    let first = |name: &[u8; 11]| {
        let at = good.windows(11).position(|window| window == name).unwrap();
        (at + 26, word(at + 26))
    };
    let ((at, _), (_, other)) = (first(b"BOOTX64 EFI"), first(b"LOADER~1CON"));
    let error = judged(at, &u16::try_from(other).unwrap().to_le_bytes()).unwrap_err();
    assert!(error.contains("something else as well"), "{error}");
    // No cluster is allocated or freed then. An entry of another folder can still be renamed, so that a boot can be blessed.
    let mut editor = Editor::open(open(&path)).unwrap();
    assert!(editor.remove(ENTRIES, "berth_1.efi").is_err());
    editor.rename(ENTRIES, "berth_1.efi", "berth_1+3.efi").unwrap();
    compare(&path, ENTRIES);
    assert!(Editor::open(open(&path)).unwrap().check_sound().is_err());
    // A file whose chain is damaged is an error only when it is read.
    let (_, other) = first(b"BOOTX64 EFI");
    assert!(judged(table + 4 * (other + 3), &[0; 4]).is_ok());
    let mut editor = Editor::open(open(&path)).unwrap();
    assert!(editor.read("EFI/BOOT/BOOTX64.EFI", 1 << 20).unwrap_err().to_string().contains("fewer clusters"));
    editor.remove("EFI/BOOT", "BOOTX64.EFI").unwrap();
    check(&path, ENTRIES);
    // A file whose chain is a cycle keeps its clusters.
    fs::write(&path, &good).unwrap();
    let (_, circle) = first(b"BOOTX64 EFI");
    let back = u32::try_from(circle).unwrap().to_le_bytes();
    open(&path).write_all_at(&back, (table + 4 * (circle + 1)) as u64).unwrap();
    let mut editor = Editor::open(open(&path)).unwrap();
    let all = editor.free() - 4096;
    editor.add(ENTRIES, "new.efi", all, &mut std::io::repeat(7)).unwrap();
    let mut editor = Editor::open(open(&path)).unwrap();
    editor.check_sound().unwrap();
    editor.remove("EFI/BOOT", "BOOTX64.EFI").unwrap();
    assert_eq!(editor.read(&format!("{ENTRIES}/new.efi"), usize::MAX).unwrap().len() as u64, all);
    check(&path, ENTRIES);
    // Every byte of table and boot sector in turn: no panic, no endless loop.
    for at in (0..512).chain(table..table + 600) {
        let _ = judged(at, &[good[at] ^ 0x41]);
    }
}
