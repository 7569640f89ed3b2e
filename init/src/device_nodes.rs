//! Entries of /dev that the kernel does not make: standard links, nodes that load a kernel module when they are opened, and links to
//! partitions by GPT name.

use crate::{block, device_modes};
use berth_contract::fault::{At, Failure, Failures, PathError};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// Links that programs expect: the same as in systemd's `dev-setup.c`.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];
const BY_LABEL: &str = "/dev/disk/by-partlabel";

/// Makes links and static nodes, and sets the modes of all nodes. `devname` is the text of modules.devname.
///
/// # Errors
/// Every entry that could not be made. The other entries are made.
pub fn complete(devname: &str) -> Result<(), Failure> {
    let mut failures = Failures::none();
    for (link, target) in LINKS {
        failures.keep(point(Path::new(link), Path::new(target)));
    }
    for node in static_nodes(devname) {
        failures.keep(make(&node));
    }
    device_modes::settle_all(&mut failures);
    failures.keep(link_partitions());
    failures.end()
}

/// A node that loads a kernel module when it is opened.
#[derive(Debug, PartialEq, Eq)]
struct StaticNode {
    path: PathBuf,
    kind: FileType,
    major: u32,
    minor: u32,
}

/// Parses lines `MODULE NAME (c|b)MAJOR:MINOR`.
fn static_nodes(devname: &str) -> Vec<StaticNode> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (name, number) = (words.next()?, words.next()?);
        let kind = match number.as_bytes().first()? {
            b'c' => FileType::CharacterDevice,
            b'b' => FileType::BlockDevice,
            _ => return None,
        };
        let (major, minor) = number[1..].split_once(':')?;
        let path = Path::new("/dev").join(name);
        Some(StaticNode { path, kind, major: major.parse().ok()?, minor: minor.parse().ok()? })
    };
    devname.lines().filter(|text| !text.starts_with('#')).filter_map(line).collect()
}

fn make(node: &StaticNode) -> Result<(), PathError> {
    if let Some(parent) = node.path.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    let mode = Mode::from_raw_mode(0o600);
    match mknodat(CWD, &node.path, node.kind, mode, makedev(node.major, node.minor)) {
        // The module is loaded already, and the kernel has made the node.
        Err(rustix::io::Errno::EXIST) => Ok(()),
        result => result.at("make node", &node.path),
    }
}

/// Updates /dev/disk/by-partlabel. If two disks have a partition with the same name, the link points to the first disk.
///
/// # Errors
/// When the disks cannot be listed, or a link cannot be made.
pub fn link_partitions() -> Result<(), PathError> {
    let disks = block::disks(Path::new("/sys"))?;
    let mut wanted: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for partition in disks.iter().flat_map(|disk| &disk.partitions) {
        if let Some(label) = partition.label.as_deref().filter(|label| is_file_name(label)) {
            wanted.entry(Path::new(BY_LABEL).join(label)).or_insert_with(|| block::node(&partition.name));
        }
    }
    fs::create_dir_all(BY_LABEL).at("create", BY_LABEL)?;
    for entry in fs::read_dir(BY_LABEL).at("list", BY_LABEL)?.flatten() {
        if !wanted.contains_key(&entry.path()) {
            fs::remove_file(entry.path()).at("remove", entry.path())?;
        }
    }
    wanted.iter().try_for_each(|(link, target)| point(link, target))
}

/// Whether a GPT name can be used as a file name. A GPT name is free text.
fn is_file_name(label: &str) -> bool {
    label.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.+".contains(&c))
        && !label.starts_with('.')
        && !label.is_empty()
}

/// Makes or replaces a link. A link that has the right target already is not touched.
fn point(link: &Path, target: &Path) -> Result<(), PathError> {
    if fs::read_link(link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", link),
        _ => symlink(target, link).at("link", link),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_nodes_are_parsed_as_depmod_writes_them() {
        let nodes = static_nodes(
            "# Device nodes to trigger on-demand module loading.\ntun net/tun c10:200\nloop loop b7:0\nx y z1:2\n",
        );
        let node = |path: &str, kind, major, minor| StaticNode { path: path.into(), kind, major, minor };
        assert_eq!(
            nodes,
            [node("/dev/net/tun", FileType::CharacterDevice, 10, 200), node("/dev/loop", FileType::BlockDevice, 7, 0)]
        );
    }

    #[test]
    fn a_label_that_is_not_a_plain_file_name_is_not_linked() {
        assert!(is_file_name("root-a") && is_file_name("EFI.1"));
        for bad in ["", ".", "..", "a/b", "a b", "ä"] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }

    #[test]
    fn links_are_replaced_only_when_they_differ() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        for target in ["/a", "/b", "/b"] {
            point(&link, Path::new(target)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        }
    }
}
