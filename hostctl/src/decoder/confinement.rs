//! What the decoder gives up before it reads the first byte.

use crate::sys::unshare;
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, chdir, chroot, geteuid, set_parent_process_death_signal, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, Gid, Uid, UnshareFlags, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::{collections::BTreeMap, fs, io};

/// User and group of the decoder. No file belongs to them, and no other process runs as this user.
const NOBODY: u32 = 65533;
/// A folder without files that can be written. It is the decoder's root folder.
const EMPTY: &str = "/proc/self/fdinfo";
/// Most address space, in bytes: a window of 32 MiB, buffers, and the program itself.
const MAX_MEMORY: u64 = 192 << 20;

/// The only system calls that the decoder may make: it reads, writes, gets memory, and ends.
const CALLS: [libc::c_long; 19] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_getrandom,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Closes every file but stdin, stdout and stderr: whoever started hostctl may have left some open. Call this first, when this program has
/// opened none itself.
///
/// # Errors
/// The open files cannot be listed.
pub(super) fn close_files() -> io::Result<()> {
    let listed = fs::read_dir("/proc/self/fd")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // The list itself is a file that is closed at its end.
    for file in listed.filter(|file| *file > 2).collect::<Vec<i32>>() {
        crate::sys::close(file);
    }
    Ok(())
}

/// Confines this process, which must have one thread only. Root gives up everything; another user, as in tests, what the kernel lets a user
/// give up.
///
/// # Errors
/// The kernel refuses a step. Nothing must be decoded then.
pub(super) fn enter() -> io::Result<()> {
    let is_root = geteuid().is_root();
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // Before the limit of open files: the filter is made of allocated memory only.
    let filter = filter()?;
    let own = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if is_root {
        unshare(own)?;
        chroot(EMPTY)?;
        chdir("/")?;
        drop_bounding_set()?;
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
    } else {
        // A kernel may forbid user namespaces. The filter below alone forbids network and files.
        let _ = unshare(own | UnshareFlags::NEWUSER);
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    for (resource, most) in [
        (Resource::As, MAX_MEMORY),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    set_no_new_privs(true)?;
    apply_filter(&filter).map_err(io::Error::other)
}

/// The capabilities that a program could get by exec(2).
fn drop_bounding_set() -> rustix::io::Result<()> {
    for bit in (0..u64::BITS).map(|number| 1 << number) {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
            Ok(()) => {}
            // The kernel has no capability with this number, and none with a higher one.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn filter() -> io::Result<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let rules: BTreeMap<_, _> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)
}
