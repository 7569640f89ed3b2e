//! A damaged disk: the host comes up with the other version, says why, and repairs the damage. All of it happens on the disk that the
//! firmware has started, not on its copy.

use crate::{
    common::{LIMIT, root, sectors, tool},
    host::{Host, small},
    publisher::{Publisher, plain},
    rollback::{PATIENCE, flip, with_new},
};
use berth_contract::{
    disk::PartitionRole,
    update::{EntryState, KernelCheck},
};
use berth_qemu::{
    disk::Bus,
    machine::{Description, Serial},
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// A block of slot B's file system that slot A has too: it is in the middle of the files, which do not differ between the versions.
const SHARED: u64 = 30 << 20;
/// The superblock of slot B's file system, which no other slot has. The kernel panics when it reads this block.
const OWN: u64 = 1024;
/// What the firmware prints when a program crashes, before it stops.
const CRASH: &str = "!!!! X64 Exception Type";

#[test]
fn a_blessed_version_whose_slot_is_damaged_is_replaced_by_the_other_version_and_repaired() {
    let (publisher, server, description) = with_new("lost-slot", &plain("2"));
    let mut host = Host::start(&description);
    host.hostctl(&["upgrade", &server.url()]).unwrap();
    host.reboot();
    host.wait_for("2", PATIENCE);
    host.poweroff();
    drop(host);

    // While the machine is off, two bits flip in slot B. From now on the machine also has a copy of the disk. The copy's driver is loaded
    // first, and its name comes first. The firmware starts the NVMe disk.
    let raw = flip(&publisher.path("state/disk.qcow2"), &publisher.path("flipped.raw"), 4, &[OWN, SHARED]);
    let copy = publisher.path("copy.raw");
    tool("cp", &["--sparse=always", raw.to_str().unwrap(), copy.to_str().unwrap()]).unwrap();
    let serial = Serial::File(root().join("target/vm-logs/lost-slot-2.log"));
    let (kept, disks) = (Some(publisher.path("damaged")), vec![copy.clone()]);
    let description =
        Description { image: Some(raw), bus: Bus::Nvme, disks, kept, booted: None, serial, ..description };
    let mut host = Host::start_machine(&description);
    host.wait_for("1", PATIENCE);
    let said = host.vm.console().text();
    assert!(said.contains("the boot loader takes berth-small_1.efi, once"), "{said}");
    assert!(said.contains("this boot replaces berth-small_2.efi"), "{said}");

    // The host repairs the block that slot A has. Until the other one is fetched, version 2 is set aside.
    let set_aside = |host: &mut Host| host.slots().1.check.is_some_and(|check| check.set_aside);
    let mut host = wait(host, "version 2 is set aside", set_aside);
    let (running, other) = host.slots();
    let check = other.check.unwrap();
    assert_eq!((check.damaged, check.left, other.state), (2, 1, EntryState::SetAside));
    assert_eq!((running.version.unwrap().as_str(), running.state), ("1", EntryState::Blessed));
    let why = host.hostctl(&["why"]).unwrap().join("\n");
    assert!(why.contains("slot b (2): DAMAGED: 1 block, 1 block was repaired"), "{why}");
    assert!(why.contains("verity") || why.contains("corrupt"), "the kernel's last messages: {why}");
    let failed = host.hostctl(&["slot", "check"]).unwrap_err();
    assert!(failed.contains("slot b (2): DAMAGED"), "{failed}");
    let said = host.hostctl(&["slot", "repair", &server.url()]).unwrap().join("\n");
    assert!(said.contains("slot b (2): fetched again from the update source"), "{said}");
    assert_eq!(host.slots().1.state, EntryState::Blessed);

    // Version 2 is whole, and boots again.
    host.reboot();
    host.wait_for("2", PATIENCE);
    let checked = host.hostctl(&["slot", "check"]).unwrap().join("\n");
    assert_eq!(checked.matches("all blocks are right").count(), 2, "{checked}");
    let why = host.hostctl(&["why"]).unwrap().join("\n");
    assert!(why.contains("slot b (2): 2 blocks were damaged, and repaired"), "{why}");
    // After the verdict, the firmware's last boot option is version 1.
    host.vm.wait_for_text("the firmware starts berth-small_1.efi", 0, PATIENCE).unwrap();
    host.poweroff();
    drop(host);

    // While the machine is off, bits flip in the kernel of version 2. The firmware crashes or the kernel does, before any code of ours runs.
    // At the next power-on the boot loader takes version 1, which repairs the image from its own kernel.
    let raw = damage(&publisher, "kernel", |image| flip_payload(image, ".linux"));
    let serial = Serial::File(root().join("target/vm-logs/lost-slot-3.log"));
    let description = Description { image: Some(raw), serial, ..description };
    let mut host = Host::start_machine(&description);
    host.vm.wait_for_text(CRASH, 0, PATIENCE).unwrap();
    host.vm.monitor().unwrap().reset().unwrap();
    host.wait_for("1", PATIENCE);
    assert_replaces(&host);
    let is_repaired = |host: &mut Host| host.slots().1.check.is_some_and(|check| check.kernel == KernelCheck::Repaired);
    let mut host = wait(host, "version 2's kernel image is repaired", is_repaired);
    let (running, other) = host.slots();
    assert_eq!((running.state, other.state), (EntryState::Blessed, EntryState::Blessed));
    let lines = host.hostctl(&["logs", "slots"]).unwrap().join("\n");
    assert!(lines.contains("slot b (2): the kernel image is repaired from this disk"), "{lines}");
    host.poweroff();
    drop(host);

    // The same with the initrd. The kernel panics or init cannot load its drivers, and the machine resets itself. Version 1 loses its power
    // before it comes to a verdict: so version 2 has its turn again.
    let raw = damage(&publisher, "initrd", |image| flip_payload(image, ".initrd"));
    let serial = Serial::File(root().join("target/vm-logs/lost-slot-4.log"));
    let description = Description { image: Some(raw), serial, ..description };
    let mut host = Host::start_machine(&description);
    host.vm.wait_for_text("this boot replaces berth-small_2.efi", 0, PATIENCE).unwrap();
    host.cut_power();

    // While the machine is off, a header of version 2's kernel image is damaged. The boot loader cannot load this entry and ends. Then the
    // firmware starts version 1. The first superblock of /var is lost as well: e2fsck finds a copy of it.
    let raw = damage(&publisher, "header", |image| {
        let pe = u32::from_le_bytes(*image[60..].first_chunk().unwrap()) as usize;
        // SizeOfHeaders of the optional header, which follows signature and COFF header. systemd-boot does not look at it.
        image[pe + 24 + 60..][..4].fill(0);
    });
    let superblock = sectors(&raw, PartitionRole::Var.number()).unwrap().0 * 512 + 1024;
    File::options().write(true).open(&raw).unwrap().write_all_at(&[0; 1024], superblock).unwrap();
    let serial = Serial::File(root().join("target/vm-logs/lost-slot-5.log"));
    let mut host = Host::start_machine(&Description { image: Some(raw), serial, ..description });
    host.wait_for("1", PATIENCE);
    assert_replaces(&host);
    let said = host.hostctl(&["slots"]).unwrap().join("\n");
    assert!(said.contains("replaces      version 2") && !said.contains("upgrades are refused"), "{said}");
    let status = host.status();
    assert!(status.var.persistent && status.problems.len() == 1, "{:?}", status.problems);
    let problem = status.problems[0].to_string();
    assert!(problem.starts_with("boot phase var: ") && problem.contains("it was repaired"), "{problem}");
    let why = host.hostctl(&["why"]).unwrap().join("\n");
    assert!(why.contains("slot b (2): 2 blocks were damaged, and repaired"), "the files of /var are kept: {why}");
    // Nothing on this disk has the right header, so version 2 is set aside until it is fetched. Then it boots again.
    let mut host = wait(host, "version 2 is set aside", set_aside);
    let said = host.hostctl(&["slot", "repair", &server.url()]).unwrap().join("\n");
    assert!(said.contains("slot b (2): fetched again from the update source"), "{said}");
    host.reboot();
    host.wait_for("2", PATIENCE);
    host.cut_power();
    let first = publisher.path("flipped.raw");
    tool("cmp", &[first.to_str().unwrap(), copy.to_str().unwrap()]).expect("the copy of the disk was written to");
}

/// Changes the kernel image of version 2 on the machine's disk. Returns the disk.
fn damage(publisher: &Publisher, what: &str, change: impl FnOnce(&mut [u8])) -> PathBuf {
    let layer = publisher.path("damaged/disk.qcow2");
    let (raw, uki) = (publisher.path(&format!("{what}.raw")), publisher.path("uki"));
    tool("qemu-img", &["convert", "-O", "raw", layer.to_str().unwrap(), raw.to_str().unwrap()]).unwrap();
    fs::remove_file(layer).unwrap();
    let esp = format!("{}@@{}", raw.display(), sectors(&raw, 1).unwrap().0 * 512);
    let (uki, entry) = (uki.to_str().unwrap(), "::EFI/Linux/berth-small_2.efi");
    tool("mcopy", &["-n", "-i", &esp, entry, uki]).unwrap();
    let mut bytes = fs::read(uki).unwrap();
    change(&mut bytes);
    fs::write(uki, bytes).unwrap();
    tool("mcopy", &["-o", "-i", &esp, uki, entry]).unwrap();
    raw
}

/// Flips a bit of the section's content in each MiB.
fn flip_payload(image: &mut [u8], section: &str) {
    let sections = berth_formats::pe::sections(image).unwrap();
    let section = sections.into_iter().find(|found| found.name == section).unwrap();
    section.raw.skip(1 << 19).step_by(1 << 20).for_each(|at| image[at] ^= 8);
}

fn assert_replaces(host: &Host) {
    let said = host.vm.console().text();
    assert!(said.contains("this boot replaces berth-small_2.efi"), "{said}");
}

#[test]
fn a_root_hash_from_outside_the_image_is_refused() {
    let publisher = Publisher::new("two-hashes");
    let mut description = small("two-hashes", &publisher.build(&plain("1")));
    // The machine's firmware tables add this word to the kernel command line.
    description.kernel_words = Some(format!("roothash={}", "0".repeat(64)));
    let mut host = Host::start_machine(&description);
    host.vm.wait_for_text("expected roothash= once, found 2 values", 0, LIMIT).unwrap();
}

fn wait(mut host: Host, what: &str, done: impl Fn(&mut Host) -> bool) -> Host {
    let end = std::time::Instant::now() + PATIENCE;
    while !done(&mut host) {
        assert!(std::time::Instant::now() < end, "{what}: {:?}", host.slots());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    host
}
