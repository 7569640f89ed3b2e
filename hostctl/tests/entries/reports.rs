//! The report of both slots.

use super::kit::{Esp, hash, running};
use berth_contract::disk::Slot;
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
