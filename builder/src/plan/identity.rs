//! UUIDs of a build. They are derived from the plan: two builds of one plan have the same UUIDs, two plans have different ones.

use sha2::{Digest, Sha256};

/// A UUID for the item `what` of a build. `seed` identifies the build. The UUID has RFC 9562 version 8 (custom): it is the start
/// of a SHA-256. Its bytes are in the order in which a UUID is printed.
#[must_use]
pub fn uuid(seed: &[u8], what: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"berth uuid\0");
    hash.update(what.as_bytes());
    hash.update([0]);
    hash.update(seed);
    let mut out = [0; 16];
    out.copy_from_slice(&hash.finalize()[..16]);
    out[6] = (out[6] & 0x0f) | 0x80;
    out[8] = (out[8] & 0x3f) | 0x80;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_depend_on_seed_and_item_and_have_version_8() {
        let id = uuid::Uuid::from_bytes(uuid(b"seed", "disk"));
        assert_eq!(id.get_version_num(), 8);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        assert_ne!(uuid(b"seed", "disk"), uuid(b"seed", "esp"));
        assert_ne!(uuid(b"seed", "disk"), uuid(b"seeds", "disk"));
    }
}
