//! Starts a process with settings that can only be made between fork(2) and exec(2).

use super::{confine::Confinement, signal::unblock_all};
use rustix::{
    fs::{Mode, OFlags, open},
    io::write,
    process::{Resource, Rlimit, setrlimit, setsid},
};
use std::{
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{Child, Command},
};

/// Settings that a new process makes before it executes the program.
#[derive(Debug, Default)]
pub struct Birth {
    /// `cgroup.procs` of the control group for the process, open for writing.
    pub cgroup: Option<OwnedFd>,
    /// Resource limits, each for both the soft and the hard limit. `None`: no limit.
    pub limits: Vec<(Resource, Option<u64>)>,
    /// Value for oom_score_adj. 0 leaves it unchanged.
    pub oom_score_adjust: i32,
    /// What confines the process.
    pub confinement: Confinement,
}

/// Starts `command` in a new session.
///
/// # Errors
/// The error of fork(2), of a setting, or of exec(2).
pub fn spawn(mut command: Command, mut birth: Birth) -> io::Result<Child> {
    let adjust = birth.oom_score_adjust.to_string();
    let prepare = move || -> io::Result<()> {
        setsid()?;
        // PID 1 blocks the signals that it reads. A program that inherits the block would not receive SIGTERM.
        unblock_all()?;
        if let Some(cgroup) = &birth.cgroup {
            // "0" means the process that writes.
            write(cgroup, b"0")?;
        }
        for &(resource, limit) in &birth.limits {
            setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
        }
        if birth.oom_score_adjust != 0 {
            let file = open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            write(&file, adjust.as_bytes())?;
        }
        birth.confinement.enter()
    };
    // SAFETY: between fork and exec, `prepare` makes only system calls. All strings exist before; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Stdio};

    #[test]
    fn a_process_does_not_inherit_blocked_signals() {
        let thread = std::thread::spawn(|| {
            let _blocked = crate::sys::signal::SignalFd::block(&[libc::SIGTERM, libc::SIGCHLD]).unwrap();
            let mut command = Command::new("/bin/grep");
            command.args(["SigBlk", "/proc/self/status"]).stdout(Stdio::piped());
            let output = spawn(command, Birth::default()).unwrap().wait_with_output().unwrap().stdout;
            assert_eq!(String::from_utf8(output).unwrap(), "SigBlk:\t0000000000000000\n");
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_process_starts_with_its_settings() {
        let dir = tempfile::tempdir().unwrap();
        let procs = dir.path().join("cgroup.procs");
        let cgroup = fs::File::create(&procs).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -n; cat /proc/self/oom_score_adj; cut -d' ' -f6 /proc/$$/stat; echo $$"]);
        command.stdout(Stdio::piped());
        let birth = Birth {
            cgroup: Some(cgroup.into()),
            limits: vec![(Resource::Nofile, Some(77))],
            oom_score_adjust: 500,
            ..Birth::default()
        };
        let child = spawn(command, birth).unwrap();
        let pid = child.id().to_string();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(output.lines().collect::<Vec<_>>(), ["77", "500", &pid, &pid]);
        assert_eq!(fs::read_to_string(procs).unwrap(), "0");
        assert_eq!(spawn(Command::new("/no/such"), Birth::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
