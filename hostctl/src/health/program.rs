//! A health check that is a program: status 0 means healthy. After its time limit it is killed together with its child processes.

use berth_contract::update::HealthCheck;
use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, kill_process_group},
};
use std::{
    collections::VecDeque,
    io::{self, PipeReader, Read},
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// PATH in the program's environment, which has only PATH, HOME and LANG.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Number of bytes at the end of its output that are searched for its last line.
const TAIL: usize = 4096;
/// Interval between two looks at the program's state and output.
const POLL: Duration = Duration::from_millis(50);

/// Runs a check. Its time limit is its own or `left`, whichever is shorter.
///
/// # Errors
/// One sentence: how the program ended, and its last line of output.
pub fn run(check: &HealthCheck, left: Duration) -> Result<(), String> {
    let limit = Duration::from_secs(check.timeout.into()).min(left);
    let (program, arguments) = check.exec.split_first().ok_or("expected a program, found an empty command")?;
    let cannot = |error: io::Error| format!("cannot run {program}: {error}");
    let (reader, writer) = io::pipe().map_err(cannot)?;
    // A process that the program started may keep the pipe open. A read must not wait for it.
    fcntl_getfl(&reader)
        .and_then(|flags| fcntl_setfl(&reader, flags | OFlags::NONBLOCK))
        .map_err(|e| cannot(e.into()))?;
    let mut output = Output { reader, last: VecDeque::new() };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs([("PATH", PATH), ("HOME", "/root"), ("LANG", "C.UTF-8")])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(writer.try_clone().map_err(cannot)?)
        .stderr(writer)
        .process_group(0)
        .spawn()
        .map_err(cannot)?;
    let ended = wait(&mut child, &mut output, limit).map_err(cannot)?;
    // The program leads a process group. Kill the processes that it left behind, too.
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let how = match ended {
        Some(status) if status.success() => return Ok(()),
        Some(status) => describe(status),
        None => {
            let _ = child.wait();
            format!("killed after its time limit of {} s", limit.as_secs())
        }
    };
    Err(output.last_line().map_or_else(|| how.clone(), |line| format!("{how}: {line}")))
}

fn wait(child: &mut Child, output: &mut Output, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    loop {
        let ended = child.try_wait()?;
        output.read();
        match ended {
            None if begin.elapsed() < limit => thread::sleep(POLL.min(limit)),
            ended => return Ok(ended),
        }
    }
}

/// The last bytes of the program's output.
struct Output {
    reader: PipeReader,
    last: VecDeque<u8>,
}

impl Output {
    /// Reads at most as much as a pipe holds. A program that writes more waits for the next call.
    fn read(&mut self) {
        let mut bytes = [0; 16 * 1024];
        for _ in 0..4 {
            match self.reader.read(&mut bytes) {
                Ok(count) if count > 0 => self.last.extend(&bytes[..count]),
                _ => break,
            }
        }
        let surplus = self.last.len().saturating_sub(TAIL);
        self.last.drain(..surplus);
    }

    fn last_line(mut self) -> Option<String> {
        let text = String::from_utf8_lossy(self.last.make_contiguous()).into_owned();
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, timeout: u32) -> HealthCheck {
        HealthCheck { name: "x".into(), exec: vec!["/bin/sh".into(), "-c".into(), script.into()], timeout }
    }

    #[test]
    fn status_0_is_healthy_and_any_other_end_is_an_error_with_the_last_line() {
        let long = Duration::from_secs(60);
        assert_eq!(run(&check("echo fine", 10), long), Ok(()));
        let error = |script: &str| run(&check(script, 10), long).unwrap_err();
        assert_eq!(error("echo one; echo two >&2; echo; exit 3"), "status 3: two");
        assert_eq!(error("kill -9 $$"), "signal 9");
        assert_eq!(error("head -c 300000 /dev/zero | tr '\\0' x; echo; echo last; exit 1"), "status 1: last");
        let missing = HealthCheck { name: "x".into(), exec: vec!["/no/such".into()], timeout: 1 };
        assert!(run(&missing, long).unwrap_err().starts_with("cannot run /no/such: "));
        assert!(run(&HealthCheck { name: "x".into(), exec: vec![], timeout: 1 }, long).is_err());
    }

    #[test]
    fn a_check_that_takes_too_long_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("child");
        let script = format!("sleep 1000 & echo $! > {}; echo waits; wait", file.display());
        assert_eq!(
            run(&check(&script, 1), Duration::from_secs(60)).unwrap_err(),
            "killed after its time limit of 1 s: waits"
        );
        let child = std::fs::read_to_string(file).unwrap();
        let alive =
            || std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|text| !text.contains(") Z "));
        let begin = Instant::now();
        while alive() && begin.elapsed() < Duration::from_secs(10) {
            thread::sleep(POLL);
        }
        assert!(!alive());
        assert_eq!(
            run(&check("sleep 1000", 1000), Duration::from_millis(10)).unwrap_err(),
            "killed after its time limit of 0 s"
        );
    }
}
