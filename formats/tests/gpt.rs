//! Partition tables, judged by sgdisk and sfdisk.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::gpt::{self, GptError, Grown, Partition, Which, Wrong};
use judge::judge;
use std::{
    fs::{self, File, OpenOptions},
    io::Cursor,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const DISK: [u8; 16] = *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";

fn partition(number: u32, start: u64, size: u64, label: &str) -> Partition {
    let guid = |text: &str| uuid::Uuid::parse_str(text).unwrap().into_bytes();
    let (type_guid, attributes) = match number {
        1 => (guid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), 0),
        2 => (guid("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), 1 << 60),
        _ => (guid("4d21b016-b534-45c2-a9fb-5c16e091fd2d"), 1 << 59 | 1 << 63),
    };
    Partition {
        number,
        type_guid,
        guid: [u8::try_from(number).unwrap(); 16],
        start,
        size,
        attributes,
        label: label.into(),
    }
}

fn layout() -> Vec<Partition> {
    vec![
        partition(1, MIB, 256 * MIB, "esp"),
        partition(2, 257 * MIB, GIB, "root-a"),
        partition(3, 4 * GIB, 512 * MIB, "var-äöü"),
    ]
}

fn disk(path: &Path, size: u64) -> File {
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
    file.set_len(size).unwrap();
    gpt::write(&mut file, DISK, &layout()).unwrap();
    file
}

fn sound(path: &Path) {
    let path = path.to_str().unwrap();
    let verdict = judge("sgdisk", &["-v", path]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let verdict = judge("sfdisk", &["-V", path]);
    assert!(verdict.contains("No errors detected"), "{verdict}");
    // sfdisk warns on stderr about a backup or a protective MBR that do not fit the disk.
    let dump = judge("sfdisk", &["--dump", path]);
    assert!(!dump.contains("GPT PMBR") && !dump.contains("backup GPT"), "{dump}");
}

#[test]
fn sgdisk_and_sfdisk_find_the_tables_valid() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("disk"), dir.path().join("other"));
    let mut file = disk(&path, 8 * GIB);
    sound(&path);
    let dump = judge("sfdisk", &["--dump", path.to_str().unwrap()]);
    for wanted in [
        "label-id: 01234567-89AB-CDEF-0123-456789ABCDEF",
        "disk1 : start=        2048, size=      524288, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=01010101-0101-0101-0101-010101010101, name=\"esp\"",
        "type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=02020202-0202-0202-0202-020202020202, name=\"root-a\", attrs=\"GUID:60\"",
        "disk3 : start=     8388608, size=     1048576, type=4D21B016-B534-45C2-A9FB-5C16E091FD2D",
        r#"name="var-\xc3\xa4\xc3\xb6\xc3\xbc", attrs="GUID:59,63""#,
    ] {
        assert!(dump.contains(wanted), "{wanted} in {dump}");
    }
    let table = gpt::read(&mut file).unwrap();
    assert!(table.damage.is_none() && table.disk_guid == DISK);
    assert_eq!(table.partitions, layout());

    // Reproducible and sparse.
    let again = disk(&other, 8 * GIB);
    let (mut one, mut two) = ([0; 34 * 512], [0; 34 * 512]);
    for offset in [0, 8 * GIB - 34 * 512] {
        file.read_exact_at(&mut one, offset).unwrap();
        again.read_exact_at(&mut two, offset).unwrap();
        assert_eq!(one, two);
    }
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 64 * 1024);
}

#[test]
fn the_last_partition_grows_to_the_end_of_a_larger_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let mut file = disk(&path, 8 * GIB);
    // As after writing the image to a larger disk: no backup at its end.
    file.set_len(1024 * GIB).unwrap();
    let size = 1024 * GIB - 4 * GIB - MIB;
    assert_eq!(gpt::grow_last(&mut file, 1024 * GIB).unwrap(), Grown::To { size });
    sound(&path);
    let table = gpt::read(&mut file).unwrap();
    assert!(table.damage.is_none());
    let mut wanted = layout();
    wanted[2].size = size;
    assert_eq!((table.disk_guid, table.partitions), (DISK, wanted));
    let before = fs::metadata(&path).unwrap().mtime_nsec();
    assert_eq!(gpt::grow_last(&mut file, 1024 * GIB).unwrap(), Grown::Already);
    assert_eq!(fs::metadata(&path).unwrap().mtime_nsec(), before, "nothing to do, nothing written");

    // A disk of more than 2 TiB, and a size that is not a multiple of a MiB.
    let odd = 4096 * GIB + 70 * 512;
    file.set_len(odd).unwrap();
    assert_eq!(gpt::grow_last(&mut file, odd).unwrap(), Grown::To { size: 4092 * GIB });
    sound(&path);
}

