//! The report of both slots and their entries, for `hostctl status`.

use super::{EspFile, Running, error, next};
use berth_contract::{
    digest::RootHash,
    disk::Slot,
    update::{EntryState, Quarantined, SlotReport, SlotsReport},
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
pub fn report(all: &[EspFile], slots: &[SlotContent], running: &Running, quarantine: &[Quarantined]) -> SlotsReport {
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
        }
    });
    SlotsReport {
        slots: slots.collect(),
        next: next(all).map(|found| found.file.clone()),
        quarantine: quarantine.to_vec(),
        damaged: Vec::new(),
    }
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
        rows.push((name, text));
    }
    // Usually the next entry belongs to a slot. If not, show it in a row of its own.
    if !report.slots.iter().any(|slot| slot.entry.is_some() && slot.entry == report.next) {
        rows.push(("boots next", report.next.clone().unwrap_or_else(|| "nothing: there is no boot entry".to_owned())));
    }
    for failed in &report.quarantine {
        let mut text = String::new();
        let _ = write!(text, "{} after {} tries: {}", failed.version, failed.tries, failed.cause);
        rows.push(("failed", text));
    }
    rows.extend(report.damaged.iter().map(|damage| ("damaged", format!("{damage}; it counts as empty"))));
    rows
}
