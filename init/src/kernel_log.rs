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

/// A record of the kernel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRecord {
    /// Its number. The first record of a boot has number 0.
    pub number: u64,
    /// Severity as in syslog(3).
    pub level: u8,
    /// Time and text.
    pub line: LogLine,
}

impl KernelLog {
    /// Opens the log at the oldest record that the kernel still has.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// The line of the next record, or `None` when all records have been read.
    ///
    /// # Errors
    /// The error of read(2).
    pub fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        Ok(self.next_record()?.map(|record| record.line))
    }

    /// The next record, or `None` when all records have been read.
    ///
    /// # Errors
    /// The error of read(2).
    pub fn next_record(&mut self) -> io::Result<Option<KernelRecord>> {
        let mut record = [0; LONGEST_RECORD];
        loop {
            match read(&self.0, &mut record) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(None),
                Ok(length) => {
                    if let Some(record) = parse(&record[..length]) {
                        return Ok(Some(record));
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
pub fn parse(record: &[u8]) -> Option<KernelRecord> {
    let record = String::from_utf8_lossy(record);
    let (head, rest) = record.split_once(';')?;
    let mut numbers = head.split(',').map(str::parse::<u64>);
    let (Some(Ok(priority)), Some(Ok(number)), Some(Ok(at_us))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return None;
    };
    // The low three bits are the severity, the others the facility.
    let level = u8::try_from(priority & 7).unwrap_or(7);
    Some(KernelRecord {
        number,
        level,
        line: LogLine { at_us, text: rest.lines().next().unwrap_or_default().to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_parsed_as_the_kernels_documentation_shows_them() {
        let record = parse(
            b"7,160,424069,-;pci_root PNP0A03:00: host bridge window; x\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n",
        );
        let text = "pci_root PNP0A03:00: host bridge window; x".to_owned();
        assert_eq!(record, Some(KernelRecord { number: 160, level: 7, line: LogLine { at_us: 424_069, text } }));
        let of_init = parse(b"14,339,5140900,-,caller=T1;\n").unwrap();
        assert_eq!((of_init.level, of_init.line.text.as_str()), (6, ""));
        assert_eq!(parse(b"garbage"), None);
        assert_eq!(parse(b"1,2;x"), None);
    }
}
