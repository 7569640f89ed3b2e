//! What a release changes.

use berth_contract::{
    disk::Slot,
    image_spec::ImageSpec,
    release::ReleaseRecord,
    update::{UpgradePlan, Way},
};

/// The plan of an upgrade: what changes by the records of both versions, and what it takes by those who will do it. `ways`
/// is the cheapest first.
#[must_use]
pub fn plan(running: &ImageSpec, record: &ReleaseRecord, slot: Slot, ways: Vec<(Way, u64)>, uki: u64) -> UpgradePlan {
    let (old, new) = (&running.packages, &record.packages);
    let pair = |(name, version): (&String, &String)| (name.clone(), version.clone());
    UpgradePlan {
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
