//! /proc/self/mountinfo, proc_pid_mountinfo(5).

use berth_contract::fault::{At, PathError};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mount point.
    pub target: PathBuf,
    /// File system type.
    pub kind: String,
    /// Device or other source.
    pub source: String,
    /// Whether the file system itself is read-only.
    pub read_only: bool,
}

/// The mounts of this process, in the order in which they were made.
///
/// # Errors
/// When /proc is not mounted.
pub fn read() -> Result<Vec<Mount>, PathError> {
    const PATH: &str = "/proc/self/mountinfo";
    Ok(parse(&fs::read_to_string(PATH).at("read", PATH)?))
}

/// The mount on a directory. If there are several, the last one: it hides the others.
///
/// # Errors
/// When /proc is not mounted.
pub fn on(target: &Path) -> Result<Option<Mount>, PathError> {
    Ok(read()?.into_iter().rev().find(|mount| mount.target == target))
}

/// Parses the text. Incomplete lines are skipped.
#[must_use]
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(line).collect()
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn line(text: &str) -> Option<Mount> {
    let (mount, filesystem) = text.split_once(" - ")?;
    let target = unescaped(mount.split(' ').nth(4)?);
    let mut words = filesystem.split(' ');
    let (kind, source) = (words.next()?.to_owned(), unescaped(words.next()?));
    let read_only = words.next()?.split(',').any(|option| option == "ro");
    Some(Mount { target: target.into(), kind, source, read_only })
}

/// Decodes the octal escapes of space, tab, newline and backslash.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed_with_and_without_optional_fields() {
        let mounts = parse(
            "36 35 98:0 / / ro,relatime shared:1 master:2 - erofs /dev/dm-0 ro,user_xattr\n\
             40 36 8:6 / /var rw,nosuid,nodev,noatime - ext4 /dev/vda6 rw\n\
             41 40 0:44 / /var/lib/a\\040b\\134040 rw - overlay overlay rw,lowerdir=/x - y\nnonsense\n",
        );
        let targets: Vec<&str> = mounts.iter().map(|mount| mount.target.to_str().unwrap()).collect();
        assert_eq!(targets, ["/", "/var", "/var/lib/a b\\040"]);
        assert!(mounts[0].read_only && !mounts[1].read_only);
        assert_eq!((mounts[1].kind.as_str(), mounts[1].source.as_str()), ("ext4", "/dev/vda6"));
    }

    #[test]
    fn the_table_of_this_process_has_a_root() {
        assert!(on(Path::new("/")).unwrap().is_some());
        assert_eq!(on(Path::new("/no/such")).unwrap(), None);
    }
}
