//! The session of one client: takes bytes, runs calls, and returns frames to send. It has no descriptor, so tests can give it any bytes in
//! any order.

use super::{
    all_logs::AllLogs,
    answers::{Answers, LogName, Readiness, Started},
    line_buffer::LineBuffer,
};
use crate::{console, ending::Ending, kernel_log::KernelLog};
use berth_contract::control::{Body, Call, ControlError, Frame, LogLine, MAX_ANNOUNCEMENT, MAX_LINE, Reply, Request};
use serde::Deserialize;
use std::{
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

/// Size limit of the queue of a client in bytes. While the queue is full, the session makes no further answers and reads no further
/// requests.
const QUEUE_FULL: usize = 64 * 1024;
/// Maximum number of calls that run at the same time: followed logs, `wait-ready`, a program.
const MAX_CALLS: usize = 16;
/// Maximum number of request lines of a client that are processed in one turn.
const LINES_PER_TURN: usize = 256;

/// The session of one client.
#[derive(Debug)]
pub struct Session {
    input: LineBuffer,
    /// Frames that are not sent yet.
    output: Vec<u8>,
    calls: Vec<RunningCall>,
    kernel_log: PathBuf,
    access: Access,
}

/// The requests that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// All.
    All,
    /// Requests for logs.
    Logs,
}

/// A call that is not answered at once.
#[derive(Debug)]
struct RunningCall {
    id: u64,
    task: Task,
}

#[derive(Debug)]
enum Task {
    Log {
        name: LogName,
        next: u64,
        follow: bool,
    },
    /// Dropping the task ends the program.
    Program {
        program: Started,
        next: u64,
    },
    Kernel {
        log: KernelLog,
        follow: bool,
    },
    All {
        logs: AllLogs,
        follow: bool,
    },
    WaitReady,
}

impl Session {
    /// The session of a new client. `kernel_log` is `/dev/kmsg`.
    #[must_use]
    pub fn new(kernel_log: PathBuf, access: Access) -> Self {
        Self { input: LineBuffer::new(MAX_LINE), output: Vec::new(), calls: Vec::new(), kernel_log, access }
    }

    /// Prepares for another client of the same serial line.
    pub fn restart(&mut self) {
        let cut_short = !self.output.is_empty();
        *self = Self::new(std::mem::take(&mut self.kernel_log), self.access);
        if cut_short {
            // The new client may have received the start of a frame. End that line.
            self.output.push(b'\n');
        }
    }

