//! Starting a process with what can only be set between fork(2) and exec(2).

use super::signal::unblock_all;
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

/// What a new process sets for itself before it becomes the program.
#[derive(Debug, Default)]
pub struct Birth {
    /// `cgroup.procs` of its control group, open for writing.
    pub cgroup: Option<OwnedFd>,
    /// RLIMIT_NOFILE, soft and hard.
    pub open_files: Option<u64>,
    /// oom_score_adj; 0 leaves it as it is.
    pub oom_score_adjust: i32,
}

/// Starts `command` in a session of its own.
///
/// # Errors
/// What fork(2), the settings or exec(2) say.
pub fn spawn(mut command: Command, birth: Birth) -> io::Result<Child> {
    let adjust = birth.oom_score_adjust.to_string();
    let prepare = move || -> io::Result<()> {
        setsid()?;
        // PID 1 blocks the signals that it reads; a program that inherits the block cannot be told to end.
        unblock_all()?;
        if let Some(cgroup) = &birth.cgroup {
            // "0" is the process that writes.
            write(cgroup, b"0")?;
        }
        if let Some(limit) = birth.open_files {
            setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) })?;
        }
        if birth.oom_score_adjust != 0 {
            let file = open(c"/proc/self/oom_score_adj", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            write(&file, adjust.as_bytes())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made: all strings exist before, nothing is allocated, no lock is taken.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Stdio};

    #[test]
    fn a_process_can_be_told_to_end_by_a_parent_that_blocks_signals() {
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
    fn a_process_is_born_with_its_settings() {
        let dir = tempfile::tempdir().unwrap();
        let procs = dir.path().join("cgroup.procs");
        let cgroup = fs::File::create(&procs).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -n; cat /proc/self/oom_score_adj; cut -d' ' -f6 /proc/$$/stat; echo $$"]);
        command.stdout(Stdio::piped());
        let birth = Birth { cgroup: Some(cgroup.into()), open_files: Some(77), oom_score_adjust: 500 };
        let child = spawn(command, birth).unwrap();
        let pid = child.id().to_string();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(output.lines().collect::<Vec<_>>(), ["77", "500", &pid, &pid]);
        assert_eq!(fs::read_to_string(procs).unwrap(), "0");
        assert_eq!(spawn(Command::new("/no/such"), Birth::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
