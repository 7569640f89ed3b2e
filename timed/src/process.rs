//! The running ntpd-rs.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
};

/// ntpd-rs as a child of this process. It ends when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Readable when the child has ended.
    end: OwnedFd,
}

impl Process {
    /// Starts the program with a configuration. Its messages go where ours go.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, configuration: &Path) -> io::Result<Self> {
        let mut child = Command::new(program).arg("--config").arg(configuration).stdin(Stdio::null()).spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let end = pid
            .ok_or(io::ErrorKind::NotFound.into())
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).map_err(io::Error::from));
        let end = end.inspect_err(|_| {
            // Nobody would watch it. It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        })?;
        let mut process = Self { end, child };
        process.ended()?;
        Ok(process)
    }

    /// Why the process has ended; `None` while it runs.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn ended(&mut self) -> io::Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| format!("ntp-daemon has ended: {status}")))
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