    /// Whether further bytes should be read from the client.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.output.len() < QUEUE_FULL && self.input.len() <= MAX_LINE
    }

    /// Takes bytes of the client. [`Session::work`] processes them.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// The bytes to send.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Removes `count` bytes that have been sent.
    pub fn sent(&mut self, count: usize) {
        self.output.drain(..count);
    }

    /// Whether calls are running, which may still have answers.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Kernel logs that are followed. The server must watch them for new records.
    pub fn followed(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.calls.iter().filter_map(|call| match &call.task {
            Task::Kernel { log, .. } => Some(log.as_fd()),
            Task::All { logs, .. } => logs.kernel(),
            _ => None,
        })
    }

    /// Runs new requests and running calls, as far as the queue has room. True when there may be more work.
    pub fn work(&mut self, host: &mut dyn Answers) -> bool {
        let mut lines = 0;
        while lines < LINES_PER_TURN && self.output.len() < QUEUE_FULL {
            let Some(line) = self.input.next_line() else { break };
            lines += 1;
            self.parse_and_run(&line, host);
        }
        let before = self.output.len();
        let mut index = 0;
        while index < self.calls.len() && self.output.len() < QUEUE_FULL {
            let RunningCall { id, mut task } = self.calls.remove(index);
            match self.proceed(id, &mut task, host) {
                Some(body) => self.send(id, body),
                None => {
                    self.calls.insert(index, RunningCall { id, task });
                    index += 1;
                }
            }
        }
        lines > 0 || self.output.len() > before
    }

    /// Parses a request and runs it. A line that is not JSON or has no id is ignored: on a serial line, it may be the rest of a line of an
    /// earlier client.
    fn parse_and_run(&mut self, line: &[u8], host: &mut dyn Answers) {
        #[derive(Deserialize)]
        struct IdOnly {
            id: u64,
        }
        match serde_json::from_slice::<Call>(line) {
            Ok(call) => self.run(call, host),
            Err(error) => {
                if let Ok(IdOnly { id }) = serde_json::from_slice(line) {
                    let hint = "use the hostctl of the version that the host runs";
                    self.send(id, failed(format!("request not understood: {error}"), Some(hint)));
                }
            }
        }
    }

    fn run(&mut self, call: Call, host: &mut dyn Answers) {
        let id = call.id;
        // On a serial port, a new client may use the id of a call of an earlier client. That call ends.
        self.calls.retain(|running| running.id != id);
        let for_logs = matches!(call.request, Request::Logs { .. } | Request::AllLogs { .. } | Request::Cancel { .. });
        let body = match call.request {
            _ if self.access == Access::Logs && !for_logs => {
                failed("this socket is for logs only".to_owned(), Some("use the control socket"))
            }
            Request::Status => Body::Reply(Box::new(Reply::Status(Box::new(host.status())))),
            Request::Boot => Body::Reply(Box::new(Reply::Boot(host.boot()))),
            Request::Services => Body::Reply(Box::new(Reply::Services(host.services()))),
            Request::Reboot => end(host, Ending::Reboot, None),
            Request::Poweroff => end(host, Ending::Poweroff, None),
            Request::RebootWithin { seconds } => end(host, Ending::Reboot, Some(seconds)),
            Request::PoweroffWithin { seconds } => end(host, Ending::Poweroff, Some(seconds)),
            Request::Restart { service } => match host.restart(&service) {
                Ok(()) => Body::End,
                Err(message) => failed(message, Some("`hostctl services` lists all services")),
            },
            Request::Announce { text } => {
                let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_ANNOUNCEMENT).collect();
                console::announce(&text);
                Body::End
            }
            Request::Cancel { call } => match self.calls.iter().position(|running| running.id == call) {
                Some(index) => {
                    self.calls.remove(index);
                    self.send(call, Body::End);
                    Body::End
                }
                None => failed(format!("call {call} is not running"), None),
            },
            Request::Logs { .. } | Request::AllLogs { .. } | Request::WaitReady | Request::Run { .. }
                if self.calls.len() >= MAX_CALLS =>
            {
                failed(
                    format!("{MAX_CALLS} calls are running already"),
                    Some("cancel one of them, or open another connection"),
                )
            }
            Request::AllLogs { from, follow } => {
                let logs = AllLogs::open(from, &self.kernel_log);
                return self.calls.push(RunningCall { id, task: Task::All { logs, follow } });
            }
            Request::WaitReady => return self.calls.push(RunningCall { id, task: Task::WaitReady }),
            Request::Run { .. } if self.calls.iter().any(|call| matches!(call.task, Task::Program { .. })) => {
                failed("a command of this client is running already".to_owned(), Some("cancel it, or wait for its end"))
            }
            Request::Configure { place, watch } => match host.configure(&place, watch) {
                Ok(change) => Body::Reply(Box::new(Reply::Configured(change))),
                Err(message) => failed(message, Some("the configuration in force has not changed")),
            },
            Request::Run { arguments, input } => match host.start_hostctl(&arguments, input.as_deref()) {
                Ok(program) => return self.calls.push(RunningCall { id, task: Task::Program { program, next: 0 } }),
                Err(message) => failed(message, None),
            },
            Request::Logs { service, follow } => match self.open_log(&service, follow, host) {
                Ok(task) => return self.calls.push(RunningCall { id, task }),
                Err(error) => error,
            },
        };
        self.send(id, body);
    }

    fn open_log(&self, name: &str, follow: bool, host: &dyn Answers) -> Result<Task, Body> {
        let known = |name| Task::Log { name, next: 0, follow };
        match name {
            "init" => Ok(known(LogName::Init)),
            "kernel" => match KernelLog::open(&self.kernel_log) {
                Ok(log) => Ok(Task::Kernel { log, follow }),
                Err(error) => Err(failed(format!("cannot open {}: {error}", self.kernel_log.display()), None)),
            },
            _ => {
                let names = host.log_names();
                if names.iter().any(|known| known == name) {
                    return Ok(known(LogName::Service(name.to_owned())));
                }
                let hint = format!("available logs: init, kernel, {}", names.join(", "));
                Err(failed(format!("no service has the name {name:?}"), Some(hint.trim_end_matches(", "))))
            }
        }
    }

    /// Continues a call. Returns its last frame when the call has ended.
    fn proceed(&mut self, id: u64, task: &mut Task, host: &dyn Answers) -> Option<Body> {
        match task {
            Task::WaitReady => match host.readiness() {
                Readiness::Booting => None,
                Readiness::Running => Some(Body::End),
                Readiness::Degraded(problems) => {
                    let hint = "for details: `hostctl status`, `hostctl logs NAME`";
                    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    Some(failed(format!("the host is degraded: {}", problems.join("; ")), Some(hint)))
                }
                Readiness::Stopping => Some(failed("the host is going down".to_owned(), None)),
            },
            Task::Log { name, next, follow } => {
                let drained = self.send_lines(id, name, next, host);
                (drained && !*follow).then_some(Body::End)
            }
            Task::All { logs, follow } => {
                let drained = self.send_all(id, logs, host);
                (drained && !*follow).then_some(Body::End)
            }
            Task::Program { program, next } => {
                // Ask for the end before the output is sent, so that all output is sent before the end.
                let end = host.end_of(program);
                let drained = self.send_lines(id, &LogName::Program(program.number()), next, host);
                match end.filter(|_| drained)? {
                    Ok(()) => Some(Body::End),
                    Err(error) => Some(Body::Error(error)),
                }
            }
            Task::Kernel { log, follow } => {
                while self.output.len() < QUEUE_FULL {
                    match log.next_line() {
                        Ok(Some(line)) => self.send(id, Body::Line(line)),
                        Ok(None) => return (!*follow).then_some(Body::End),
                        Err(error) => return Some(failed(format!("cannot read the kernel's log: {error}"), None)),
                    }
                }
                None
            }
        }
    }

    /// Sends records of all logs, as far as the queue has room. True when there are no more.
    fn send_all(&mut self, id: u64, logs: &mut AllLogs, host: &dyn Answers) -> bool {
        loop {
            let records = logs.next(QUEUE_FULL.saturating_sub(self.output.len()), host);
            if records.is_empty() {
                return true;
            }
            records.into_iter().for_each(|record| self.send(id, Body::Record(record)));
            if self.output.len() >= QUEUE_FULL {
                return false;
            }
        }
    }

    /// Sends lines of a log from number `next` on, as far as the queue has room. True when there are no more.
    fn send_lines(&mut self, id: u64, name: &LogName, next: &mut u64, host: &dyn Answers) -> bool {
        loop {
            let room = QUEUE_FULL.saturating_sub(self.output.len());
            let (lines, after) = host.log(name, *next, room);
            let missed = after.saturating_sub(*next).saturating_sub(lines.len() as u64);
            if missed > 0 && *next > 0 {
                let at_us = lines.first().map_or(0, |line| line.at_us);
                let text = format!("[{missed} lines are missing here: the log was faster than this reader]");
                self.send(id, Body::Line(LogLine { at_us, text }));
            }
            *next = after;
            if lines.is_empty() {
                return true;
            }
            lines.into_iter().for_each(|line| self.send(id, Body::Line(line)));
            if self.output.len() >= QUEUE_FULL {
                return false;
            }
        }
    }

    fn send(&mut self, id: u64, body: Body) {
        if let Ok(line) = serde_json::to_vec(&Frame { id, body }) {
            self.output.extend(line);
            self.output.push(b'\n');
        }
    }
}

fn end(host: &mut dyn Answers, ending: Ending, limit: Option<u32>) -> Body {
    host.end(ending, limit.map(u64::from)).map_or_else(|message| failed(message, None), |()| Body::End)
}

fn failed(message: String, hint: Option<&str>) -> Body {
    Body::Error(ControlError { message, hint: hint.map(str::to_owned), code: None })
}

#[cfg(test)]
#[path = "session_tests.rs"]
pub(super) mod tests;