#[test]
fn growth_survives_a_cut_at_any_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let small = disk(&path, 8 * GIB);
    let mut first = vec![0; 34 * 512];
    small.read_exact_at(&mut first, 0).unwrap();
    let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    file.set_len(16 * GIB).unwrap();
    gpt::grow_last(&mut file, 16 * GIB).unwrap();
    let mut grown = vec![0; 34 * 512];
    file.read_exact_at(&mut grown, 0).unwrap();

    // The backup is written, the primary is not: the old table counts, and growing again completes the change.
    file.write_all_at(&first, 0).unwrap();
    let table = gpt::read(&mut file).unwrap();
    assert_eq!(table.partitions, layout());
    assert_eq!(gpt::grow_last(&mut file, 16 * GIB).unwrap(), Grown::To { size: 12 * GIB - MIB });
    sound(&path);

    // The primary's header or its entries are old: the backup counts, and growing again repairs.
    for (header, entries) in [(&first, &grown), (&grown, &first)] {
        file.write_all_at(&header[..1024], 0).unwrap();
        file.write_all_at(&entries[1024..], 1024).unwrap();
        let table = gpt::read(&mut file).unwrap();
        assert!(matches!(
            table.damage,
            Some(GptError::Broken { which: Which::Primary, lba: 1, wrong: Wrong::ArrayCrc })
        ));
        assert_eq!(table.partitions[2].size, 12 * GIB - MIB);
        assert_eq!(gpt::grow_last(&mut file, 16 * GIB).unwrap(), Grown::Already);
        sound(&path);
    }

    // The backup is half written, the primary is valid.
    file.write_all_at(&[0xff; 512], 16 * GIB - 512).unwrap();
    let damage = gpt::read(&mut file).unwrap().damage.unwrap();
    assert_eq!(damage.to_string(), "backup partition table at sector 33554431: no signature \"EFI PART\"");
    assert_eq!(gpt::grow_last(&mut file, 16 * GIB).unwrap(), Grown::Already);
    sound(&path);
}

#[test]
fn a_table_made_by_sfdisk_is_read_and_grown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(GIB).unwrap();
    let script = "printf 'label: gpt\\n2: size=100MiB, name=two\\n7: size=100MiB, name=seven\\n' | sfdisk -q ";
    judge("sh", &["-c", &format!("{script}{}", path.display())]);
    let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let table = gpt::read(&mut file).unwrap();
    let names: Vec<_> = table.partitions.iter().map(|p| (p.number, p.label.as_str(), p.start)).collect();
    assert_eq!(names, [(2, "two", MIB), (7, "seven", 101 * MIB)]);
    file.set_len(2 * GIB).unwrap();
    assert_eq!(gpt::grow_last(&mut file, 2 * GIB).unwrap(), Grown::To { size: 1946 * MIB });
    sound(&path);
}

#[test]
fn invalid_tables_are_refused_with_the_reason() {
    let error = gpt::read(&mut Cursor::new(vec![0; 1 << 20])).unwrap_err().to_string();
    assert_eq!(
        error,
        "no usable partition table: primary partition table at sector 1: no signature \"EFI PART\"; \
         backup partition table at sector 2047: no signature \"EFI PART\""
    );
    assert!(gpt::read(&mut Cursor::new(Vec::new())).is_err());

    // A change of any byte of the structures is found or harmless, and there is no panic.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(4 * MIB).unwrap();
    gpt::write(&mut file, DISK, &[partition(1, MIB, MIB, "one")]).unwrap();
    let image = fs::read(&path).unwrap();
    for at in (512..604).chain(1024..1152) {
        let mut bad = image.clone();
        bad[at] ^= 0x80;
        let table = gpt::read(&mut Cursor::new(bad)).unwrap();
        assert!(matches!(table.damage, Some(GptError::Broken { which: Which::Primary, .. })), "byte {at}");
        assert_eq!(table.partitions, [partition(1, MIB, MIB, "one")]);
    }
    // A disk that is smaller than its table says.
    assert!(matches!(gpt::grow_last(&mut file, 2 * MIB), Err(GptError::TooSmall { .. })));
    assert_eq!(fs::read(&path).unwrap(), image);
}

#[test]
fn partitions_that_form_no_table_are_refused() {
    let mut file = tempfile::tempfile().unwrap();
    file.set_len(8 * MIB).unwrap();
    let long = "x".repeat(37);
    for (bad, reason) in [
        (vec![partition(2, MIB, MIB, "a")], "expected number 1"),
        (vec![partition(1, MIB, MIB, "a"), partition(2, MIB + 512, MIB, "b")], "overlaps partition 2"),
        (vec![partition(1, MIB + 1, MIB, "a")], "multiples of 512"),
        (vec![partition(1, MIB, 0, "a")], "size not 0"),
        (vec![partition(1, MIB, 7 * MIB, "a")], "outside the usable"),
        (vec![partition(1, 512, 512, "a")], "outside the usable"),
        (vec![partition(1, u64::MAX - 511, 512, "a")], "outside the usable"),
        (vec![partition(1, MIB, MIB, &long)], "37 UTF-16 units"),
        (vec![Partition { type_guid: [0; 16], ..partition(1, MIB, MIB, "a") }], "unused entry"),
    ] {
        let error = gpt::write(&mut file, DISK, &bad).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    file.set_len(1024).unwrap();
    assert!(matches!(gpt::write(&mut file, DISK, &[]), Err(GptError::TooSmall { size: 1024, .. })));
}
