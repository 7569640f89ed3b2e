//! Damaged kernel images on the ESP are found, the version is set aside, and the image is made again.

use super::kit::{Answer, HostFolder, Publication, cannot_run};
use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    disk::PartitionRole,
    paths::{INITRD_REPORT, KERNEL_IMAGES},
};
use berth_formats::{
    fat::{Editor, Volume},
    pe::append_sections,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

const ONE: &str = "berth-test_1.efi";
const TWO: &str = "berth-test_2.efi";
const FOLDER: &str = "EFI/Linux";

/// A host that runs version 1, and has upgraded to version 2. Both are blessed.
fn upgraded(publication: &Publication) -> (HostFolder, &'static str) {
    let host = HostFolder::new(&publication.repo, ONE);
    let source = host.bring(&publication.repo);
    let answer = host.hostctl(&["upgrade", source]);
    assert_eq!(answer.status, 0, "{answer:?}");
    edit(&host).rename(FOLDER, "berth-test_2+3.efi", TWO).unwrap();
    (host, source)
}

fn edit(host: &HostFolder) -> Editor<File> {
    let esp = File::options().read(true).write(true).open(host.device(PartitionRole::Esp)).unwrap();
    Editor::open(esp).unwrap()
}

fn add(host: &HostFolder, file: &str, content: &[u8]) {
    edit(host).add(FOLDER, file, content.len() as u64, &mut &content[..]).unwrap();
}

fn content(host: &HostFolder, file: &str) -> Vec<u8> {
    let volume = Volume::open(File::open(host.device(PartitionRole::Esp)).unwrap()).unwrap();
    volume.read(&format!("{FOLDER}/{file}"), 1 << 20).unwrap()
}

/// Flips bits of a byte of a file.
fn spoil(host: &HostFolder, file: &str, at: usize) {
    let device = File::options().write(true).open(host.device(PartitionRole::Esp)).unwrap();
    device.write_all_at(&[content(host, file)[at] ^ 0x41], start(host, file) + at as u64).unwrap();
}

/// The offset of a file on the ESP.
fn start(host: &HostFolder, file: &str) -> u64 {
    let (disk, content) = (fs::read(host.device(PartitionRole::Esp)).unwrap(), content(host, file));
    (0..disk.len()).step_by(512).find(|start| disk[*start..].starts_with(&content)).unwrap() as u64
}

/// The offset of a text in a file.
fn find(host: &HostFolder, file: &str, text: &str) -> usize {
    content(host, file).windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

fn fails(answer: &Answer, text: &str) {
    assert!(answer.status != 0 && answer.stderr.contains(text), "{text}: {answer:?}");
}

fn says(answer: &Answer, text: &str) {
    assert!(answer.status == 0 && answer.stdout.contains(text), "{text}: {answer:?}");
}

#[test]
fn a_damaged_kernel_image_is_set_aside_and_fetched_again() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let (host, source) = upgraded(&publication);
    let right = content(&host, TWO);
    says(&host.hostctl(&["slot", "check"]), "slot b (2): all blocks are right");
    // In the program, in the headers (the file is no program any more), and in the root hash on the command line.
    for at in [find(&host, TWO, "started"), 60, find(&host, TWO, "roothash=") + 12] {
        spoil(&host, TWO, at);
        fails(&host.hostctl(&["slot", "check"]), "slot b (2): DAMAGED: the kernel image");
        assert_eq!(host.entries(), [ONE, TWO], "a check changes nothing");
        let answer = host.hostctl(&["slot", "repair"]);
        fails(&answer, "slot b (2): DAMAGED: the kernel image");
        assert!(answer.stdout.contains("slot b (2): cannot be fetched again: no update source"), "{answer:?}");
        let why = "slot b (2): the kernel image cannot be repaired from this disk: kernel image: ";
        assert!(answer.stdout.contains(why), "{answer:?}");
        assert_eq!(host.entries(), ["berth-test_1.efi", "berth-test_2+0.efi"]);
        let slots = host.hostctl(&["slots"]);
        says(&slots, "DAMAGED: the kernel image");
        assert!(slots.stdout.contains("1, blessed, running, boots next"), "{slots:?}");
        let answer = host.hostctl(&["slot", "repair", source]);
        says(&answer, "slot b (2): fetched again from the update source: the kernel image");
        assert!(!answer.stdout.contains("blocks\n"), "{answer:?}");
        assert_eq!(host.entries(), [ONE, TWO]);
        assert!(content(&host, TWO) == right);
        says(&host.hostctl(&["slot", "check"]), "slot b (2): all blocks are right");
        says(&host.hostctl(&["slots"]), "2, blessed, boots next; the kernel image was damaged, and repaired");
    }
}

#[test]
fn the_running_kernel_image_is_repaired_from_the_other_one() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let (host, source) = upgraded(&publication);
    let right = content(&host, ONE);
    says(&host.hostctl(&["slot", "check"]), "slot a (1): all blocks are right");
    // The last bytes are the same in both images: zeros behind the last section's content.
    spoil(&host, ONE, right.len() - 1);
    fails(&host.hostctl(&["slot", "check"]), "slot a (1): DAMAGED: the kernel image");
    says(&host.hostctl(&["slot", "repair"]), "slot a (1): the kernel image is repaired from this disk");
    assert!(content(&host, ONE) == right);
    assert_eq!(host.entries(), [ONE, TWO]);
    // Nobody has this text. The running version is not set aside.
    spoil(&host, ONE, find(&host, ONE, "started"));
    let answer = host.hostctl(&["slot", "repair", source]);
    fails(&answer, "slot a (1): DAMAGED: the kernel image");
    assert!(answer.stdout.contains("cannot be fetched again: the source does not have this version"), "{answer:?}");
    assert_eq!(host.entries(), [ONE, TWO]);
}

