//! The events of an upgrade as text for people.

use berth_contract::update::{UpgradeEvent, UpgradePlan};
use std::fmt::Write;

/// The text of an event: one line, or a table for the plan.
#[must_use]
pub fn upgrade(event: &UpgradeEvent) -> String {
    match event {
        UpgradeEvent::Current { version } => format!("up to date: {version} runs, and there is no newer version\n"),
        UpgradeEvent::Available { from, to } => format!("version {to} is available; {from} runs\n"),
        UpgradeEvent::Plan(plan) => table(plan),
        UpgradeEvent::MemoryDamaged { path, fault } => {
            format!("warning: {path}: what this host remembered of releases is damaged, and not used: {fault}\n")
        }
        UpgradeEvent::FellBack { way, why } => format!("{way} failed, trying the next way: {why}\n"),
        UpgradeEvent::Progress { step, done, total } => format!("{step}: {} of {}\n", bytes(*done), bytes(*total)),
        UpgradeEvent::Done { version, slot, way, fetched, written, entry, .. } => format!(
            "version {version} is in slot {slot} ({way}: {} fetched, {} written){}\n",
            bytes(*fetched),
            bytes(*written),
            if *entry { ": `hostctl reboot` starts it" } else { ", staged: `hostctl upgrade` adds its boot entry" }
        ),
    }
}

fn table(plan: &UpgradePlan) -> String {
    let mut out = format!("{} -> {}, into slot {}\n", plan.from, plan.to, plan.slot);
    for (what, (old, new)) in [("kernel", &plan.kernel), ("engine", &plan.engine)] {
        let text = match (old.as_str(), new.as_str()) {
            ("", "") => continue,
            (old, new) if old == new => format!("{old}, unchanged"),
            ("", new) => format!("{new}, new"),
            (old, "") => format!("none, {old} removed"),
            (old, new) => format!("{old} -> {new}"),
        };
        let _ = writeln!(out, "{what:<8}  {text}");
    }
    let packages = plan.added.len() + plan.removed.len() + plan.changed.len();
    let _ = writeln!(
        out,
        "packages  {}",
        if packages == 0 {
            "unchanged".to_owned()
        } else {
            format!("{} changed, {} added, {} removed", plan.changed.len(), plan.added.len(), plan.removed.len())
        }
    );
    let names =
        plan.changed.iter().map(|(name, ..)| name).chain(plan.added.iter().chain(&plan.removed).map(|(n, _)| n));
    let width = names.map(String::len).max().unwrap_or(0);
    for (name, old, new) in &plan.changed {
        let _ = writeln!(out, "  {name:<width$}  {old} -> {new}");
    }
    for (sign, list) in [("+", &plan.added), ("-", &plan.removed)] {
        for (name, version) in list {
            let _ = writeln!(out, "{sign} {name:<width$}  {version}");
        }
    }
    if packages == 0 {
        changed_paths(&mut out, plan);
    }
    for (index, (way, size)) in plan.ways.iter().enumerate() {
        let _ = writeln!(
            out,
            "{:<8}  {:>10}  {way}{}",
            if index == 0 { "fetch" } else { "" },
            bytes(*size),
            if index == 0 { " (taken)" } else { "" }
        );
    }
    if plan.uki > 0 {
        let _ = writeln!(
            out,
            "          {:>10}  unified kernel image, unless the static delta contains it",
            bytes(plan.uki)
        );
    }
    out
}

/// The paths that differ, in the form of the packages.
fn changed_paths(out: &mut String, plan: &UpgradePlan) {
    let Some(paths) = &plan.paths else {
        let _ = writeln!(out, "files     unknown: the release has no list of changes from {}", plan.from);
        return;
    };
    let (changed, added, removed) = (paths.changed.len(), paths.added.len(), paths.removed.len());
    let _ = writeln!(out, "files     {changed} changed, {added} added, {removed} removed");
    for (sign, list) in [(' ', &paths.changed), ('+', &paths.added), ('-', &paths.removed)] {
        for path in list {
            let _ = writeln!(out, "{sign} {path}");
        }
    }
    if paths.left_out > 0 {
        let _ = writeln!(out, "  and {} more", paths.left_out);
    }
}

