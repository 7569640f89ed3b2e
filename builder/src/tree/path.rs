//! Paths in the image: from names in archives and folders, and for messages.

use super::TreePath;
use std::fmt::{self, Write};

/// Longest file name in bytes: the limit of EROFS and ext4.
pub const NAME_MAX: usize = 255;
/// Longest path in bytes: the kernel's `PATH_MAX` without the NUL byte at the end.
pub const PATH_MAX: usize = 4095;

/// A name is not a valid path in the image.
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
    #[error("it has a component of {found} bytes: expected at most {NAME_MAX}")]
    LongName { found: usize },
    /// Longer than [`PATH_MAX`].
    #[error("it has {found} bytes: expected at most {PATH_MAX}")]
    Long { found: usize },
}

/// The path for the name of an archive member. The name may start with `./` and end with `/`. Components that are `.` or empty
/// are skipped.
///
/// # Errors
/// If the path is unsafe, or too long for the file system.
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

/// Appends a component to `path`.
pub(super) fn push(path: &mut TreePath, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

/// The parent folder of `path` and its name in that folder. `None` for the root.
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

/// A path for messages: absolute, with control characters and invalid UTF-8 escaped.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a>(pub &'a [u8]);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        plain(self.0, f)
    }
}

/// A name for messages: as given, with control characters and invalid UTF-8 escaped.
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
    fn names_of_archive_members_give_paths_or_faults() {
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
