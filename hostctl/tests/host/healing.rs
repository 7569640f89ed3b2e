//! Repairs of a damaged slot.

use super::kit::{Answer, HostFolder, Publication, cannot_run};
use crate::{
    entries::kit::Esp,
    slots::kit::{BLOCK, new_image},
    tiny_efi,
};
use berth_contract::disk::PartitionRole;
use berth_formats::data::Data;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::FileExt as _,
    process::Stdio,
};

const BLESSED: &str = "berth-test_1.efi";

/// A check of gigabytes takes long, and holds no lock.
#[test]
fn a_version_that_came_during_the_check_is_not_overwritten() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let host = HostFolder::new(&publication.repo, BLESSED);
    let source = host.bring(&publication.repo);
    let upgraded = host.hostctl(&["upgrade", source]);
    assert_eq!(upgraded.status, 0, "{upgraded:?}");
    let (slot, esp) = (host.device(PartitionRole::RootB), host.device(PartitionRole::Esp));
    let damaged = File::options().write(true).open(&slot).unwrap();
    damaged.write_all_at(&[!new_image()[10 * BLOCK]], 10 * BLOCK as u64).unwrap();

    // The repair finds the damage, and waits for the lock of an upgrade.
    let lock = File::create(host.path("run/berth/upgrade.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = host.command(&["slot", "repair", source]);
    let mut repair = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(repair.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "slot b (2): 1 damaged blocks"));
    let before = fs::read(&esp).unwrap();
    let uki = |version: &str, root_hash: &str| Data::from(tiny_efi::version("berth-test", version, root_hash));
    let running = serde_json::from_slice::<serde_json::Value>(
        &fs::read(host.path(berth_contract::paths::INITRD_REPORT)).unwrap(),
    );
    let running = running.unwrap()["root_hash"].as_str().unwrap().to_owned();
    let entries = [(BLESSED, uki("1", &running)), ("berth-test_3+3.efi", uki("3", &"33".repeat(32)))];
    let entries = entries.into_iter().map(|(name, uki)| (format!("EFI/Linux/{name}"), uki));
    fs::copy(Esp::with(&BTreeMap::from_iter(entries)).path, &esp).unwrap();
    let devices = host.devices();
    drop(lock);
    let answer = Answer::of(repair.wait_with_output().unwrap());
    assert_ne!(answer.status, 0);
    assert!(answer.stderr.contains("slot b (2): was changed by an upgrade or rollback during the check"), "{answer:?}");
    assert_eq!(host.devices(), devices, "nothing is written");

    // The same damage is repaired if no upgrade comes in between.
    fs::write(&esp, before).unwrap();
    let answer = host.hostctl(&["slot", "repair", source]);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.stdout.contains("slot b (2): 1 blocks are repaired from this disk"), "{answer:?}");
    assert!(fs::read(&slot).unwrap().starts_with(&new_image()));
}
