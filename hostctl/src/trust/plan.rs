//! The plan of an upgrade.

use berth_contract::{
    disk::Slot,
    image_spec::ImageSpec,
    release::ReleaseRecord,
    update::{UpgradePlan, Way},
};

/// The plan of an upgrade: the differences between the records of both versions, and the costs. `ways` are sorted, cheapest first; `uki`
/// are the bytes to fetch for the kernel image.
#[must_use]
pub fn plan(running: &ImageSpec, record: &ReleaseRecord, slot: Slot, ways: Vec<(Way, u64)>, uki: u64) -> UpgradePlan {
    let (old, new) = (&running.packages, &record.packages);
    let pair = |(name, version): (&String, &String)| (name.clone(), version.clone());
    let delta = record.deltas.iter().find(|delta| delta.from == running.version).filter(|_| old == new);
    UpgradePlan {
        paths: delta.and_then(|delta| delta.paths.clone()),
        from: running.version.clone(),
        to: record.version.clone(),
        slot,
        added: new.iter().filter(|(name, _)| !old.contains_key(*name)).map(pair).collect(),
        removed: old.iter().filter(|(name, _)| !new.contains_key(*name)).map(pair).collect(),
        changed: new
            .iter()
            .filter_map(|(name, version)| Some((name, old.get(name).filter(|before| *before != version)?, version)))
            .map(|(name, before, version)| (name.clone(), before.clone(), version.clone()))
            .collect(),
        kernel: (running.kernel.clone(), record.kernel.clone()),
        engine: (
            running.engine.as_ref().map(|engine| format!("{} {}", engine.kind, engine.version)).unwrap_or_default(),
            record.engine.as_ref().map(|engine| format!("{} {}", engine.kind, engine.version)).unwrap_or_default(),
        ),
        ways,
        uki,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_changed_package_the_plan_lists_the_changed_paths() {
        let running = |packages: &str| -> ImageSpec {
            let json = format!(
                r#"{{"id": "host", "version": "1", "arch": "x86_64", "kernel": "6", "modules": [], "images": [], "containers": [],
                    "engine": null, "packages": {packages}}}"#
            );
            serde_json::from_str(&json).unwrap()
        };
        let digest = "00".repeat(32);
        let record: ReleaseRecord = serde_json::from_str(&format!(
            r#"{{"format": 1, "id": "host", "version": "2", "arch": "x86_64", "channel": "stable", "epoch": 0,
                "root": {{"root_hash": "{digest}", "size": 4096, "verity_size": 8192,
                          "verity_uuid": "00000000-0000-0000-0000-000000000001"}},
                "uki": {{"size": 1, "sha256": "{digest}", "parts": []}}, "min_slot": {{"root": 4096, "verity": 8192}},
                "kernel": "6", "engine": null, "packages": {{"a": "1"}}, "deltas": [{{"from": "1", "from_root_hash": "{digest}",
                "from_uki": "{digest}", "target": "t", "paths": {{"changed": ["/etc/x"], "added": [], "removed": []}}}}]}}"#
        ))
        .unwrap();
        let paths = |packages: &str| plan(&running(packages), &record, Slot::B, Vec::new(), 0).paths;
        assert_eq!(paths(r#"{"a": "1"}"#).unwrap().changed, ["/etc/x"]);
        assert_eq!(paths(r#"{"a": "2"}"#), None);
    }

    #[test]
    fn a_plan_lists_exactly_the_packages_that_differ() {
        let running: ImageSpec = serde_json::from_str(
            r#"{"id": "host", "version": "1", "arch": "x86_64", "kernel": "6.12.1", "modules": [], "images": [],
                "containers": [], "engine": {"kind": "docker", "version": "26.1.4"},
                "packages": {"a": "1", "b": "1", "c": "1"}}"#,
        )
        .unwrap();
        let digest = "00".repeat(32);
        let record: ReleaseRecord = serde_json::from_str(&format!(
            r#"{{"format": 1, "id": "host", "version": "2", "arch": "x86_64", "channel": "stable", "epoch": 0,
                "root": {{"root_hash": "{digest}", "size": 4096, "verity_size": 8192,
                          "verity_uuid": "00000000-0000-0000-0000-000000000001"}},
                "uki": {{"size": 1, "sha256": "{digest}", "parts": []}},
                "min_slot": {{"root": 4096, "verity": 8192}}, "kernel": "6.12.2", "engine": null,
                "packages": {{"b": "1", "c": "2", "d": "1"}}, "deltas": []}}"#
        ))
        .unwrap();
        let plan = plan(&running, &record, Slot::B, vec![(Way::Full, 7)], 5);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(plan.added, [pair("d", "1")]);
        assert_eq!(plan.removed, [pair("a", "1")]);
        assert_eq!(plan.changed, [("c".to_owned(), "1".to_owned(), "2".to_owned())]);
        assert_eq!(plan.kernel, pair("6.12.1", "6.12.2"));
        assert_eq!(plan.engine, pair("docker 26.1.4", ""));
        assert_eq!((plan.ways, plan.uki), (vec![(Way::Full, 7)], 5));
    }
}
