//! Every way, from every state of the idle slot.

use super::faults::old_disk;
use super::kit::{BLOCK, Chance, Disk, Folder, SPARE, name, new_image, old_image, release_version};
use berth_contract::{release::Target, update::Way};
use hostctl::slots::{Filling, Idle, Survey};
use std::{
    cell::Cell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tempfile::TempDir;

const NO_FULL: &str = ".zst";

/// Prepares slot B of a disk, given the running image and the new one.
type Prepare = fn(&Disk, &[u8], &[u8]);

/// The states of slot B before the upgrade.
pub(crate) fn states() -> [(&'static str, Prepare); 7] {
    [
        ("empty", |_, _, _| {}),
        ("an older version", |disk, old, _| disk.fill(&old[..old.len() / BLOCK / 2 * BLOCK])),
        ("the version that runs", |disk, old, _| disk.fill(old)),
        ("half of the new version, then the old one", |disk, old, new| {
            disk.overwrite("b", 0, old);
            disk.overwrite("b", 0, &new[..new.len() / BLOCK / 2 * BLOCK]);
        }),
        ("garbage", |disk, _, new| {
            disk.overwrite("b", 0, &Chance(99).blocks(new.len() / BLOCK));
            disk.overwrite("b-verity", 0, &Chance(98).blocks(2));
        }),
        ("a wrong hash tree", |disk, _, new| {
            disk.fill(&new[BLOCK..]);
            disk.overwrite("b", 3 * BLOCK, &Chance(97).blocks(200));
        }),
        ("a superblock with a size beyond the partition", |disk, old, _| {
            disk.fill(old);
            disk.overwrite("b-verity", 72, &[0xff; 7]);
        }),
    ]
}

#[test]
fn every_way_succeeds_from_every_state_and_writes_only_differences() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (old_image(), new_image());
    let record = release_version(&new, folder.path(), "2");
    for (way, hidden) in [(Way::Blocks, NO_FULL), (Way::Full, ".index")] {
        for (state, prepare) in states() {
            let disk = Disk::new(&old, new.len());
            prepare(&disk, &old, &new);
            let (before, differing) = (fs::read(disk.path("b")).unwrap(), disk.differing(&new));
            let remote = Folder { hidden: vec![hidden], ..Folder::new(folder.path()) };
            let (filled, fell_back) = disk.upgrade(&record, &remote);
            let filled = filled.unwrap();
            assert_eq!((filled.way, fell_back), (way, vec![]), "{state}");
            disk.judge(&new, &record, &before);
            assert_eq!(filled.written, differing, "{way} over {state}");
            assert!(fs::read(disk.path("a")).unwrap()[..old.len()] == old, "the running slot was written");
            // The second time the version is there already.
            let (again, _) = disk.upgrade(&record, &remote);
            let again = again.unwrap();
            assert_eq!((again.way, again.fetched, again.written), (Way::Present, 0, 0));
        }
    }
}

#[test]
fn the_block_delta_fetches_only_blocks_that_neither_slot_has() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (old_image(), new_image());
    let record = release_version(&new, folder.path(), "2");
    let disk = Disk::new(&old, new.len());
    let remote = Folder::new(folder.path());
    let slots = disk.slots();
    let ways = Filling {
        record: &record,
        slots: &slots,
        remote: &remote,
        running_uki: &[],
        decoder: crate::kit::decoder(),
        idle: Idle::Unchecked,
    }
    .ways(Survey::EachWay)
    .unwrap();
    let surveyed = ways.surveyed;
    let [(Way::Blocks, blocks), (Way::Full, full)] = ways.costs[..] else { panic!("{:?}", ways.costs) };
    assert_eq!(full, fs::metadata(folder.path().join(name(&record, Target::Root))).unwrap().len());
    // 55 of 1120 blocks are new, in chunks of 16.
    assert!(blocks < full / 4, "{blocks} of {full}");
    drop((ways, slots));
    let (filled, _) = disk.upgrade(&record, &remote);
    assert_eq!(filled.unwrap().fetched, blocks - surveyed);
    // The marks of runs in the slots are not requested. New blocks are in runs 0, 2, 12, 15 to 17 and 32. Some are so near to each other
    // that the runs between them are fetched too.
    let index = fs::metadata(folder.path().join(name(&record, Target::Index))).unwrap().len();
    let marks = (surveyed - index) / 8 / 32;
    assert!((6..=22).contains(&marks), "{marks} runs");
    disk.judge(&new, &record, &vec![0; new.len() + 2 * SPARE]);
}

#[test]
fn an_interrupted_upgrade_continues_where_it_ended() {
    let folder = TempDir::new().unwrap();
    let new = Chance(21).blocks(2048);
    let record = release_version(&new, folder.path(), "2");
    for (first, hidden) in [(Way::Blocks, vec![]), (Way::Full, vec![".index"])] {
        let (disk, before) = old_disk(&new);
        disk.fill(&old_image());
        // The versions have nothing in common, so everything must be fetched. The server fails three times, and the next run is stopped.
        let whole = {
            let slots = disk.slots();
            let remote = Folder { hidden: hidden.clone(), ..Folder::new(folder.path()) };
            Filling {
                record: &record,
                slots: &slots,
                remote: &remote,
                running_uki: &[],
                decoder: crate::kit::decoder(),
                idle: Idle::Unchecked,
            }
            .ways(Survey::EachWay)
            .unwrap()
            .costs[0]
                .1
        };
        let mut fetched = 0;
        for _ in 0..3 {
            let dies_after = Cell::new(whole / 4);
            let remote = Folder { dies_after, hidden: hidden.clone(), ..Folder::new(folder.path()) };
            let before = disk.differing(&new);
            assert!(disk.upgrade(&record, &remote).0.is_err());
            assert!(disk.holds_no_version());
            // A stream starts again each time, but blocks that are right are not written again.
            assert!(disk.differing(&new) < before || first == Way::Full, "{first}");
            fetched = whole / 4;
        }
        let remote = Folder { hidden, ..Folder::new(folder.path()) };
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            let slots = disk.slots();
            let filling = Filling {
                record: &record,
                slots: &slots,
                remote: &remote,
                running_uki: &[],
                decoder: crate::kit::decoder(),
                idle: Idle::Unchecked,
            };
            let mut left = if first == Way::Full { 8 } else { 20 };
            filling.fill(filling.ways(Survey::Cheapest).unwrap(), &mut |_| {
                left -= 1;
                assert!(left > 0, "stopped by the test");
            })
        }));
        assert!(stopped.is_err());
        assert!(disk.holds_no_version());

        let differing = disk.differing(&new);
        assert!(differing < new.len() as u64 * 3 / 4, "{differing}");
        let filled = disk.upgrade(&record, &Folder::new(folder.path())).0.unwrap();
        assert_eq!(filled.way, Way::Blocks);
        assert!(fetched > 0 && filled.fetched < whole * 3 / 4, "{} of {whole}", filled.fetched);
        assert_eq!(filled.written, differing);
        disk.judge(&new, &record, &before);
    }
}
