//! Damaged disks and wrong servers: another way succeeds, or the slot holds no version.

use super::kit::{BLOCK, Chance, Disk, Folder, Lie, name, new_image, old_image, release_version};
use berth_contract::{release::Target, update::Way};
use hostctl::slots::{Filling, Idle, SlotError, Survey};
use std::{
    fs::{self, File},
    io::Write,
    process::Command,
};
use tempfile::TempDir;

/// A disk from which the old version runs, and the bytes of its slot B.
pub(crate) fn old_disk(new: &[u8]) -> (Disk, Vec<u8>) {
    let disk = Disk::new(&old_image(), new.len());
    let before = fs::read(disk.path("b")).unwrap();
    (disk, before)
}

#[test]
fn a_flipped_bit_in_the_running_slot_costs_one_chunk() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let remote = Folder::new(folder.path());
    let (disk, _) = old_disk(&new);
    let whole = disk.upgrade(&record, &remote).0.unwrap().fetched;

    let (disk, before) = old_disk(&new);
    let mut bytes = old_image();
    bytes[300 * BLOCK + 17] ^= 4;
    disk.overwrite("a", 0, &bytes);
    let (filled, fell_back) = disk.upgrade(&record, &remote);
    let filled = filled.unwrap();
    assert_eq!((filled.way, fell_back), (Way::Blocks, vec![]));
    let more = filled.fetched - whole;
    assert!(more > 0 && more < 16 * BLOCK as u64, "{more}");
    disk.judge(&new, &record, &before);
}

#[test]
fn missing_targets_are_noticed_before_anything_is_written() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let (disk, before) = old_disk(&new);
    let slots = disk.slots();
    let reach = |surveyed: &Folder, asked: &Folder| {
        let of = |remote| Filling {
            record: &record,
            slots: &slots,
            remote,
            running_uki: &[],
            decoder: crate::kit::decoder(),
            idle: Idle::Unchecked,
        };
        of(asked).reach(&of(surveyed).ways(Survey::Cheapest).unwrap())
    };
    let whole = Folder::new(folder.path());
    let empty = Folder { broken: Some(("", 0)), ..Folder::new(folder.path()) };
    let no_chunks = Folder { broken: Some((".chunks", 0)), ..Folder::new(folder.path()) };
    let no_stream = Folder { broken: Some((".zst", 0)), ..Folder::new(folder.path()) };
    let no_ranges = Folder { no_ranges: true, ..Folder::new(folder.path()) };
    for server in [&whole, &no_chunks, &no_stream, &no_ranges] {
        reach(&whole, server).unwrap();
        reach(server, server).unwrap();
    }
    let Err(SlotError::AllFailed { reasons }) = reach(&whole, &empty) else { panic!("the server has no target") };
    let ways: Vec<Way> = reasons.iter().map(|(way, _)| *way).collect();
    assert_eq!(ways, [Way::Blocks, Way::Full]);
    assert!(reasons.iter().all(|(_, why)| why.contains("cannot be fetched")), "{reasons:?}");
    assert!(fs::read(disk.path("b")).unwrap() == before);
}

