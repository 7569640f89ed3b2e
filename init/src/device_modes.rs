//! Owners and modes of device nodes, as systemd's `50-udev-default.rules` set them. The kernel makes most nodes for the superuser only.

use berth_contract::fault::{At, Failures, PathError};
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::Path,
};

const DEV: &str = "/dev";
const GROUPS: &str = "/etc/group";
/// Depth of the walk: the deepest nodes are those of USB devices, `bus/usb/001/002`.
const DEEPEST: usize = 4;

/// Name below /dev (`*` at the end stands for any rest), group, mode. The first row that matches counts.
const RULES: [(&str, &str, u32); 31] = [
    ("net/tun", "root", 0o666),
    ("fuse", "root", 0o666),
    ("vfio/vfio", "root", 0o666),
    ("vsock", "root", 0o666),
    ("rfkill", "root", 0o664),
    ("kvm", "kvm", 0o660),
    ("vhost-net", "kvm", 0o660),
    ("vhost-vsock", "kvm", 0o660),
    ("udmabuf", "kvm", 0o660),
    ("loop-control", "disk", 0o660),
    ("btrfs-control", "disk", 0o660),
    ("mem", "kmem", 0o640),
    ("port", "kmem", 0o640),
    ("bus/usb/*", "root", 0o664),
    ("dri/renderD*", "render", 0o666),
    ("kfd", "render", 0o666),
    ("accel/*", "render", 0o666),
    ("dri/*", "video", 0o660),
    ("fb*", "video", 0o660),
    ("video*", "video", 0o660),
    ("media*", "video", 0o660),
    ("cec*", "video", 0o660),
    ("snd/*", "audio", 0o660),
    ("input/js*", "input", 0o664),
    ("input/*", "input", 0o660),
    ("ttyS*", "dialout", 0o660),
    ("ttyUSB*", "dialout", 0o660),
    ("ttyACM*", "dialout", 0o660),
    ("ttyAMA*", "dialout", 0o660),
    ("lp*", "lp", 0o660),
    ("sr*", "cdrom", 0o660),
];
/// Group and mode of block devices without a row.
const BLOCK: (&str, u32) = ("disk", 0o660);

/// Sets owner and mode of all nodes in /dev. Every node that cannot be changed is a failure; the other nodes are changed.
pub fn settle_all(failures: &mut Failures) {
    let groups = fs::read_to_string(GROUPS).unwrap_or_default();
    walk(Path::new(DEV), DEEPEST, &mut |path| {
        failures.keep(settle_node(path, &groups));
    });
}

/// Sets owner and mode of the node with this name below /dev. Does nothing when there is no such node.
///
/// # Errors
/// When the node cannot be changed.
pub fn settle(name: &str) -> Result<(), PathError> {
    settle_node(&Path::new(DEV).join(name), &fs::read_to_string(GROUPS).unwrap_or_default())
}

fn settle_node(path: &Path, groups: &str) -> Result<(), PathError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let is_block = found.file_type().is_block_device();
    if !is_block && !found.file_type().is_char_device() {
        return Ok(());
    }
    let name = path.strip_prefix(DEV).ok().and_then(Path::to_str).unwrap_or_default();
    let Some((group, mode)) = rule(name, is_block) else { return Ok(()) };
    let group = group_id(groups, group).unwrap_or(0);
    if found.gid() != group {
        chown(path, None, Some(group)).at("set the group of", path)?;
    }
    if found.mode() & 0o7777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set mode of", path)?;
    }
    Ok(())
}

fn rule(name: &str, is_block: bool) -> Option<(&'static str, u32)> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    let row = RULES.iter().find(|(pattern, _, _)| matches(pattern)).map(|(_, group, mode)| (*group, *mode));
    row.or(is_block.then_some(BLOCK))
}

/// The number of a group in the text of /etc/group. A group that the image does not have counts as the superuser's.
fn group_id(groups: &str, name: &str) -> Option<u32> {
    let mut found = groups.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.find_map(|rest| rest.split(':').nth(1)?.parse().ok())
}

/// Calls `each` with every entry below a directory that is not a directory itself. Does not follow links.
fn walk(directory: &Path, depth: usize, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 1 => walk(&entry.path(), depth - 1, each),
            Ok(_) => each(&entry.path()),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_the_modes_of_udevs_rules() {
        for (name, is_block, wanted) in [
            ("net/tun", false, Some(("root", 0o666))),
            ("vfio/vfio", false, Some(("root", 0o666))),
            ("vfio/12", false, None),
            ("kvm", false, Some(("kvm", 0o660))),
            ("dri/renderD128", false, Some(("render", 0o666))),
            ("dri/card0", false, Some(("video", 0o660))),
            ("bus/usb/001/002", false, Some(("root", 0o664))),
            ("sr0", true, Some(("cdrom", 0o660))),
            ("vda1", true, Some(("disk", 0o660))),
            ("null", false, None),
            ("nvme0", false, None),
        ] {
            assert_eq!(rule(name, is_block), wanted, "{name}");
        }
    }

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let groups = "root:x:0:\ndisk2:x:9:\ndisk:x:6:a,b\nbroken\n";
        assert_eq!((group_id(groups, "disk"), group_id(groups, "dis")), (Some(6), None));
    }
}
