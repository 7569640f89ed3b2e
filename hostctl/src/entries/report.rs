//! The report of both slots and their entries, for `hostctl status`.

use super::{EspFile, Running, error, next};
use berth_contract::{
    digest::RootHash,
    disk::Slot,
    update::{EntryState, KernelCheck, Quarantined, SlotCheck, SlotReport, SlotsReport},
};
use std::fmt::Write;

/// The content of a slot, by its hash tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotContent {
    /// A or B.
    pub slot: Slot,
    /// Root hash; `None` when there is no hash tree.
    pub root_hash: Option<RootHash>,
}

/// Combines slots, entries and quarantine into one report.
#[must_use]
pub fn report(
    all: &[EspFile],
    slots: &[SlotContent],
    running: &Running,
    quarantine: &[Quarantined],
    checks: &[SlotCheck],
) -> SlotsReport {
    let slots = slots.iter().map(|&SlotContent { slot, root_hash }| {
        let of_slot: Vec<EspFile> = match root_hash {
            Some(_) => all
                .iter()
                .filter(|found| found.root_hash() == root_hash && found.version().is_some())
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        // An entry takes precedence over a staged image, and of two entries the one that boots.
        let found = next(&of_slot).or(of_slot.first());
        let runs = root_hash == Some(running.root_hash);
        let state = if runs { EspFile::running_state } else { EspFile::state };
        SlotReport {
            slot,
            running: runs,
            root_hash,
            version: found.and_then(|found| Some(found.version()?.1.clone())),
            entry: found.map(|found| found.file.clone()),
            state: found.map_or(EntryState::None, state),
            // If the top of the hash tree is damaged, the slot seems to hold another version.
            check: checks
                .iter()
                .find(|check| check.slot == slot && (found.is_none() || Some(check.root_hash) == root_hash))
                .cloned(),
        }
    });
    SlotsReport {
        slots: slots.collect(),
        next: next(all).map(|found| found.file.clone()),
        quarantine: quarantine.to_vec(),
        instead_of: None,
        copies: Vec::new(),
        damaged: Vec::new(),
    }
}

/// What a check has found, in a few words.
#[must_use]
pub fn damage(check: &SlotCheck) -> String {
    let kernel = match check.kernel {
        KernelCheck::Whole => None,
        KernelCheck::Repaired => Some("the kernel image was damaged, and repaired"),
        KernelCheck::Damaged => Some("DAMAGED: the kernel image"),
    };
    match (blocks(check), kernel) {
        (None, None) => "all blocks are right".to_owned(),
        (Some(blocks), None) => blocks,
        (None, Some(kernel)) => kernel.to_owned(),
        (Some(blocks), Some(kernel)) => format!("{blocks}; {kernel}"),
    }
}

/// The damaged blocks; `None` if there were none.
fn blocks(check: &SlotCheck) -> Option<String> {
    Some(match (check.damaged, check.left) {
        (0, _) => return None,
        (damaged, 0) => format!("{} damaged, and repaired", were(damaged)),
        (damaged, left) => {
            let repaired = match damaged.saturating_sub(left) {
                0 => String::new(),
                repaired => format!(", {} repaired", were(repaired)),
            };
            format!("DAMAGED: {}{repaired}", if left == 1 { "1 block".to_owned() } else { format!("{left} blocks") })
        }
    })
}

fn were(count: u64) -> String {
    if count == 1 { "1 block was".to_owned() } else { format!("{count} blocks were") }
}

/// The report as rows of name and value, for `hostctl status`.
#[must_use]
pub fn show(report: &SlotsReport) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    for slot in &report.slots {
        let name = match slot.slot {
            Slot::A => "slot a",
            Slot::B => "slot b",
        };
        let mut text = match (&slot.version, slot.root_hash) {
            (Some(version), _) => format!("{version}, {}", error::of(slot.state)),
            (None, Some(_)) => "a version without a boot entry".to_owned(),
            (None, None) => "empty".to_owned(),
        };
        if slot.running {
            text.push_str(", running");
        }
        if slot.entry.is_some() && slot.entry == report.next {
            text.push_str(", boots next");
        }
        if let Some(check) = slot.check.as_ref().filter(|check| check.has_found()) {
            let _ = write!(text, "; {}", damage(check));
        }
        rows.push((name, text));
    }
    // Usually the next entry belongs to a slot. If not, show it in a row of its own.
    if !report.slots.iter().any(|slot| slot.entry.is_some() && slot.entry == report.next) {
        rows.push(("boots next", report.next.clone().unwrap_or_else(|| "nothing: there is no boot entry".to_owned())));
    }
    if let Some(entry) = &report.instead_of {
        let why = "its last boot ended without a verdict, or it cannot be started: see `hostctl why`";
        rows.push(("replaces", format!("version {}: {why}", entry.version)));
    }
    if !report.copies.is_empty() {
        let others = report.copies.join(", ");
        let text = format!("the firmware does not tell whether it has started this disk or its copy ({others})");
        rows.push(("disk", format!("{text}: upgrades are refused")));
    }
    for failed in &report.quarantine {
        let mut text = String::new();
        let _ = write!(text, "{} after {} tries: {}", failed.version, failed.tries, failed.cause);
        rows.push(("failed", text));
    }
    rows.extend(report.damaged.iter().map(|damage| ("damaged", format!("{damage}; it counts as empty"))));
    rows
}
