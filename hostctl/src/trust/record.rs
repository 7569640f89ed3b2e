//! Parses and checks the record of a release.

use super::{
    error::TrustError,
    release::{Release, TargetInfo},
};
use berth_contract::release::{FORMAT, MAX_UKI, RecordCustom, ReleaseRecord, Target, delta_name};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Block size of root file system and hash tree, in bytes.
const BLOCK: u64 = 4096;
/// Largest root file system, in bytes.
const MAX_ROOT: u64 = 64 << 30;
/// Most parts of a unified kernel image.
const MAX_PARTS: usize = 1024;

/// The field that every format has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

pub(super) fn parse(
    bytes: &[u8],
    release: &Release,
    targets: &BTreeMap<String, TargetInfo>,
) -> Result<ReleaseRecord, TrustError> {
    let name = &release.target;
    let fault = |fault: String| TrustError::Record { name: name.clone(), fault };
    let AnyFormat { format } = serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
    if format != FORMAT {
        return Err(TrustError::Format { name: name.clone(), wanted: FORMAT, found: format });
    }
    let record: ReleaseRecord = serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
    check(&record, &release.custom, targets).map_err(fault)?;
    Ok(record)
}

/// Returns the first contradiction in the record, or between the record and the metadata.
fn check(record: &ReleaseRecord, custom: &RecordCustom, targets: &BTreeMap<String, TargetInfo>) -> Result<(), String> {
    let expect = |holds: bool, what: &str, wanted: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
        if holds { Ok(()) } else { Err(format!("{what}: expected {wanted}, found {found}")) }
    };
    expect(record.id == custom.id, "id", &custom.id, &record.id)?;
    expect(record.version == custom.version, "version", &custom.version, &record.version)?;
    expect(record.arch == custom.arch, "arch", &custom.arch, &record.arch)?;
    expect(record.channel == custom.channel, "channel", &custom.channel, &record.channel)?;

    for (what, size) in [("root.size", record.root.size), ("root.verity_size", record.root.verity_size)] {
        let good = size > 0 && size % BLOCK == 0 && size <= MAX_ROOT;
        expect(good, what, &format!("a multiple of {BLOCK} up to {MAX_ROOT}"), &size)?;
    }
    let slot = record.min_slot;
    expect(slot.root.0 >= record.root.size, "min_slot.root", &record.root.size, &slot.root.0)?;
    expect(slot.verity.0 >= record.root.verity_size, "min_slot.verity", &record.root.verity_size, &slot.verity.0)?;

    let uki = &record.uki;
    expect((1..=MAX_UKI).contains(&uki.size), "uki.size", &format!("1 to {MAX_UKI}"), &uki.size)?;
    expect(uki.parts.len() <= MAX_PARTS, "uki.parts", &format!("at most {MAX_PARTS}"), &uki.parts.len())?;
    let mut end = 0;
    for part in &uki.parts {
        expect(part.offset == end, "uki.parts: offset", &end, &part.offset)?;
        end = part.offset.checked_add(part.size).ok_or("uki.parts: offset and size overflow")?;
    }
    expect(end == uki.size, "uki.parts: their end", &uki.size, &end)?;

    let named = |target: Target| target.name(&record.id, &record.version, &record.arch);
    let name = named(Target::Uki);
    let target = targets.get(&name).ok_or_else(|| format!("target {name} is missing"))?;
    expect(target.length == uki.size, "uki.size", &target.length, &uki.size)?;
    expect(target.sha256 == uki.sha256, "uki.sha256", &target.sha256, &uki.sha256)?;
    let blocks = [Target::Index, Target::Chunks].into_iter().all(|target| targets.contains_key(&named(target)));
    if !blocks && [Target::Root, Target::Packed].iter().all(|one| !targets.contains_key(&named(*one))) {
        return Err(format!("expected target {} or an index with chunks, found none", named(Target::Root)));
    }
    for delta in &record.deltas {
        let name = delta_name(&record.id, &delta.from, &record.version, &record.arch);
        expect(delta.target == name, "deltas: target", &name, &delta.target)?;
        expect(targets.contains_key(&name), "deltas", &"a target", &format!("none named {name}"))?;
    }
    Ok(())
}
