//! QEMU's monitor (QMP).

use crate::{
    error::VmError,
    standstill::{self, Sample},
};
use qapi::{ExecuteError, Qmp, qmp};
use std::{
    io::BufReader,
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Time between two checks of whether a save is complete.
const POLL: Duration = Duration::from_millis(50);
/// Time limit for writing a machine's memory to a file.
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
    /// Connects to the monitor and negotiates the protocol.
    ///
    /// # Errors
    /// If the monitor does not answer within 10 s.
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
    /// If the monitor refuses the command or does not answer. This is the same for all commands.
    pub fn press_power_button(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::system_powerdown {}).map(drop).map_err(failed)
    }

    /// Presses the reset button. The guest has no chance to shut down.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn reset(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::system_reset {}).map(drop).map_err(failed)
    }

    /// Ends QEMU. The caller waits for the end of the process: QEMU may close the connection before it has read the whole line, so a broken
    /// connection is no error.
    ///
    /// # Errors
    /// If the monitor refuses the command.
    pub fn quit(&mut self) -> Result<(), VmError> {
        match self.qmp.execute(&qmp::quit {}) {
            Ok(_) | Err(ExecuteError::Io(_)) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Stops the guest's processors and its clock.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn stop(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::stop {}).map(drop).map_err(failed)
    }

    /// Resumes a saved machine if QEMU has read its memory. Returns whether the machine runs.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn resume(&mut self) -> Result<bool, VmError> {
        // The text form is used because the typed form requires fields that some versions of QEMU do not send.
        let status = self.ask("info status")?;
        // The machine was stopped before it was saved. So it is stopped again when its memory has been read.
        if status.contains("paused") && !status.contains("inmigrate") {
            self.qmp.execute(&qmp::cont {}).map_err(failed)?;
        }
        Ok(status.contains("running"))
    }

    /// Runs a command of QEMU's human monitor and returns its output.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn ask(&mut self, command: &str) -> Result<String, VmError> {
        let command = qmp::human_monitor_command { command_line: command.to_owned(), cpu_index: None };
        self.qmp.execute(&command).map_err(failed)
    }

    /// A sample of the guest's activity: the addresses of its next instructions, and the number of its disk reads.
    ///
    /// # Errors
    /// See [`Self::press_power_button`].
    pub fn sample(&mut self) -> Result<Sample, VmError> {
        let addresses = standstill::addresses(&self.ask("info registers -a")?);
        Ok(Sample { addresses, reads: reads(&self.ask("info blockstats")?) })
    }

    /// Stops the guest and writes its memory and the state of its devices to `file`. The contents of disks are not saved.
    ///
    /// # Errors
    /// If the file cannot be written, or a device cannot be saved.
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
                _ if Instant::now() > end => {
                    return Err(failed(format!("the machine was not saved within {} s: {text}", SAVE_LIMIT.as_secs())));
                }
                _ => thread::sleep(POLL),
            }
        }
    }
}

/// Number of reads of all disks, from the output of `info blockstats`.
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
