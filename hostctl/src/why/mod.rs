//! Why a version failed: for `hostctl why`, and for the cause in the quarantine.

pub mod records;

use crate::entries::damage;
use berth_contract::{
    entry::BootEntry,
    subject::Subject,
    update::{BootRecord, Quarantined, SlotCheck, Verdict},
};
use records::{Dump, Records};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Lines of a kernel dump that are shown.
const DUMP_LINES: usize = 40;
/// Lines on one screen: of the log, of the kernel dump, and quarantined versions.
const SCREEN_TAIL: usize = 6;
const SCREEN_DUMP: usize = 3;
const SCREEN_QUARANTINE: usize = 2;
/// Characters of a line of a log on one screen.
const SCREEN_WIDTH: usize = 75;
/// Longest cause, in bytes.
const LONGEST_CAUSE: usize = 500;

/// The report of `hostctl why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReport {
    /// The last failed boot that left a record.
    pub failed: Option<FailedBoot>,
    /// The dump of the last kernel panic.
    pub panic: Option<Dump>,
    /// Versions that have failed on this host.
    pub quarantine: Vec<Quarantined>,
    /// The slots in which damage was found.
    #[serde(default)]
    pub damaged_slots: Vec<SlotCheck>,
    /// Files and folders that cannot be read and count as empty: one sentence each.
    #[serde(default)]
    pub damaged: Vec<String>,
}

/// A boot that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBoot {
    /// The record of the boot.
    pub record: BootRecord,
    /// Number of failed boots of this version, including this one.
    pub boots: u32,
    /// The cause, in one sentence.
    pub cause: String,
}

/// Why a version that has used up its tries failed, in one sentence.
#[must_use]
pub fn cause(entry: &BootEntry, records: &Records) -> String {
    let is_its = |boot: &&BootRecord| boot.id == entry.id && boot.version == entry.version;
    // The version was last installed while another version ran.
    let since = records.boots.iter().filter(|boot| !is_its(boot)).map(|boot| boot.started).max().unwrap_or(0);
    let boots: Vec<&BootRecord> = records.boots.iter().filter(is_its).filter(|boot| boot.started >= since).collect();
    let dumps = records.dumps_of(boots.first().map(|boot| &boot.root_hash), since);
    let tries = entry.counter.map_or(0, |counter| counter.done);
    let mut causes: Vec<String> = boots.iter().filter_map(|boot| cause_of(boot, &dumps)).collect();
    causes.dedup();
    let text = if boots.is_empty() {
        match dumps.last() {
            Some(dump) => format!("no boot reached /var: {}", dump.headline()),
            None => "no boot reached /var, and none left a record (power cut, watchdog, or the kernel did not start)"
                .to_owned(),
        }
    } else {
        let each = match (boots.len(), &causes[..]) {
            (1, [one]) => one.clone(),
            (count, [one]) => format!("{count} boots, each: {one}"),
            (count, []) => format!("{count} boots, none of which failed by itself"),
            (count, many) => format!("{count} boots: {}", many.join("; then ")),
        };
        match usize::try_from(tries).unwrap_or(usize::MAX).saturating_sub(boots.len()) {
            0 => each,
            silent => format!("{each}; of {tries} boots {silent} did not reach /var"),
        }
    };
    text[..text.floor_char_boundary(LONGEST_CAUSE)].to_owned()
}

/// The last boot before the running one, if this version was booted.
#[must_use]
pub fn last_boot<'a>(entry: &BootEntry, records: &'a Records) -> Option<&'a BootRecord> {
    records.boots.last().filter(|boot| boot.id == entry.id && boot.version == entry.version)
}

/// Whether every try of this entry is on record, and failed because of this part of the host.
#[must_use]
pub fn always_failed_by(entry: &BootEntry, records: &Records, part: &Subject) -> bool {
    let is_its = |boot: &&BootRecord| boot.id == entry.id && boot.version == entry.version;
    let tries = entry.counter.map_or(0, |counter| counter.done);
    let last = records.boots.iter().rev().take_while(is_its).take(usize::try_from(tries).unwrap_or(usize::MAX));
    let failed = last.filter(|boot| matches!(&boot.verdict, Verdict::Bad { what, .. } if what == part));
    tries > 0 && u32::try_from(failed.count()) == Ok(tries)
}

/// The cause of a failed boot; `None` if the boot did not fail.
fn cause_of(boot: &BootRecord, dumps: &[&Dump]) -> Option<String> {
    match (&boot.verdict, &boot.end) {
        (Verdict::Good, _) => None,
        (Verdict::Bad { what, why }, _) => Some(format!("{what}: {why}")),
        (Verdict::Pending, Some(end)) => Some(format!("shut down before its verdict ({end})")),
        (Verdict::Pending, None) => Some(match dump_of(boot, dumps) {
            Some(dump) => dump.headline(),
            None => "ended without a verdict (power cut or watchdog)".to_owned(),
        }),
    }
}

