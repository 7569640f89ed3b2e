//! What confines a new process. The process does it to itself between fork(2) and exec(2), so with system calls only.

use super::{mount_view::View, net::loopback_up};
use rustix::{
    fs::Mode,
    io::{Errno, write},
    process::{chdir, umask},
    stdio::stderr,
    thread::{
        CapabilitySet, CapabilitySets, Gid, Uid, UnshareFlags, clear_ambient_capability_set,
        configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
        set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
        unshare_unsafe,
    },
};
use seccompiler::{BpfProgram, apply_filter};
use std::{ffi::CString, io};

/// All that confines one process. The default confines nothing.
#[derive(Debug, Default)]
pub struct Confinement {
    /// Whether it gets a network of its own.
    pub private_network: bool,
    /// Whether it gets System V and POSIX objects of its own.
    pub private_ipc: bool,
    /// What it sees of the file system.
    pub view: View,
    /// Its user and groups. `None`: those of init.
    pub identity: Option<Identity>,
    /// The only capabilities that it can have, as bits. `None`: all that its user has.
    pub capabilities: Option<u64>,
    /// Permissions that new files do not get.
    pub umask: Option<u32>,
    /// Whether its programs cannot gain privileges.
    pub no_new_privs: bool,
    /// The filter of its system calls. Empty: no filter.
    pub filter: BpfProgram,
    /// The working directory. `None`: that of init.
    pub workdir: Option<CString>,
}

/// The user and the groups of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
    /// The supplementary groups.
    pub groups: Vec<Gid>,
}

impl Confinement {
    /// Confines this process. Capabilities and filter come last, because the earlier steps need what these take away.
    ///
    /// # Errors
    /// The error of the first step that the kernel refuses. The step is named on stderr, which is the log of the service.
    pub fn enter(&mut self) -> io::Result<()> {
        self.enter_namespaces()?;
        if let Some(mask) = self.umask {
            umask(Mode::from_raw_mode(mask));
        }
        if let Some(capabilities) = self.capabilities {
            step("cannot limit capabilities", limit(capabilities))?;
        }
        if let Some(identity) = &self.identity {
            step("cannot change user and groups", identity.assume())?;
            if let Some(capabilities) = self.capabilities.filter(|_| !identity.uid.is_root()) {
                step("cannot keep capabilities", hold(capabilities))?;
            }
        }
        if let Some(workdir) = &self.workdir {
            step("cannot enter the working directory", chdir(&**workdir))?;
        }
        if self.no_new_privs {
            step("cannot set no_new_privs", set_no_new_privs(true))?;
        }
        if !self.filter.is_empty() {
            step("cannot filter system calls", apply_filter(&self.filter).map_err(system_error))?;
        }
        Ok(())
    }

    fn enter_namespaces(&mut self) -> io::Result<()> {
        let mut flags = UnshareFlags::empty();
        flags.set(UnshareFlags::NEWNET, self.private_network);
        flags.set(UnshareFlags::NEWIPC, self.private_ipc);
        flags.set(UnshareFlags::NEWNS, !self.view.is_unchanged());
        if flags.is_empty() {
            return Ok(());
        }
        // SAFETY: no flag concerns the table of file descriptors.
        step("cannot make namespaces", unsafe { unshare_unsafe(flags) })?;
        if self.private_network {
            step("cannot set the loopback interface up", loopback_up())?;
        }
        if self.view.is_unchanged() { Ok(()) } else { step("cannot change the mounts", self.view.enter()) }
    }
}

impl Identity {
    fn assume(&self) -> rustix::io::Result<()> {
        // Without this, the change of the user would clear the permitted capabilities.
        set_keep_capabilities(true)?;
        set_thread_groups(&self.groups)?;
        set_thread_res_gid(self.gid, self.gid, self.gid)?;
        set_thread_res_uid(self.uid, self.uid, self.uid)?;
        set_keep_capabilities(false)
    }
}

/// Takes all other capabilities out of the bounding set. exec(2) gives root what is left.
fn limit(capabilities: u64) -> rustix::io::Result<()> {
    for bit in (0..u64::BITS).map(|number| 1 << number).filter(|bit| capabilities & bit == 0) {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
            Ok(()) => {}
            // The kernel has no capability with this number, and none with a higher one.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Keeps these capabilities, and no others, across exec(2) of a program without privileges.
fn hold(capabilities: u64) -> rustix::io::Result<()> {
    let set = CapabilitySet::from_bits_retain(capabilities);
    set_capabilities(None, CapabilitySets { effective: set, permitted: set, inheritable: set })?;
    clear_ambient_capability_set()?;
    set.iter().try_for_each(|one| configure_capability_in_ambient_set(one, true))
}

fn system_error(error: seccompiler::Error) -> io::Error {
    match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => error,
        _ => io::ErrorKind::InvalidInput.into(),
    }
}

/// Names the step that failed. The parent gets only the error's number.
fn step<T, E: Into<io::Error>>(what: &'static str, result: Result<T, E>) -> io::Result<T> {
    result.map_err(|error| {
        // If stderr cannot be written, the number must do.
        let _ = write(stderr(), what.as_bytes());
        let _ = write(stderr(), b"\n");
        error.into()
    })
}