/// A size in the largest unit in which it is at least 1.
fn bytes(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(shift, _)| count >> shift > 0) {
        Some((shift, unit)) => {
            let tenths = (u128::from(count) * 10) >> shift;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::{
        disk::Slot,
        release::PathChanges,
        update::{UpgradeStep, Way},
    };

    fn text(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn plan() -> UpgradePlan {
        let pair = |list: &[&str]| (text(list)[0].clone(), text(list)[1].clone());
        UpgradePlan {
            from: "2026.11.0".parse().unwrap(),
            to: "2026.11.1".parse().unwrap(),
            slot: Slot::B,
            added: vec![pair(&["zstd", "1.5.7"])],
            removed: vec![pair(&["gzip", "1.13"])],
            paths: None,
            changed: vec![("libssl3t64".into(), "3.5.1-1".into(), "3.5.1-1+deb13u1".into())],
            kernel: pair(&["6.12.41", "6.12.43"]),
            engine: pair(&["docker 26.1.5", "docker 26.1.5"]),
            ways: vec![(Way::Static, 245_760), (Way::Blocks, 3_145_728), (Way::Full, 1 << 30)],
            uki: 900,
        }
    }

    #[test]
    fn a_plan_shows_the_changes_and_the_cost_of_each_way() {
        let expected = "\
2026.11.0 -> 2026.11.1, into slot b
kernel    6.12.41 -> 6.12.43
engine    docker 26.1.5, unchanged
packages  1 changed, 1 added, 1 removed
  libssl3t64  3.5.1-1 -> 3.5.1-1+deb13u1
+ zstd        1.5.7
- gzip        1.13
fetch      240.0 KiB  static delta (taken)
             3.0 MiB  block delta
             1.0 GiB  full download
               900 B  unified kernel image, unless the static delta contains it
";
        assert_eq!(upgrade(&UpgradeEvent::Plan(Box::new(plan()))), expected);
    }

    #[test]
    fn a_plan_leaves_out_what_does_not_exist() {
        let plan = UpgradePlan {
            added: vec![],
            removed: vec![],
            changed: vec![],
            engine: (String::new(), String::new()),
            ways: vec![(Way::Present, 0)],
            uki: 0,
            ..plan()
        };
        let expected = "\
2026.11.0 -> 2026.11.1, into slot b
kernel    6.12.41 -> 6.12.43
packages  unchanged
files     unknown: the release has no list of changes from 2026.11.0
fetch            0 B  present (taken)
";
        assert_eq!(upgrade(&UpgradeEvent::Plan(Box::new(plan.clone()))), expected);
        let paths = PathChanges { changed: text(&["/etc/a"]), added: text(&["/etc/b"]), removed: vec![], left_out: 7 };
        let listed = upgrade(&UpgradeEvent::Plan(Box::new(UpgradePlan { paths: Some(paths), ..plan })));
        assert!(
            listed.contains("files     1 changed, 1 added, 0 removed\n  /etc/a\n+ /etc/b\n  and 7 more\n"),
            "{listed}"
        );
    }

    #[test]
    fn every_other_event_is_one_line() {
        let version = || "2".parse().unwrap();
        for (event, line) in [
            (UpgradeEvent::Current { version: version() }, "up to date: 2 runs, and there is no newer version\n"),
            (UpgradeEvent::Available { from: "1".parse().unwrap(), to: version() }, "version 2 is available; 1 runs\n"),
            (
                UpgradeEvent::FellBack { way: Way::Blocks, why: "no ranges".into() },
                "block delta failed, trying the next way: no ranges\n",
            ),
            (
                UpgradeEvent::Progress { step: UpgradeStep::Fetch, done: 1536, total: 5 << 20 },
                "fetch: 1.5 KiB of 5.0 MiB\n",
            ),
            (
                UpgradeEvent::Done {
                    version: version(),
                    slot: Slot::A,
                    way: Way::Full,
                    fetched: 3 << 20,
                    written: 1023,
                    peak_memory: 0,
                    entry: true,
                },
                "version 2 is in slot a (full download: 3.0 MiB fetched, 1023 B written): `hostctl reboot` starts it\n",
            ),
        ] {
            assert_eq!(upgrade(&event), line);
        }
    }
}