#[test]
fn wrong_bytes_are_requested_once_more_before_another_way_is_tried() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    type Reasons<'a> = &'a [(Way, &'a str)];
    // The marks of the first blocks, which are new.
    let chunks = fs::metadata(folder.path().join(name(&record, Target::Chunks))).unwrap().len();
    let marks = chunks - (new.len() / BLOCK * 8) as u64;
    let cases: [(Folder, Way, Reasons); 8] = [
        (Folder { flipped: Some((".chunks", marks, Lie::Once)), ..Folder::new(folder.path()) }, Way::Blocks, &[]),
        (
            Folder { flipped: Some((".chunks", marks + 9, Lie::Always)), ..Folder::new(folder.path()) },
            Way::Full,
            &[(Way::Blocks, "root.chunks: expected the digests of blocks 0 to ")],
        ),
        (Folder { flipped: Some((".chunks", 100, Lie::Once)), ..Folder::new(folder.path()) }, Way::Blocks, &[]),
        (
            Folder { flipped: Some((".chunks", 100, Lie::Always)), ..Folder::new(folder.path()) },
            Way::Full,
            &[(Way::Blocks, " at chunk 0, found ")],
        ),
        (
            Folder { broken: Some((".chunks", 100)), ..Folder::new(folder.path()) },
            Way::Full,
            &[(Way::Blocks, "root.chunks: cannot read or unpack the whole file")],
        ),
        (
            Folder { no_ranges: true, ..Folder::new(folder.path()) },
            Way::Full,
            &[(Way::Blocks, "the server does not support range requests")],
        ),
        // Without an index only one way has a known cost. The block delta is tried, and its error reported, only because the first way
        // failed.
        (
            Folder { flipped: Some((".index", 100, Lie::Always)), ..Folder::new(folder.path()) },
            Way::Full,
            &[(Way::Blocks, "digest")],
        ),
        (
            Folder { hidden: vec![".chunks"], ..Folder::new(folder.path()) },
            Way::Full,
            &[(Way::Blocks, "not among the signed targets")],
        ),
    ];
    for (remote, way, reasons) in cases {
        let (disk, before) = old_disk(&new);
        let (filled, fell_back) = disk.upgrade(&record, &remote);
        assert_eq!(filled.unwrap().way, way, "{fell_back:?}");
        assert_eq!(fell_back.len(), reasons.len(), "{fell_back:?}");
        for ((found, why), (wanted, part)) in fell_back.iter().zip(reasons) {
            assert!(found == wanted && why.contains(part), "{found} {why}");
        }
        disk.judge(&new, &record, &before);
    }
}

#[test]
fn if_every_way_fails_the_slot_holds_no_version_and_all_errors_are_reported() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let stream = fs::read(folder.path().join(name(&record, Target::Root))).unwrap();
    let other = TempDir::new().unwrap();
    let index = name(&record, Target::Index);
    fs::copy(folder.path().join(&index), other.path().join(&index)).unwrap();
    let longer = [&new[..], &[1; BLOCK]].concat();
    let mut else_image = new.clone();
    else_image[7 * BLOCK] ^= 1;
    let mut trailing = zstd::encode_all(&new[..BLOCK], 3).unwrap();
    trailing.extend(&stream);
    let wide = {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        std::io::Write::write_all(&mut encoder, &new).unwrap();
        encoder.finish().unwrap()
    };
    let size = new.len();
    for (content, why) in [
        (stream[..stream.len() - 1000].to_vec(), "cannot read or unpack the whole file".to_owned()),
        (stream[..0].to_vec(), "incomplete frame".to_owned()),
        (Chance(5).blocks(100), "cannot read or unpack the whole file".to_owned()),
        (zstd::encode_all(&longer[..], 3).unwrap(), format!("more than the {size} bytes of the image")),
        (zstd::encode_all(&new[BLOCK..], 3).unwrap(), format!("found {} bytes", size - BLOCK)),
        (zstd::encode_all(&else_image[..], 3).unwrap(), format!("expected root hash {}", record.root.root_hash)),
        // A target is one frame: bytes after it are not used.
        (trailing, format!("found {BLOCK} bytes")),
        (wide, "Frame requires too much memory".to_owned()),
    ] {
        fs::write(other.path().join(name(&record, Target::Root)), content).unwrap();
        let (disk, before) = old_disk(&new);
        disk.fill(&old_image());
        let (filled, fell_back) = disk.upgrade(&record, &Folder::new(other.path()));
        let error = filled.unwrap_err();
        assert!(error.to_string().contains(&why), "{why}: {error}");
        let SlotError::AllFailed { reasons } = &error else { panic!("{error}") };
        assert_eq!(reasons.iter().map(|(way, _)| *way).collect::<Vec<_>>(), [Way::Blocks, Way::Full]);
        assert_eq!(fell_back, reasons[..1]);
        assert!(error.hint().is_some());
        assert!(disk.holds_no_version(), "{why}");
        // After that, a good server fills the slot.
        assert!(disk.upgrade(&record, &Folder::new(folder.path())).0.is_ok());
        disk.judge(&new, &record, &before);
    }
}

/// Packs an image with `xz`.
fn xz(image: &[u8], options: &[&str]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(image).unwrap();
    let packed = Command::new("xz").args(["--stdout", "--keep"]).args(options).arg(file.path()).output();
    let packed = packed.expect("xz: run ci/setup");
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    packed.stdout
}

#[test]
fn the_xz_stream_is_tried_first_and_the_zstd_stream_if_it_is_damaged() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let remote = Folder { hidden: vec![".index"], ..Folder::new(folder.path()) };
    let good = xz(&new, &["--x86", "--lzma2=preset=1,dict=32MiB"]);
    let else_image = xz(&[&[1; BLOCK], &new[BLOCK..]].concat(), &["-1"]);
    let cases: [(Vec<u8>, &str); 6] = [
        (good.clone(), ""),
        (good[..good.len() - 1000].to_vec(), "cannot read or unpack the whole file"),
        (Chance(5).blocks(100), "cannot read or unpack the whole file"),
        (else_image, "expected root hash"),
        (xz(&new[BLOCK..], &["-1"]), "found "),
        // Needs more memory than a host allows.
        (xz(&new, &["--lzma2=preset=1,dict=64MiB"]), "cannot read or unpack the whole file"),
    ];
    for (packed, why) in cases {
        let size = packed.len() as u64;
        fs::write(folder.path().join(name(&record, Target::Packed)), packed).unwrap();
        let (disk, before) = old_disk(&new);
        let (filled, fell_back) = disk.upgrade(&record, &remote);
        let filled = filled.unwrap();
        assert_eq!(filled.way, Way::Full);
        disk.judge(&new, &record, &before);
        if why.is_empty() {
            assert!(fell_back.is_empty() && filled.fetched == size, "{fell_back:?}, {}", filled.fetched);
        } else {
            let [(Way::Full, error)] = &fell_back[..] else { panic!("{why}: {fell_back:?}") };
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}

#[test]
fn a_complete_stream_with_a_wrong_digest_is_reported_as_such() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let path = folder.path().join(name(&record, Target::Root));
    let sound = fs::read(&path).unwrap();
    // Nothing after the frame is unpacked.
    fs::write(&path, [&sound[..], b"more"].concat()).unwrap();
    let xz = liblzma::encode_all(&new[..], 0).unwrap();
    fs::write(folder.path().join(name(&record, Target::Packed)), &xz).unwrap();
    let flipped = |ending, at: usize| Some((ending, at as u64, Lie::Always));
    for (hidden, flipped, why) in [
        (vec![".xz"], flipped(".zst", sound.len() / 2), "root.zst: the file: expected "),
        (vec![".xz"], flipped(".zst", sound.len()), "root.zst: the file: expected "),
        // Only the check at the end is wrong.
        (vec![".zst"], flipped(".xz", xz.len() - 1), "root.xz: the file: expected "),
    ] {
        let hidden = [&hidden[..], &[".index"]].concat();
        let (disk, _) = old_disk(&new);
        let (filled, _) = disk.upgrade(&record, &Folder { hidden, flipped, ..Folder::new(folder.path()) });
        let error = filled.unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
        assert!(disk.holds_no_version());
    }
}

