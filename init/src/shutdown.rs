//! The shutdown: ends processes, unmounts file systems, reboots or powers off. It has a time limit, even if a step hangs.

use crate::{
    console,
    ending::Ending,
    mount_table::{self, Mount},
    random_seed,
    trial::one_shot,
};
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount_remount, unmount},
    process::{Pid, Signal, WaitOptions, kill_process_group, wait},
    system::{RebootCommand, reboot},
};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Time from SIGTERM to SIGKILL for processes that are not services. The supervisor has stopped the services before.
const TERM_TIME: Duration = Duration::from_secs(3);
/// Time after SIGKILL. A process that is still alive after this time waits for a disk that does not answer.
const KILL_TIME: Duration = Duration::from_secs(3);
/// How long unmounting is retried without progress.
const UNMOUNT_TIME: Duration = Duration::from_secs(5);
/// Time limit of the shutdown. After it the host goes down without further steps.
pub const LAST_RESORT: Duration = Duration::from_secs(45);
/// How long a message stays on the console before a host that could not boot reboots.
const READING_TIME: Duration = Duration::from_secs(5);
/// Mounts that stay: the root, and the mounts that the mount table and the console need.
const KEPT: [&str; 5] = ["/", "/dev", "/proc", "/sys", "/run"];

/// Shuts the host down. The services must have been stopped before.
pub fn finish(ending: Ending) -> ! {
    // Unmount and sync can hang in the kernel, so another thread enforces the time limit.
    let spawned = thread::Builder::new().spawn(move || {
        thread::sleep(LAST_RESORT);
        console::error(format_args!(
            "shutdown takes more than {} s: going down without further steps",
            LAST_RESORT.as_secs()
        ));
        go(ending)
    });
    if let Err(error) = spawned {
        console::warning(format_args!("cannot start a thread for the time limit of the shutdown: {error}"));
    }
    end_processes();
    if let Err(error) = random_seed::save() {
        console::debug(format_args!("{error}"));
    }
    rustix::fs::sync();
    unmount_all();
    rustix::fs::sync();
    console::announce(match ending {
        Ending::Reboot => "rebooting",
        Ending::Poweroff => "powering off",
    });
    go(ending)
}

/// Ends a boot that has failed. The caller has printed the error, which stays readable for some seconds. Then the host reboots, so that the
/// boot loader can start another version. The boot of a version on trial has used a try; for a blessed version, [`one_shot`] requests
/// another entry for the next boot.
pub fn give_up() -> ! {
    one_shot::take_another();
    console::error(format_args!("rebooting in {} s", READING_TIME.as_secs()));
    rustix::fs::sync();
    thread::sleep(READING_TIME);
    go(Ending::Reboot)
}

/// Calls reboot(2). If the call fails, this function blocks, because PID 1 must not end.
pub fn go(ending: Ending) -> ! {
    let command = match ending {
        Ending::Reboot => RebootCommand::Restart,
        Ending::Poweroff => RebootCommand::PowerOff,
    };
    if let Err(error) = reboot(command) {
        console::error(format_args!("reboot(2) {ending:?}: {error}"));
    }
    loop {
        thread::park();
    }
}

fn end_processes() {
    // kill_process_group with group 1 calls kill(2) with -1: every process except this one.
    for (signal, time) in [(Signal::TERM, TERM_TIME), (Signal::KILL, KILL_TIME)] {
        if kill_process_group(Pid::INIT, signal) == Err(Errno::SRCH) || all_gone_within(time) {
            return;
        }
    }
    console::warning(format_args!("some processes did not end after SIGKILL"));
}

/// Waits until all processes have ended: orphans become children of PID 1.
fn all_gone_within(time: Duration) -> bool {
    let deadline = Instant::now() + time;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Err(_) => return true,
            Ok(None) if Instant::now() >= deadline => return false,
            Ok(None) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Unmounts in reverse order, and repeats this while it makes progress. File systems that stay busy are made read-only, by force if
/// necessary.
fn unmount_all() {
    let mut deadline = Instant::now() + UNMOUNT_TIME;
    loop {
        let left = remaining();
        if left.is_empty() {
            return;
        }
        if left.iter().rev().filter(|mount| unmount(&mount.target, UnmountFlags::empty()).is_ok()).count() > 0 {
            deadline = Instant::now() + UNMOUNT_TIME;
        } else if Instant::now() >= deadline {
            break;
        } else {
            // The files of killed processes may be closed a moment later. A thread of init may still grow /var.
            thread::sleep(Duration::from_millis(50));
        }
    }
    for mount in remaining().iter().rev().filter(|mount| !mount.read_only) {
        console::warning(format_args!("{} is still in use: made read-only", mount.target.display()));
        if let Err(error) = mount_remount(&mount.target, MountFlags::RDONLY, "") {
            console::warning(format_args!(
                "{}: {error}: making all file systems read-only by force",
                mount.target.display()
            ));
            // SysRq u: all file systems become read-only, even with open files.
            let _ = fs::write("/proc/sysrq-trigger", "u");
            thread::sleep(Duration::from_millis(500));
        }
    }
}

fn remaining() -> Vec<Mount> {
    let mounts = mount_table::read().unwrap_or_default();
    mounts.into_iter().filter(|mount| is_unmounted(&mount.target)).collect()
}

/// Whether the file system must be unmounted. Pseudo file systems of the kernel need not be.
fn is_unmounted(target: &Path) -> bool {
    let kept = KEPT.iter().any(|kept| target == Path::new(kept));
    !kept && !["/dev", "/proc", "/sys"].iter().any(|api| target.starts_with(api))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn var_and_container_mounts_are_unmounted_and_pseudo_file_systems_are_not() {
        for target in
            ["/var", "/etc", "/tmp", "/run/docker/netns/x", "/var/lib/docker/overlay2/x/merged", "/development"]
        {
            assert!(is_unmounted(Path::new(target)), "{target}");
        }
        for target in ["/", "/proc", "/run", "/dev/pts", "/sys/fs/cgroup"] {
            assert!(!is_unmounted(Path::new(target)), "{target}");
        }
    }
}
