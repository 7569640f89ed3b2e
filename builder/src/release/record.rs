//! Makes the record of a release from a build.

use super::{build::Build, error::ReleaseError};
use berth_contract::{
    container::ByteSize,
    digest::Sha256,
    engine::StoreFormat,
    release::{
        DeltaRecord, EngineRecord, FORMAT, MAX_SIZE, MinSlot, RecordCustom, ReleaseRecord, RootRecord, Target, UkiPart,
        UkiRecord,
    },
};
use berth_formats::pe::{self, PeError};
use sha2::Digest;
use std::collections::BTreeSet;

/// Makes the record of `build` for `channel`, with `deltas`.
pub(super) fn record(build: &Build, channel: &str, deltas: Vec<DeltaRecord>) -> Result<ReleaseRecord, PeError> {
    let Build { manifest, superblock, uki, uki_sha256, .. } = build;
    let engine = manifest.engine.as_ref().map(|engine| EngineRecord {
        kind: engine.kind.into(),
        version: engine.version.clone(),
        store: StoreFormat::of(engine.kind, &engine.version),
    });
    let (size, verity_size) = (superblock.data_size(), superblock.tree_size());
    let verity_uuid = uuid::Uuid::from_bytes(superblock.uuid);
    Ok(ReleaseRecord {
        format: FORMAT,
        id: manifest.id.clone(),
        version: manifest.version.clone(),
        arch: manifest.arch.into(),
        channel: channel.to_owned(),
        epoch: manifest.epoch,
        root: RootRecord { root_hash: manifest.root_hash, size, verity_size, verity_uuid },
        uki: UkiRecord { size: uki.len() as u64, sha256: *uki_sha256, parts: parts(uki)? },
        min_slot: MinSlot { root: ByteSize(size), verity: ByteSize(verity_size) },
        kernel: manifest.kernel.clone(),
        engine,
        packages: manifest.packages(),
        deltas,
    })
}

/// The text of the record's file.
///
/// # Errors
/// The record is larger than the limit of hosts.
pub(super) fn text(record: &ReleaseRecord) -> anyhow::Result<String> {
    let text = format!("{:#}\n", serde_json::to_value(record)?);
    let (found, hint) = (text.len() as u64, "build the image with fewer packages");
    if found > MAX_SIZE {
        let what = Target::Record.name(&record.id, &record.version, &record.arch);
        return Err(ReleaseError::Large { what, most: MAX_SIZE, found, hint }.into());
    }
    Ok(text)
}

/// The custom part of the record's entry in the targets metadata.
pub(super) fn custom(record: &ReleaseRecord) -> RecordCustom {
    RecordCustom {
        id: record.id.clone(),
        version: record.version.clone(),
        arch: record.arch.clone(),
        channel: record.channel.clone(),
    }
}

/// Cuts `uki` into parts at the start and end of its sections. The parts cover the whole file.
fn parts(uki: &[u8]) -> Result<Vec<UkiPart>, PeError> {
    let mut cuts = BTreeSet::from([0, uki.len()]);
    for section in pe::sections(uki)? {
        cuts.extend([section.raw.start, section.raw.end]);
    }
    let part = |(start, end): (&usize, &usize)| UkiPart {
        offset: *start as u64,
        size: (end - start) as u64,
        sha256: Sha256(sha2::Sha256::digest(&uki[*start..*end]).into()),
    };
    Ok(cuts.iter().zip(cuts.iter().skip(1)).map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_file_and_keep_sections_apart() {
        let stub = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
        berth_judge::needs!(stub);
        let stub = std::fs::read(stub).unwrap();
        let parts = parts(&stub).unwrap();
        let mut at = 0;
        for part in &parts {
            assert_eq!(part.offset, at);
            at += part.size;
        }
        assert_eq!(at, stub.len() as u64);
        for section in pe::sections(&stub).unwrap() {
            let start = section.raw.start as u64;
            assert!(section.raw.is_empty() || parts.iter().any(|part| part.offset == start), "{}", section.name);
        }
        assert!(super::parts(b"no PE").is_err());
    }
}
