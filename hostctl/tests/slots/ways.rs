//! Each way from each state.

use super::faults::old_disk;
use super::kit::{BLOCK, Chance, Disk, Folder, SPARE, name, new_image, old_image, release_version};
use berth_contract::{release::Target, update::Way};
use hostctl::slots::{Survey, Upgrade};
use std::{
    cell::Cell,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
};
use tempfile::TempDir;

const NO_FULL: &str = ".zst";

/// Fills slot B of a disk, knowing the version that runs and the one to come.
type Prepare = fn(&Disk, &[u8], &[u8]);

/// What slot B holds before.
pub(crate) fn states() -> [(&'static str, Prepare); 7] {
    [
        ("empty", |_, _, _| {}),
        ("an older version", |disk, old, _| disk.fill(&old[..old.len() / BLOCK / 2 * BLOCK])),
        ("the version that runs", |disk, old, _| disk.fill(old)),
        ("half of the new one, the rest old", |disk, old, new| {
            disk.overwrite("b", 0, old);
            disk.overwrite("b", 0, &new[..new.len() / BLOCK / 2 * BLOCK]);
        }),
        ("garbage", |disk, _, new| {
            disk.overwrite("b", 0, &Chance(99).blocks(new.len() / BLOCK));
            disk.overwrite("b-verity", 0, &Chance(98).blocks(2));
        }),
        ("a tree that lies", |disk, _, new| {
            disk.fill(&new[BLOCK..]);
            disk.overwrite("b", 3 * BLOCK, &Chance(97).blocks(200));
        }),
        ("a superblock that promises more than fits", |disk, old, _| {
            disk.fill(old);
            disk.overwrite("b-verity", 72, &[0xff; 7]);
        }),
    ]
}

#[test]
fn each_way_leads_there_from_each_state_and_writes_what_differs() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (old_image(), new_image());
    let record = release_version(&new, folder.path(), "2");
    for (way, hidden) in [(Way::Blocks, NO_FULL), (Way::Full, ".index")] {
        for (state, prepare) in states() {
            let disk = Disk::new(&old, new.len());
            prepare(&disk, &old, &new);
            let (before, differing) = (fs::read(disk.path("b")).unwrap(), disk.differing(&new));
            let remote = Folder { hidden: vec![hidden], ..Folder::new(folder.path()) };
            let (brought, fell_back) = disk.bring(&record, &remote);
            let brought = brought.unwrap();
            assert_eq!((brought.way, fell_back), (way, vec![]), "{state}");
            disk.judge(&new, &record, &before);
            assert_eq!(brought.written, differing, "{way} over {state}");
            assert!(fs::read(disk.path("a")).unwrap()[..old.len()] == old, "the running slot was written");
            // Once more: it is there.
            let (again, _) = disk.bring(&record, &remote);
            let again = again.unwrap();
            assert_eq!((again.way, again.fetched, again.written), (Way::Present, 0, 0));
        }
    }
}

#[test]
fn blocks_fetches_what_neither_slot_has() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (old_image(), new_image());
    let record = release_version(&new, folder.path(), "2");
    let disk = Disk::new(&old, new.len());
    let remote = Folder::new(folder.path());
    let slots = disk.slots();
    let ways =
        Upgrade { record: &record, slots: &slots, remote: &remote, running_uki: &[] }.ways(Survey::EachWay).unwrap();
    let surveyed = ways.surveyed;
    let [(Way::Blocks, blocks), (Way::Full, full)] = ways.costs[..] else { panic!("{:?}", ways.costs) };
    assert_eq!(full, fs::metadata(folder.path().join(name(&record, Target::Root))).unwrap().len());
    // 55 of 1120 blocks are new, in chunks of 16.
    assert!(blocks < full / 4, "{blocks} of {full}");
    drop((ways, slots));
    let (brought, _) = disk.bring(&record, &remote);
    assert_eq!(brought.unwrap().fetched, blocks - surveyed);
    // The marks of runs that are here are not asked for. New blocks are in runs 0, 2, 12, 15 to 17 and 32; some lie so near to each
    // other that what is between comes along.
    let index = fs::metadata(folder.path().join(name(&record, Target::Index))).unwrap().len();
    let marks = (surveyed - index) / 8 / 32;
    assert!((6..=22).contains(&marks), "{marks} runs");
    disk.judge(&new, &record, &vec![0; new.len() + 2 * SPARE]);
}

#[test]
fn an_interrupted_run_is_taken_up_where_it_was_left() {
    let folder = TempDir::new().unwrap();
    let new = Chance(21).blocks(2048);
    let record = release_version(&new, folder.path(), "2");
    for (first, hidden) in [(Way::Blocks, vec![]), (Way::Full, vec![".index"])] {
        let (disk, before) = old_disk(&new);
        disk.fill(&old_image());
        // Nothing in common: all of it is to be fetched. The server goes away again and again, the last run is stopped.
        let whole = {
            let slots = disk.slots();
            let remote = Folder { hidden: hidden.clone(), ..Folder::new(folder.path()) };
            Upgrade { record: &record, slots: &slots, remote: &remote, running_uki: &[] }
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
            assert!(disk.bring(&record, &remote).0.is_err());
            assert!(disk.is_no_version());
            // A stream begins anew each time; what is there is not written again.
            assert!(disk.differing(&new) < before || first == Way::Full, "{first}");
            fetched = whole / 4;
        }
        let remote = Folder { hidden, ..Folder::new(folder.path()) };
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            let slots = disk.slots();
            let upgrade = Upgrade { record: &record, slots: &slots, remote: &remote, running_uki: &[] };
            let mut left = if first == Way::Full { 8 } else { 20 };
            upgrade.bring(upgrade.ways(Survey::Cheapest).unwrap(), &mut |_| {
                left -= 1;
                assert!(left > 0, "stopped by the test");
            })
        }));
        assert!(stopped.is_err());
        assert!(disk.is_no_version());

        let differing = disk.differing(&new);
        assert!(differing < new.len() as u64 * 3 / 4, "{differing}");
        let brought = disk.bring(&record, &Folder::new(folder.path())).0.unwrap();
        assert_eq!(brought.way, Way::Blocks);
        assert!(fetched > 0 && brought.fetched < whole * 3 / 4, "{} of {whole}", brought.fetched);
        assert_eq!(brought.written, differing);
        disk.judge(&new, &record, &before);
    }
}