#[test]
fn an_index_of_another_image_is_refused_or_gives_a_wrong_root_hash() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let full = name(&record, Target::Root);
    let mut changed = new.clone();
    changed[9 * BLOCK] ^= 1;
    for (image, why) in [
        (&new[BLOCK..], format!("expected the index of {} bytes", new.len())),
        (&changed, format!("expected root hash {}", record.root.root_hash)),
    ] {
        release_version(image, other.path(), "2");
        fs::copy(folder.path().join(&full), other.path().join(&full)).unwrap();
        let (disk, before) = old_disk(&new);
        let remote = Folder::new(other.path());
        let slots = disk.slots();
        let filling = Filling {
            record: &record,
            slots: &slots,
            remote: &remote,
            running_uki: &[],
            decoder: crate::kit::decoder(),
            idle: Idle::Unchecked,
        };
        let mut events = Vec::new();
        let filled =
            filling.fill(filling.ways(Survey::EachWay).unwrap(), &mut |event| events.push(format!("{event:?}")));
        assert_eq!(filled.unwrap().way, Way::Full);
        assert!(events.iter().any(|event| event.contains("FellBack") && event.contains(&why)), "{why}");
        drop(slots);
        disk.judge(&new, &record, &before);
    }
}

#[test]
fn a_slot_with_a_damaged_block_is_filled_again() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let (disk, before) = old_disk(&new);
    disk.fill(&new);
    disk.overwrite("b", 77 * BLOCK + 5, b"rot");
    let (filled, fell_back) = disk.upgrade(&record, &Folder::new(folder.path()));
    let filled = filled.unwrap();
    assert_eq!((filled.way, filled.written), (Way::Blocks, BLOCK as u64));
    assert_eq!(fell_back[0].0, Way::Present);
    assert!(fell_back[0].1.contains("block 77 at byte 315392"), "{}", fell_back[0].1);
    disk.judge(&new, &record, &before);
}

#[test]
fn a_tree_with_another_size_is_another_version() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let (disk, before) = old_disk(&new);
    disk.fill(&new);
    // One block less has as many levels and the same root hash.
    let blocks = u64::try_from(new.len() / BLOCK).unwrap() - 1;
    disk.overwrite("b-verity", 72, &blocks.to_le_bytes());
    assert_eq!(disk.slots().idle.content().unwrap().unwrap().root_hash, record.root.root_hash);
    let (filled, fell_back) = disk.upgrade(&record, &Folder::new(folder.path()));
    let filled = filled.unwrap();
    assert_eq!((filled.way, filled.written, fell_back), (Way::Blocks, 0, vec![]));
    disk.judge(&new, &record, &before);
}

#[test]
fn hash_trees_that_cannot_be_read_do_not_stop_an_upgrade() {
    let folder = TempDir::new().unwrap();
    let new = new_image();
    let record = release_version(&new, folder.path(), "2");
    let (disk, before) = old_disk(&new);
    disk.fill(&old_image());
    let slots = disk.slots();
    // Like a disk with bad sectors: the size is known, but no read succeeds.
    let sizes = ["a-verity", "b-verity"].map(|name| {
        let file = File::options().write(true).open(disk.path(name)).unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(0).unwrap();
        (file, size)
    });
    let remote = Folder { hidden: vec![".zst"], ..Folder::new(folder.path()) };
    let filling = Filling {
        record: &record,
        slots: &slots,
        remote: &remote,
        running_uki: &[],
        decoder: crate::kit::decoder(),
        idle: Idle::Unchecked,
    };
    let ways = filling.ways(Survey::Cheapest).unwrap();
    sizes.iter().for_each(|(file, size)| file.set_len(*size).unwrap());
    assert_eq!(filling.fill(ways, &mut |_| ()).unwrap().way, Way::Blocks);
    drop(slots);
    disk.judge(&new, &record, &before);
}
