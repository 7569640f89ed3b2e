//! Paths of the image, as archives and folders name them.

use super::TreePath;
use std::fmt::{self, Write};

/// Longest name of a file: EROFS's and ext4's limit.
pub const NAME_MAX: usize = 255;
/// Longest path: the kernel's `PATH_MAX` with its end.
pub const PATH_MAX: usize = 4095;

/// Why a text is no path of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Starts with `/`.
    #[error("it is absolute")]
    Absolute,
    /// A component is `..`.
    #[error("it has a component \"..\"")]
    Climbs,
    /// A NUL byte.
    #[error("it holds a NUL byte")]
    Nul,
    /// A component is longer than [`NAME_MAX`].
    #[error("a name in it has {found} bytes, at most {NAME_MAX} can be stored")]
    LongName {
        /// Length of that component.
        found: usize,
    },
    /// Longer than [`PATH_MAX`].
    #[error("it has {found} bytes, the kernel takes at most {PATH_MAX}")]
    Long {
        /// Its length.
        found: usize,
    },
}

/// The path that an archive member's name means: `./` in front and `/` behind are allowed, `.` and empty components are
/// passed over.
///
/// # Errors
/// What makes it unsafe, or impossible to store.
pub fn clean(name: &[u8]) -> Result<TreePath, PathFault> {
    if name.contains(&0) {
        return Err(PathFault::Nul);
    }
    if name.first() == Some(&b'/') {
        return Err(PathFault::Absolute);
    }
    let mut path = TreePath::with_capacity(name.len());
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(PathFault::Climbs),
            part if part.len() > NAME_MAX => return Err(PathFault::LongName { found: part.len() }),
            part => push(&mut path, part),
        }
    }
    if path.len() > PATH_MAX {
        return Err(PathFault::Long { found: path.len() });
    }
    Ok(path)
}

/// `path` with one component more.
pub(super) fn push(path: &mut TreePath, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

/// The folder that `path` lies in, and its name there; nothing for the root.
#[must_use]
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    })
}

/// A path as messages show it: absolute, what is not printable escaped.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a>(pub &'a [u8]);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        plain(self.0, f)
    }
}

/// A name as messages show it: as given, what is not printable escaped.
#[derive(Clone, Copy, Debug)]
pub struct ShowName<'a>(pub &'a [u8]);

impl fmt::Display for ShowName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        plain(self.0, f)
    }
}

fn plain(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_names_become_paths_or_faults() {
        for (name, path) in [
            ("./", ""),
            (".", ""),
            ("", ""),
            ("./usr/bin/x", "usr/bin/x"),
            ("usr//bin/./x/", "usr/bin/x"),
            ("./...", "..."),
            ("a b\n\u{e9}", "a b\n\u{e9}"),
        ] {
            assert_eq!(clean(name.as_bytes()), Ok(path.as_bytes().to_vec()), "{name:?}");
        }
        let long = "n".repeat(256);
        for (name, fault) in [
            ("/etc/passwd", PathFault::Absolute),
            ("./../x", PathFault::Climbs),
            ("a/..", PathFault::Climbs),
            ("a\0b", PathFault::Nul),
            (long.as_str(), PathFault::LongName { found: 256 }),
            (&"a/".repeat(2100), PathFault::Long { found: 4199 }),
        ] {
            assert_eq!(clean(name.as_bytes()), Err(fault), "{name:?}");
        }
        assert!(clean("n".repeat(255).as_bytes()).is_ok());
    }

    #[test]
    fn paths_split_into_folder_and_name() {
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b""), None);
        assert_eq!(Show(b"a\n\xff\xc3\xa9").to_string(), "/a\\n\\xff\u{e9}");
    }
}
