//! QEMU's monitor (QMP).

use crate::{
    error::VmError,
    standstill::{self, Sample},
};
use qapi::{Qmp, qmp};
use std::{
    io::BufReader,
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How often the state of a save is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Longest time that a machine's memory may take to be written to a file.
const SAVE_LIMIT: Duration = Duration::from_secs(300);

/// A connection to a machine's monitor.
pub struct Monitor {
    qmp: Qmp<qapi::Stream<BufReader<UnixStream>, UnixStream>>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Monitor")
    }
}

fn failed(error: impl std::fmt::Display) -> VmError {
    VmError::Monitor(error.to_string())
}

impl Monitor {
    /// Connects and agrees on the protocol.
    ///
    /// # Errors
    /// When the monitor does not answer within 10 s.
    pub fn connect(socket: &Path) -> Result<Self, VmError> {
        let stream = UnixStream::connect(socket).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
        let reader = BufReader::new(stream.try_clone().map_err(failed)?);
        let mut qmp = Qmp::new(qapi::Stream::new(reader, stream));
        qmp.handshake().map_err(failed)?;
        Ok(Self { qmp })
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When the monitor refuses. This holds for all commands.
    pub fn press_power_button(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::system_powerdown {}).map(drop).map_err(failed)
    }

    /// Presses the reset button. The guest is not told.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn reset(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::system_reset {}).map(drop).map_err(failed)
    }

    /// Ends QEMU.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn quit(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::quit {}).map(drop).map_err(failed)
    }

    /// Stops the guest's processors and its clock.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn stop(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::stop {}).map(drop).map_err(failed)
    }

    /// Lets a saved machine go on, when its memory has been read. Returns whether it runs.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn resume(&mut self) -> Result<bool, VmError> {
        // The typed answer has fields that other versions of QEMU do not have.
        let status = self.ask("info status")?;
        // The machine was stopped when it was saved, and so it is again when it has been read.
        if status.contains("paused") && !status.contains("inmigrate") {
            self.qmp.execute(&qmp::cont {}).map_err(failed)?;
        }
        Ok(status.contains("running"))
    }

    /// What a command of QEMU's own prompt prints.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn ask(&mut self, command: &str) -> Result<String, VmError> {
        let command = qmp::human_monitor_command { command_line: command.to_owned(), cpu_index: None };
        self.qmp.execute(&command).map_err(failed)
    }

    /// What the guest does at this moment.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn sample(&mut self) -> Result<Sample, VmError> {
        let addresses = standstill::addresses(&self.ask("info registers -a")?);
        Ok(Sample { addresses, reads: reads(&self.ask("info blockstats")?) })
    }

    /// Stops the guest and writes its memory and devices to `file`. Disks are not part of it: they stay as they are.
    ///
    /// # Errors
    /// When the file cannot be written, or a device cannot be saved.
    pub fn save(&mut self, file: &Path) -> Result<(), VmError> {
        self.stop()?;
        let uri = Some(format!("file:{}", file.display()));
        self.qmp.execute(&qmp::migrate { uri, channels: None, detach: None, resume: None }).map_err(failed)?;
        let end = Instant::now() + SAVE_LIMIT;
        loop {
            let text = self.ask("info migrate")?;
            match text.lines().find_map(|line| line.split_once("tatus: ")).map(|(_, status)| status.trim()) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => return Err(failed(format!("the machine cannot be saved: {text}"))),
                _ if Instant::now() > end => return Err(failed(format!("the machine is not saved in time: {text}"))),
                _ => thread::sleep(POLL),
            }
        }
    }
}

/// Sum of the reads of all disks, from what `info blockstats` prints.
fn reads(text: &str) -> u64 {
    let count = |word: &str| word.strip_prefix("rd_operations=")?.parse::<u64>().ok();
    text.split_whitespace().filter_map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_of_all_disks_are_counted() {
        let text = "disk: rd_bytes=512 wr_bytes=0 rd_operations=3 wr_operations=9\r\nextra0: rd_operations=4\r\n";
        assert_eq!((reads(text), reads("")), (7, 0));
    }
}
