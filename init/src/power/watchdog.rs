//! The hardware watchdog, Documentation/watchdog/watchdog-api.rst: once open it resets the machine unless it is fed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    time::Duration,
};

/// Where a driver does not say how long it waits.
const USUAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A running watchdog. Dropping it without [`Watchdog::disarm`] leaves it running: the machine will be reset.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    timeout: Duration,
}

impl Watchdog {
    /// Opens, and so starts, the first watchdog. None when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be opened (somebody else has it).
    pub fn start() -> io::Result<Option<Self>> {
        let device = match OpenOptions::new().write(true).open("/dev/watchdog0") {
            Ok(device) => device,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let seconds = fs::read_to_string("/sys/class/watchdog/watchdog0/timeout").unwrap_or_default();
        let timeout = seconds.trim_end().parse().map_or(USUAL_TIMEOUT, Duration::from_secs);
        Ok(Some(Self { device, timeout }))
    }

    /// How often to feed it: twice in its time, so that one late feeding does no harm.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.timeout / 2
    }

    /// Starts its time anew.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn feed(&mut self) -> io::Result<()> {
        self.device.write_all(b"\0")
    }

    /// Stops it, where the driver allows that.
    ///
    /// # Errors
    /// What write(2) says.
    pub fn disarm(mut self) -> io::Result<()> {
        self.device.write_all(b"V")
    }
}