/// The dump that a boot has left: the first one after its start, or else the last one that names its root hash. If the clock was corrected
/// during the boot, the recorded start may be later than the dump.
fn dump_of<'a>(boot: &BootRecord, dumps: &[&'a Dump]) -> Option<&'a Dump> {
    let its = boot.root_hash.to_string();
    let names_it = |dump: &&&Dump| dump.root_hash() == Some(its.as_str());
    dumps.iter().find(|dump| dump.at >= boot.started).or_else(|| dumps.iter().rfind(names_it)).copied()
}

/// Makes the report. A boot that was shut down before its verdict is not a failure.
#[must_use]
pub fn report(records: &Records) -> WhyReport {
    let is_failed = |boot: &&BootRecord| match boot.verdict {
        Verdict::Bad { .. } => true,
        Verdict::Pending => boot.end.is_none(),
        Verdict::Good => false,
    };
    let is_bad = |boot: &&BootRecord| matches!(boot.verdict, Verdict::Bad { .. });
    // The running boot may have failed too, if it is not on trial.
    let last = records.running.as_ref().filter(is_bad).or_else(|| records.boots.iter().rfind(is_failed));
    let failed = last.map(|record| {
        let same = |boot: &&BootRecord| boot.root_hash == record.root_hash;
        let all = records.boots.iter().filter(is_failed).chain(records.running.iter().filter(is_bad));
        let dumps = records.dumps_of(Some(&record.root_hash), record.started);
        FailedBoot {
            boots: u32::try_from(all.filter(same).count()).unwrap_or(u32::MAX),
            cause: cause_of(record, &dumps).unwrap_or_default(),
            record: record.clone(),
        }
    });
    WhyReport {
        failed,
        panic: records.dumps.last().cloned(),
        quarantine: records.quarantine.clone(),
        damaged: records.damaged.clone(),
        damaged_slots: records.damaged_slots.clone(),
    }
}

/// How much of a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What fits on a screen of 80 columns and 24 rows, unless a cause is very long.
    Screen,
    /// All of it.
    Full,
}

impl Extent {
    /// The last of these items that are shown: at most `most` on a screen.
    fn last<T>(self, items: &[T], most: usize) -> &[T] {
        match self {
            Self::Screen => &items[items.len().saturating_sub(most)..],
            Self::Full => items,
        }
    }
}

/// The report as text.
#[must_use]
pub fn show(report: &WhyReport, extent: Extent, time: impl Fn(u64) -> String) -> String {
    let mut out = String::new();
    let mut hidden = 0;
    let mut lines = |out: &mut String, name: &str, lines: &[String], most: usize| {
        let shown = extent.last(lines, most);
        hidden += lines.len() - shown.len();
        show_lines(out, name, shown, extent);
    };
    match &report.failed {
        None => out.push_str("no failed boot is on record\n"),
        Some(FailedBoot { record, boots, cause }) => {
            let tries = record.counter.map_or_else(
                || "not on trial".to_owned(),
                |counter| format!("on trial: boot {}, {} left", counter.done, counter.left),
            );
            let end = record.end.as_ref().map_or_else(|| "without a shutdown".to_owned(), ToString::to_string);
            for (name, value) in [
                ("version", format!("{} {}", record.id, record.version)),
                ("booted", format!("{}, from slot {}, {tries}", time(record.started), record.slot)),
                ("failed", cause.clone()),
                ("ended", end),
                ("failures", format!("{boots} on record of this version")),
            ] {
                let _ = writeln!(out, "{name:<10}  {value}");
            }
            lines(&mut out, "last lines", &record.tail, SCREEN_TAIL);
        }
    }
    if let Some(dump) = &report.panic {
        let _ = writeln!(out, "\nkernel {} at {}: {}", dump.reason.to_lowercase(), time(dump.at), dump.headline());
        lines(&mut out, "its last lines", &dump.lines[dump.lines.len().saturating_sub(DUMP_LINES)..], SCREEN_DUMP);
    }
    if !report.quarantine.is_empty() {
        out.push_str("\nquarantined versions (installed again only if named):\n");
    }
    let quarantine = extent.last(&report.quarantine, SCREEN_QUARANTINE);
    hidden += report.quarantine.len() - quarantine.len();
    for one in quarantine {
        let _ = writeln!(out, "  {} {}: {} ({})", one.id, one.version, one.cause, time(one.at));
    }
    for check in &report.damaged_slots {
        let what = damage(check);
        let _ = writeln!(out, "slot {} ({}): {what} (checked {})", check.slot, check.version, time(check.at));
    }
    for damage in &report.damaged {
        let _ = writeln!(out, "damaged     {damage}; it counts as empty");
    }
    if hidden > 0 {
        let _ = writeln!(out, "`hostctl why --full` shows {hidden} more lines");
    }
    out
}

fn show_lines(out: &mut String, name: &str, lines: &[String], extent: Extent) {
    if !lines.is_empty() {
        let _ = writeln!(out, "{name}:");
    }
    for line in lines {
        match line.char_indices().nth(SCREEN_WIDTH) {
            Some((end, _)) if extent == Extent::Screen => _ = writeln!(out, "  {}...", &line[..end]),
            _ => _ = writeln!(out, "  {line}"),
        }
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
