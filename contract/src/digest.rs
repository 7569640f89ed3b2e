//! SHA-256 digests as types of their own, so that they cannot be confused with other strings.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A SHA-256 digest, printed as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

/// The dm-verity root hash of a root file system. It identifies the content of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootHash(pub Sha256);

/// A text is not a SHA-256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex digits of SHA-256, found {found:?}")]
pub struct BadDigest {
    /// The text as given.
    pub found: String,
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Sha256 {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let bad = || BadDigest { found: text.to_owned() };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| bad())?;
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |c: u8| (c as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
            *byte = nibble(pair[0]).ok_or_else(bad)? << 4 | nibble(pair[1]).ok_or_else(bad)?;
        }
        Ok(Self(out))
    }
}

impl FromStr for RootHash {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Self, BadDigest> {
        text.parse().map(Self)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl RootHash {
    /// The UUIDs of the data partition and of the verity partition, as the Discoverable Partitions Specification derives them: the
    /// first and the last 128 bits of the root hash, in the order in which they are printed.
    #[must_use]
    pub fn partition_uuids(&self) -> ([u8; 16], [u8; 16]) {
        let (mut data, mut verity) = ([0; 16], [0; 16]);
        data.copy_from_slice(&self.0.0[..16]);
        verity.copy_from_slice(&self.0.0[16..]);
        (data, verity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_print_as_they_parse_and_reject_anything_else() {
        let text = "00ff0123456789abcdef00112233445566778899aabbccddeeff001122334455";
        let digest: Sha256 = text.parse().unwrap();
        assert_eq!(digest.to_string(), text);
        assert_eq!(RootHash(digest).partition_uuids().0[..2], [0x00, 0xff]);
        assert_eq!(RootHash(digest).partition_uuids().1[14..], [0x44, 0x55]);
        for bad in ["", "00ff", &text[1..], &text.replace('a', "g"), &format!("{text}0"), &text.replace("00", "+0")] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad}");
        }
    }
}
