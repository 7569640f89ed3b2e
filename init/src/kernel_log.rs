//! Reads the kernel's log from /dev/kmsg, Documentation/ABI/testing/dev-kmsg.

use berth_contract::control::LogLine;
use rustix::{
    fs::{Mode, OFlags, open},
    io::{Errno, read},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Maximum length of a record: CONSOLE_EXT_LOG_MAX of the kernel.
const LONGEST_RECORD: usize = 8192;

/// A position in the kernel's log. Reading does not block.
#[derive(Debug)]
pub struct KernelLog(OwnedFd);

impl KernelLog {
    /// Opens the log at the oldest record that the kernel still has.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// The next record, or `None` when all records have been read.
    ///
    /// # Errors
    /// The error of read(2).
    pub fn next_record(&mut self) -> io::Result<Option<LogLine>> {
        let mut record = [0; LONGEST_RECORD];
        loop {
            match read(&self.0, &mut record) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(None),
                Ok(length) => {
                    if let Some(line) = parse(&record[..length]) {
                        return Ok(Some(line));
                    }
                }
                // Records were overwritten before they were read: the next read continues after the gap.
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for KernelLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A record is `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT`, then lines of `KEY=value` that start with a space.
#[must_use]
pub fn parse(record: &[u8]) -> Option<LogLine> {
    let record = String::from_utf8_lossy(record);
    let (head, rest) = record.split_once(';')?;
    let at_us = head.split(',').nth(2)?.parse().ok()?;
    Some(LogLine { at_us, text: rest.lines().next().unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_parsed_as_the_kernels_documentation_shows_them() {
        let line = parse(
            b"7,160,424069,-;pci_root PNP0A03:00: host bridge window; x\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n",
        );
        let text = "pci_root PNP0A03:00: host bridge window; x".to_owned();
        assert_eq!(line, Some(LogLine { at_us: 424_069, text }));
        assert_eq!(parse(b"6,339,5140900,-,caller=T1;\n").unwrap().text, "");
        assert_eq!(parse(b"garbage"), None);
        assert_eq!(parse(b"1,2;x"), None);
    }
}
