//! Tables of the kernel's pseudo file systems and their mount points. The mount flags are those of systemd's `mount-setup.c`.

use crate::console;
use berth_contract::fault::{At, Failure, Failures, PathError};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, mount_remount};
use std::{ffi::CStr, fs, path::Path};

/// One pseudo file system and its mount point.
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
    /// The mount point.
    #[must_use]
    pub fn target(&self) -> &'static str {
        self.target
    }
}

const fn api(kind: &'static str, target: &'static str, flags: MountFlags, data: &'static CStr) -> Api {
    Api { kind, target, flags, data }
}

/// Mounts of the initrd stage. The switch to the root file system moves them there.
pub const EARLY: [Api; 4] = [
    api("proc", "/proc", SUID_DEV_EXEC, c""),
    api("sysfs", "/sys", SUID_DEV_EXEC, c""),
    api("devtmpfs", "/dev", SUID, c"mode=0755"),
    api("tmpfs", "/run", SUID_DEV, c"mode=0755"),
];

/// Mounts that the host stage adds.
const REQUIRED: [Api; 4] = [
    api("cgroup2", "/sys/fs/cgroup", SUID_DEV_EXEC, c"nsdelegate,memory_recursiveprot"),
    // gid 5 is Debian's group tty.
    api("devpts", "/dev/pts", SUID_EXEC, c"mode=0620,ptmxmode=0666,gid=5"),
    api("tmpfs", "/dev/shm", SUID_DEV, c"mode=1777"),
    api("tmpfs", "/tmp", SUID_DEV, c"mode=1777,size=50%"),
];

/// Mounts that tools and some containers expect. Mounting bpf makes the kernel load a module.
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

/// Crash records of earlier kernels, in the firmware's memory.
pub const PSTORE: Api = api("pstore", "/sys/fs/pstore", SUID_DEV_EXEC, c"");
/// The firmware's variables. Read-only, except between [`open_efivars`] and [`close_efivars`].
pub const EFIVARS: Api = api("efivarfs", "/sys/firmware/efi/efivars", SUID_DEV_EXEC.union(MountFlags::RDONLY), c"");

/// Mounts one file system.
///
/// # Errors
/// When the directory cannot be made or the kernel refuses.
pub fn mount_api(api: &Api) -> Result<(), PathError> {
    // In sysfs only the kernel can make directories. If a mount point is missing there, create_dir_all fails.
    if !Path::new(api.target).is_dir() {
        fs::create_dir_all(api.target).at("create", api.target)?;
    }
    mount(api.kind, api.target, api.kind, api.flags, Some(api.data).filter(|data| !data.is_empty()))
        .at("mount", api.target)
}

/// Mounts the firmware's variables read-only, unless they are mounted: the initrd may have done so, and this is slow.
///
/// # Errors
/// When the host has no EFI variables, or the kernel refuses.
pub fn mount_efivars() -> Result<(), PathError> {
    /// `EFIVARFS_MAGIC` of linux/magic.h.
    const MAGIC: u64 = 0xde5e_81e4;
    let found = rustix::fs::statfs(EFIVARS.target).map(|found| found.f_type.cast_unsigned() & u64::from(u32::MAX));
    if found == Ok(MAGIC) { Ok(()) } else { mount_api(&EFIVARS) }
}

/// Makes the firmware's variables writable.
///
/// # Errors
/// When the host has no EFI variables, or the kernel refuses.
pub fn open_efivars() -> Result<(), PathError> {
    mount_efivars()?;
    mount_remount(EFIVARS.target, EFIVARS.flags.difference(MountFlags::RDONLY), "").at("make writable", EFIVARS.target)
}

/// Makes the firmware's variables read-only again.
///
/// # Errors
/// When the kernel refuses.
pub fn close_efivars() -> Result<(), PathError> {
    mount_remount(EFIVARS.target, EFIVARS.flags, "").at("make read-only", EFIVARS.target)
}

/// Mounts the file systems that every host needs and the initrd has not mounted.
///
/// # Errors
/// Every file system that could not be mounted. The others are mounted.
pub fn mount_required() -> Result<(), Failure> {
    let mut failures = Failures::none();
    // Containers see later mounts of the host only if the root is shared. The kernel's default is private.
    failures.keep(mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).at("share", "/"));
    for api in &REQUIRED {
        failures.keep(mount_api(api));
    }
    failures.keep(delegate_controllers(Path::new("/sys/fs/cgroup")));
    failures.end()
}

/// Mounts the file systems of [`OFFERED`] that the running kernel has. A failure is only logged.
///
/// # Errors
/// When /proc/filesystems cannot be read.
pub fn mount_offered() -> Result<(), PathError> {
    let offered = fs::read_to_string("/proc/filesystems").at("read", "/proc/filesystems")?;
    for api in OFFERED.iter().filter(|api| is_offered(&offered, api.kind)) {
        if let Err(error) = mount_api(api) {
            console::info(format_args!("{error}"));
        }
    }
    Ok(())
}

/// A line of /proc/filesystems is an optional `nodev`, a tab, and the name.
fn is_offered(filesystems: &str, kind: &str) -> bool {
    filesystems.lines().any(|line| line.rsplit('\t').next() == Some(kind))
}

/// Enables every controller of the kernel for the child groups.
fn delegate_controllers(root: &Path) -> Result<(), PathError> {
    let list = root.join("cgroup.controllers");
    let control = root.join("cgroup.subtree_control");
    let text = fs::read_to_string(&list).at("read", &list)?;
    let words: Vec<String> = text.split_ascii_whitespace().map(|controller| format!("+{controller}")).collect();
    // Try one write for all: it is faster than one write per controller. The kernel then enables all controllers or none. If it refuses
    // one (for example `cpu`, while real-time threads run), enable each controller with its own write.
    if fs::write(&control, words.join(" ")).is_err() {
        for word in words {
            if let Err(error) = fs::write(&control, &word) {
                console::warning(format_args!("cannot enable cgroup controller {word}: {error}"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_system_names_are_compared_as_whole_words() {
        let text = "nodev\tsysfs\nnodev\tbpf\n\text4\n";
        assert!(is_offered(text, "bpf") && is_offered(text, "ext4") && !is_offered(text, "ext"));
    }

    #[test]
    fn no_mount_allows_setuid_programs_and_only_dev_allows_devices() {
        for api in EARLY.iter().chain(&REQUIRED).chain(&OFFERED).chain([&PSTORE, &EFIVARS]) {
            assert!(api.flags.contains(MountFlags::NOSUID), "{}", api.target);
            let devices = ["/dev", "/dev/pts"].contains(&api.target);
            assert_eq!(api.flags.contains(MountFlags::NODEV), !devices, "{}", api.target);
        }
    }
}
