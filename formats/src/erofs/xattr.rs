//! Extended attributes of one inode, as they are after it on disk.

use super::format::{XATTR_HEADER, u16_at};
use crate::node::Xattrs;

/// On disk a number stands for the beginning of a name. The two ACL names are complete with it; the others have more after it.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];
/// `XATTR_NAME_MAX` of linux/limits.h. The kernel lists a longer name, but refuses to read it.
const NAME_MAX: usize = 255;
/// Name length, prefix, value length.
const ENTRY: usize = 4;
/// The inode counts its attributes in words of 4 bytes with 16 bits.
const MAX_LEN: usize = XATTR_HEADER + 4 * (u16::MAX as usize - 1);

/// Attributes that EROFS cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadXattr {
    /// A name with an unknown prefix, with nothing after it, or too long.
    #[error(
        "extended attribute {0:?}: expected user., trusted. or security. and up to 255 bytes in all, or a POSIX ACL"
    )]
    Name(String),
    /// A value whose length does not fit into 16 bits.
    #[error("extended attribute {name:?}: {len} bytes of value, at most 65535 are possible")]
    Value {
        /// Name of the attribute.
        name: String,
        /// Length of its value.
        len: usize,
    },
    /// Too many bytes in all.
    #[error("{len} bytes of extended attributes, at most {MAX_LEN} are possible")]
    TooMany {
        /// Length with names and headers.
        len: usize,
    },
}

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    let (index, rest) = PREFIXES.iter().find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)))?;
    (rest.is_empty() == matches!(index, 2 | 3) && name.len() <= NAME_MAX).then_some((index, rest))
}

/// The bytes after an inode with these attributes. Empty if there are none.
pub(super) fn encode(xattrs: &Xattrs) -> Result<Vec<u8>, BadXattr> {
    if xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![0; XATTR_HEADER];
    for (name, value) in xattrs {
        let printed = || String::from_utf8_lossy(name).into_owned();
        let (index, rest) = split(name).ok_or_else(|| BadXattr::Name(printed()))?;
        let name_len = u8::try_from(rest.len()).map_err(|_| BadXattr::Name(printed()))?;
        let value_len =
            u16::try_from(value.len()).map_err(|_| BadXattr::Value { name: printed(), len: value.len() })?;
        out.extend([name_len, index]);
        out.extend(value_len.to_le_bytes());
        out.extend(rest);
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    if out.len() > MAX_LEN { Err(BadXattr::TooMany { len: out.len() }) } else { Ok(out) }
}

/// Reads attributes. `None` if they are damaged, shared between inodes, or have an unknown prefix.
pub(super) fn decode(bytes: &[u8]) -> Option<Xattrs> {
    let mut out = Xattrs::new();
    if bytes.is_empty() {
        return Some(out);
    }
    let shared_count = *bytes.get(4)?;
    let mut rest = bytes.get(XATTR_HEADER..)?;
    if shared_count != 0 {
        return None;
    }
    while !rest.is_empty() {
        let header = rest.get(..ENTRY)?;
        let name_end = ENTRY + usize::from(header[0]);
        let end = name_end + usize::from(u16_at(header, 2));
        let (_, prefix) = PREFIXES.iter().find(|(index, _)| *index == header[1])?;
        let name = [prefix, rest.get(ENTRY..name_end)?].concat();
        out.insert(name, rest.get(name_end..end)?.to_vec());
        rest = rest.get(end.next_multiple_of(4)..)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &[u8]) -> Xattrs {
        Xattrs::from([(name.into(), value.into())])
    }

    #[test]
    fn attributes_read_as_written() {
        let mut all = Xattrs::new();
        assert!(encode(&all).unwrap().is_empty());
        for (n, (_, prefix)) in PREFIXES.iter().enumerate() {
            let rest: &[u8] = if prefix.ends_with(b".") { &b"name"[..1 + n % 4] } else { b"" };
            all.insert([prefix, rest].concat(), vec![7; 3 * n]);
        }
        let bytes = encode(&all).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(decode(&bytes).unwrap(), all);
        for len in 1..bytes.len() {
            assert_ne!(decode(&bytes[..len]), Some(all.clone()), "cut to {len}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for name in ["", "user", "user.", "lustre.x", "system.posix_acl_access2", &format!("user.{}", "n".repeat(251))]
        {
            assert_eq!(encode(&one(name, b"")), Err(BadXattr::Name(name.to_owned())), "{name}");
        }
        encode(&one(&format!("user.{}", "n".repeat(250)), &[1; 65535])).unwrap();
        assert!(matches!(encode(&one("user.v", &[1; 65536])), Err(BadXattr::Value { len: 65536, .. })));
        let many: Xattrs = (0..5u8).map(|n| (vec![b'u', b's', b'e', b'r', b'.', b'0' + n], vec![0; 65535])).collect();
        assert!(matches!(encode(&many), Err(BadXattr::TooMany { .. })));
    }
}
