//! The file systems that are no disk, in one table, with the flags that systemd's `mount-setup.c` gives them.

use crate::console;
use berth_contract::fault::{At, Failure, Failures, PathError};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
use std::{ffi::CStr, fs, path::Path};

/// One mount.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    data: &'static CStr,
}

const SUID: MountFlags = MountFlags::NOSUID;
const SUID_DEV: MountFlags = SUID.union(MountFlags::NODEV);
const SUID_EXEC: MountFlags = SUID.union(MountFlags::NOEXEC);
const SUID_DEV_EXEC: MountFlags = SUID_DEV.union(MountFlags::NOEXEC);

impl Api {
    /// Where it is mounted.
    #[must_use]
    pub fn target(&self) -> &'static str {
        self.target
    }
}

const fn api(kind: &'static str, target: &'static str, flags: MountFlags, data: &'static CStr) -> Api {
    Api { kind, target, flags, data }
}

/// What the initrd mounts and hands over.
pub const EARLY: [Api; 4] = [
    api("proc", "/proc", SUID_DEV_EXEC, c""),
    api("sysfs", "/sys", SUID_DEV_EXEC, c""),
    api("devtmpfs", "/dev", SUID, c"mode=0755"),
    api("tmpfs", "/run", SUID_DEV, c"mode=0755"),
];

/// What the host stage adds.
const REQUIRED: [Api; 4] = [
    api("cgroup2", "/sys/fs/cgroup", SUID_DEV_EXEC, c"nsdelegate,memory_recursiveprot"),
    // gid 5 is Debian's group tty.
    api("devpts", "/dev/pts", SUID_EXEC, c"mode=0620,ptmxmode=0666,gid=5"),
    api("tmpfs", "/dev/shm", SUID_DEV, c"mode=1777"),
    api("tmpfs", "/tmp", SUID_DEV, c"mode=1777,size=50%"),
];

/// What tools and some containers look for. bpf among them makes the kernel ask for a module of its own.
const OFFERED: [Api; 8] = [
    api("mqueue", "/dev/mqueue", SUID_DEV_EXEC, c""),
    api("hugetlbfs", "/dev/hugepages", SUID_DEV, c""),
    api("securityfs", "/sys/kernel/security", SUID_DEV_EXEC, c""),
    api("debugfs", "/sys/kernel/debug", SUID_DEV_EXEC, c"mode=0700"),
    api("tracefs", "/sys/kernel/tracing", SUID_DEV_EXEC, c"mode=0700"),
    api("bpf", "/sys/fs/bpf", SUID_DEV_EXEC, c"mode=0700"),
    api("fusectl", "/sys/fs/fuse/connections", SUID_DEV_EXEC, c""),
    api("configfs", "/sys/kernel/config", SUID_DEV_EXEC, c""),
];

/// What a crashed kernel left in the firmware's memory.
pub const PSTORE: Api = api("pstore", "/sys/fs/pstore", SUID_DEV_EXEC, c"");
/// The firmware's variables. Read-only: nothing on this host writes them, but for [`open_efivars`].
pub const EFIVARS: Api = api("efivarfs", "/sys/firmware/efi/efivars", SUID_DEV_EXEC.union(MountFlags::RDONLY), c"");

/// Mounts one.
///
/// # Errors
/// When the directory cannot be made or the kernel refuses.
pub fn mount_api(api: &Api) -> Result<(), PathError> {
    // sysfs makes its own directories; where it has none, the mount says so.
    if !Path::new(api.target).is_dir() {
        fs::create_dir_all(api.target).at("create", api.target)?;
    }
    mount(api.kind, api.target, api.kind, api.flags, Some(api.data).filter(|data| !data.is_empty()))
        .at("mount", api.target)
}

/// The firmware's variables, mounted and to be written: by a boot that cannot go on.
///
/// # Errors
/// When there are none.
pub fn open_efivars() -> Result<(), PathError> {
    // There already, or not to be had: the next call tells.
    let _ = mount_api(&EFIVARS);
    mount_remount(EFIVARS.target, EFIVARS.flags.difference(MountFlags::RDONLY), "").at("make writable", EFIVARS.target)
}

/// Mounts what the initrd has not and everything needs.
///
/// # Errors
/// What could not be mounted; the rest is mounted.
pub fn mount_required() -> Result<(), Failure> {
    let mut failures = Failures::none();
    // Containers see later mounts of the host only if the root is shared; the kernel starts with it private.
    failures.keep(mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).at("share", "/"));
    for api in &REQUIRED {
        failures.keep(mount_api(api));
    }
    failures.keep(delegate_controllers(Path::new("/sys/fs/cgroup")));
    failures.end()
}

/// Mounts those of the rest that the kernel has without loading a module for it. A refusal is only logged.
///
/// # Errors
/// When /proc is not there.
pub fn mount_offered() -> Result<(), PathError> {
    let offered = fs::read_to_string("/proc/filesystems").at("read", "/proc/filesystems")?;
    for api in OFFERED.iter().filter(|api| is_offered(&offered, api.kind)) {
        if let Err(error) = mount_api(api) {
            console::info(format_args!("{error}"));
        }
    }
    Ok(())
}

/// /proc/filesystems: an optional `nodev`, a tab, the name.
fn is_offered(filesystems: &str, kind: &str) -> bool {
    filesystems.lines().any(|line| line.rsplit('\t').next() == Some(kind))
}

/// Gives every controller that the kernel has to the groups below.
fn delegate_controllers(root: &Path) -> Result<(), PathError> {
    let list = root.join("cgroup.controllers");
    let control = root.join("cgroup.subtree_control");
    let text = fs::read_to_string(&list).at("read", &list)?;
    let words: Vec<String> = text.split_ascii_whitespace().map(|controller| format!("+{controller}")).collect();
    // All at once is one change for the kernel instead of eight. If it refuses one (a real-time scheduler's threads hold
    // `cpu`, say), it takes none: then each by itself.
    if fs::write(&control, words.join(" ")).is_err() {
        for word in words {
            if let Err(error) = fs::write(&control, &word) {
                console::warning(format_args!("cgroup controller {word}: {error}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offered_file_systems_are_whole_names() {
        let text = "nodev\tsysfs\nnodev\tbpf\n\text4\n";
        assert!(is_offered(text, "bpf") && is_offered(text, "ext4") && !is_offered(text, "ext"));
    }

    #[test]
    fn nothing_that_users_write_to_can_hold_devices_or_setuid_programs() {
        for api in EARLY.iter().chain(&REQUIRED).chain(&OFFERED).chain([&PSTORE, &EFIVARS]) {
            assert!(api.flags.contains(MountFlags::NOSUID), "{}", api.target);
            let devices = ["/dev", "/dev/pts"].contains(&api.target);
            assert_eq!(api.flags.contains(MountFlags::NODEV), !devices, "{}", api.target);
        }
    }
}
