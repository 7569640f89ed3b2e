//! QEMU's monitor (QMP).

use crate::error::VmError;
use qapi::{Qmp, qmp};
use std::{io::BufReader, os::unix::net::UnixStream, path::Path, time::Duration};

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
    /// Connects and shakes hands.
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
    /// When the monitor refuses. So for all commands.
    pub fn press_power_button(&mut self) -> Result<(), VmError> {
        self.qmp.execute(&qmp::system_powerdown {}).map(drop).map_err(failed)
    }

    /// Presses the reset button: nothing is told to the guest.
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
}