#[test]
fn the_digest_of_an_image_that_could_not_be_started_is_not_taken_as_right() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let (host, source) = upgraded(&publication);
    fs::remove_file(host.path(KERNEL_IMAGES)).unwrap();
    spoil(&host, TWO, find(&host, TWO, "started"));
    let mut report: InitrdReport = serde_json::from_slice(&fs::read(host.path(INITRD_REPORT)).unwrap()).unwrap();
    report.next_boot = NextBoot::InsteadOf(TWO.parse().unwrap());
    host.write(INITRD_REPORT, &serde_json::to_value(report).unwrap());
    says(&host.hostctl(&["slot", "check"]), "slot a (1): all blocks are right");
    let known = fs::read_to_string(host.path(KERNEL_IMAGES)).unwrap();
    assert!(known.contains("\"version\":\"1\"") && !known.contains("\"version\":\"2\""), "{known}");
    // The next upgrade writes the image anew.
    let answer = host.hostctl(&["upgrade", source]);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert_eq!(host.entries(), [ONE, "berth-test_2+3.efi"]);
    says(&host.hostctl(&["slot", "check"]), "slot b (2): all blocks are right");
}

#[test]
fn an_image_that_cannot_be_read_is_damaged_and_its_digest_is_not_learned() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let (host, _) = upgraded(&publication);
    let initrd = vec![7; 64 << 10];
    let large = append_sections(&content(&host, TWO), &[(".initrd", initrd.into())]).unwrap();
    edit(&host).remove(FOLDER, TWO).unwrap();
    add(&host, TWO, &large);
    fs::remove_file(host.path(KERNEL_IMAGES)).unwrap();
    // The disk ends within the initrd.
    let esp = File::options().write(true).open(host.device(PartitionRole::Esp)).unwrap();
    esp.set_len(start(&host, TWO) + (32 << 10)).unwrap();
    fails(&host.hostctl(&["slot", "check"]), "slot b (2): DAMAGED: the kernel image");
    let known = fs::read_to_string(host.path(KERNEL_IMAGES)).unwrap();
    assert!(known.contains("\"version\":\"1\"") && !known.contains("\"version\":\"2\""), "{known}");
}

#[test]
fn a_replacement_that_a_power_cut_has_interrupted_is_finished() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let (host, _) = upgraded(&publication);
    let right = content(&host, TWO);
    // The first name is that of a replacement, the second one that of an entry that a user has set aside.
    for (aside, after) in [("berth-test_2+0-0.efi", TWO), ("berth-test_2+0.efi", "berth-test_2+0.efi")] {
        spoil(&host, TWO, find(&host, TWO, "started"));
        edit(&host).rename(FOLDER, TWO, aside).unwrap();
        add(&host, "berth-test_2.staged", &right);
        says(&host.hostctl(&["slot", "repair", "--background"]), "the kernel image is repaired from this disk");
        let mut names = [ONE, after];
        names.sort_unstable();
        assert_eq!(host.entries(), names);
        assert!(content(&host, after) == right);
    }
}

#[test]
fn a_list_that_cannot_be_written_does_not_spoil_a_check_or_a_repair() {
    if cannot_run() {
        return;
    }
    let publication = Publication::whole();
    let (host, source) = upgraded(&publication);
    let right = content(&host, TWO);
    says(&host.hostctl_without(KERNEL_IMAGES, &["slot", "check"]), "slot a (1): all blocks are right");
    let mut known: Value = serde_json::from_slice(&fs::read(host.path(KERNEL_IMAGES)).unwrap()).unwrap();
    assert_eq!(known.as_array().unwrap().len(), 1);
    // The repair would store the parts of the release.
    known[0]["uki"]["parts"] = json!([]);
    host.write(KERNEL_IMAGES, &known);
    spoil(&host, TWO, find(&host, TWO, "started"));
    let answer = host.hostctl_without(KERNEL_IMAGES, &["slot", "repair", source]);
    says(&answer, "slot b (2): fetched again from the update source: the kernel image");
    assert!(content(&host, TWO) == right);
    assert_eq!(host.entries(), [ONE, TWO]);
}
