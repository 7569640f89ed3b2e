//! The report of both slots.

use super::kit::{Esp, hash, running};
use berth_contract::{
    disk::Slot,
    update::{KernelCheck, SlotCheck, SlotsReport},
};
use hostctl::entries::{Entries, SlotContent, report, show};

#[test]
fn the_report_shows_both_slots_and_what_boots_next() {
    let slots = |other: Option<&str>| {
        let other = other.map(hash);
        [SlotContent { slot: Slot::A, root_hash: other }, SlotContent { slot: Slot::B, root_hash: Some(hash("2")) }]
    };
    let shown = |files: &[&str], other: Option<&str>| {
        let esp = Esp::new(files);
        let report = report(&Entries::look(&esp.path).unwrap(), &slots(other), &running("2"), &[], &[]);
        show(&report).into_iter().map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("; ")
    };
    for (files, other, wanted) in [
        (&["a_2.efi"][..], None, "slot a: empty; slot b: 2, blessed, running, boots next"),
        (&["a_1.efi", "a_2.efi"], Some("1"), "slot a: 1, blessed; slot b: 2, blessed, running, boots next"),
        (
            &["a_2.efi", "a_3+3.efi"],
            Some("3"),
            "slot a: 3, on trial, 3 tries left, 0 done, boots next; slot b: 2, blessed, running",
        ),
        (
            &["a_1.efi", "a_2+0-3.efi"],
            Some("1"),
            "slot a: 1, blessed, boots next; slot b: 2, on trial, 0 tries left, 3 done, running",
        ),
        (&["a_2.efi", "a_3+0-3.efi"], Some("3"), "slot a: 3, failed; slot b: 2, blessed, running, boots next"),
        (
            &["a_1+3.efi", "a_2+0.efi"],
            Some("1"),
            "slot a: 1, on trial, 3 tries left, 0 done, boots next; slot b: 2, set aside, running",
        ),
        (&["a_2.efi", "a_3.staged"], Some("3"), "slot a: 3, staged; slot b: 2, blessed, running, boots next"),
        (
            &["a_2.efi", "a_9.efi"],
            Some("3"),
            "slot a: a version without a boot entry; slot b: 2, blessed, running; boots next: a_9.efi",
        ),
    ] {
        assert_eq!(shown(files, other), wanted);
    }
}

#[test]
fn damage_and_a_replaced_version_are_shown() {
    let esp = Esp::new(&["a_1.efi", "a_2.efi"]);
    let slots = [
        SlotContent { slot: Slot::A, root_hash: Some(hash("1")) },
        SlotContent { slot: Slot::B, root_hash: Some(hash("2")) },
    ];
    let check = |slot, version: &str, damaged, left| SlotCheck {
        slot,
        version: version.parse().unwrap(),
        root_hash: hash(version),
        at: 5,
        damaged,
        left,
        set_aside: false,
        kernel: KernelCheck::Whole,
    };
    let shown = |checks: &[SlotCheck]| {
        let found = report(&Entries::look(&esp.path).unwrap(), &slots, &running("1"), &[], checks);
        show(&SlotsReport { instead_of: "a_2.efi".parse().ok(), copies: vec!["/dev/sdb".to_owned()], ..found })
    };
    let rows = shown(&[check(Slot::A, "1", 1, 0), check(Slot::B, "2", 3, 2)]);
    let text: Vec<String> = rows.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    assert_eq!(text[0], "slot a: 1, blessed, running; 1 block was damaged, and repaired");
    assert_eq!(text[1], "slot b: 2, blessed, boots next; DAMAGED: 2 blocks, 1 block was repaired");
    assert!(text[2].starts_with("replaces: version 2: its last boot ended without a verdict"), "{text:?}");
    assert!(text[3].starts_with("disk: ") && text[3].contains("/dev/sdb") && text[3].ends_with("upgrades are refused"));
    let kernel = |kernel, damaged| SlotCheck { kernel, ..check(Slot::B, "2", damaged, damaged) };
    for (check, said) in [
        (kernel(KernelCheck::Damaged, 0), "DAMAGED: the kernel image"),
        (kernel(KernelCheck::Repaired, 0), "the kernel image was damaged, and repaired"),
        (kernel(KernelCheck::Damaged, 1), "DAMAGED: 1 block; DAMAGED: the kernel image"),
    ] {
        assert_eq!(shown(&[check])[1].1, format!("2, blessed, boots next; {said}"));
    }
    // Checks without damage, and of a version that is not in the slot any more.
    let rows = shown(&[check(Slot::A, "1", 0, 0), check(Slot::B, "9", 3, 2)]);
    assert_eq!((rows[0].1.as_str(), rows[1].1.as_str()), ("1, blessed, running", "2, blessed, boots next"));
}
