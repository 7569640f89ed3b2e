//! What this host demands of a root.json beyond its signatures.

use super::inspection;
use std::collections::BTreeSet;
use tough::schema::{RoleType, Root, Signed, key::Key};

/// Parses a root.json and checks what tough does not. Signatures are not checked here.
///
/// # Errors
/// What is wrong, in one sentence.
pub(super) fn parse(bytes: &[u8]) -> Result<Signed<Root>, String> {
    inspection::inspect(bytes)?;
    let root: Signed<Root> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    check(&root.signed)?;
    Ok(root)
}

/// Each key must count once for a threshold. tough tells keys apart by their ids, and a key with one more field has another id.
fn check(root: &Root) -> Result<(), String> {
    if !root.consistent_snapshot {
        return Err("expected consistent_snapshot = true, found false".to_owned());
    }
    for role in [RoleType::Root, RoleType::Targets, RoleType::Snapshot, RoleType::Timestamp] {
        let keys: Vec<&Key> = root.keys(role).collect();
        let different: BTreeSet<&[u8]> = keys.iter().map(|key| public(key)).collect();
        if different.len() != keys.len() {
            return Err(format!(
                "role {role}: expected {} different keys, found {} (the same key has several ids)",
                keys.len(),
                different.len()
            ));
        }
    }
    Ok(())
}

fn public(key: &Key) -> &[u8] {
    match key {
        Key::Rsa { keyval, .. } => &keyval.public,
        Key::Ed25519 { keyval, .. } => &keyval.public,
        Key::Ecdsa { keyval, .. } | Key::EcdsaOld { keyval, .. } => &keyval.public,
    }
}
