//! All logs of the host as one stream, for logd.

use super::answers::{Answers, LogName};
use crate::kernel_log::KernelLog;
use berth_contract::{boot_report::LOG_TAG, control::LogRecord};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// Names of the logs that are not the output of a service.
const INIT: &str = "init";
const KERNEL: &str = "kernel";
/// Maximum number of bytes of one log in one turn, so that a service that prints much does not keep the others waiting.
const TURN: usize = 8 * 1024;

/// A position in each log.
#[derive(Debug)]
pub(super) struct AllLogs {
    next: BTreeMap<String, u64>,
    /// `None` if it cannot be read.
    kernel: Option<KernelLog>,
}

impl AllLogs {
    /// Starts each log at its number in `from`, or at its oldest line.
    pub(super) fn open(from: BTreeMap<String, u64>, kernel_log: &Path) -> Self {
        Self { next: from, kernel: KernelLog::open(kernel_log).ok() }
    }

    /// The kernel's log, to wait for new records.
    pub(super) fn kernel(&self) -> Option<BorrowedFd<'_>> {
        self.kernel.as_ref().map(AsFd::as_fd)
    }

    /// The next lines of all logs, about `limit` bytes at most. Empty when there are no more now.
    pub(super) fn next(&mut self, limit: usize, host: &dyn Answers) -> Vec<LogRecord> {
        let mut records = Vec::new();
        let mut room = limit;
        self.take_kernel(&mut room, &mut records);
        let services = host.log_names().into_iter().map(|name| (name.clone(), LogName::Service(name)));
        for (name, log) in [(INIT.to_owned(), LogName::Init)].into_iter().chain(services) {
            if room == 0 {
                break;
            }
            let from = self.next.get(&name).copied().unwrap_or(0);
            let (lines, after) = host.log(&log, from, room.min(TURN));
            let first = after - lines.len() as u64;
            for (line, number) in lines.into_iter().zip(first..) {
                room = room.saturating_sub(line.text.len().max(1));
                let level = if log == LogName::Init { host.level_in_init(number) } else { 6 };
                records.push(LogRecord { log: name.clone(), number, level, at_us: line.at_us, text: line.text });
            }
            self.next.insert(name, after);
        }
        records
    }

    fn take_kernel(&mut self, room: &mut usize, records: &mut Vec<LogRecord>) {
        let mut left = TURN.min(*room);
        let next = self.next.get(KERNEL).copied().unwrap_or(0);
        while let Some(log) = self.kernel.as_mut().filter(|_| left > 0) {
            let record = match log.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                // It does not recover. The other logs continue.
                Err(_) => return self.kernel = None,
            };
            // init's own lines come from init, which does not cut them.
            if record.number < next || record.line.text.starts_with(LOG_TAG) {
                continue;
            }
            let used = record.line.text.len().max(1);
            left = left.saturating_sub(used);
            *room = room.saturating_sub(used);
            let (number, level) = (record.number, record.level);
            let (at_us, text) = (record.line.at_us, record.line.text);
            records.push(LogRecord { log: KERNEL.to_owned(), number, level, at_us, text });
        }
    }
}
