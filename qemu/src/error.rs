//! What can go wrong with a virtual machine.

use crate::tool::QEMU_IMG;
use berth_contract::arch::Arch;
use std::{io, path::PathBuf, time::Duration};

/// Why a machine could not be run, or did not do what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// A program is not there, or cannot be started.
    #[error("cannot start {program}")]
    Program {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {message}")]
    Failed {
        /// Its name.
        program: String,
        /// What it said.
        message: String,
    },
    /// No firmware in the usual places.
    #[error("no UEFI firmware (OVMF) found; looked for {}", list(.looked))]
    NoFirmware {
        /// The places.
        looked: Vec<PathBuf>,
    },
    /// A file or socket of the machine.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// QEMU's monitor did not do as told.
    #[error("QEMU's monitor: {0}")]
    Monitor(String),
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s; the console's end:\n{console}", limit.as_secs())]
    TimeOut {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The console's last lines.
        console: String,
    },
    /// QEMU ended while something was waited for.
    #[error("the machine ended ({status}) while waiting for {what}; the console's end:\n{console}")]
    Ended {
        /// How.
        status: String,
        /// What was waited for.
        what: String,
        /// The console's last lines.
        console: String,
    },
    /// The control protocol.
    #[error(transparent)]
    Control(#[from] berth_control::ClientError),
    /// Certificates cannot be made.
    #[error("cannot make certificates: {0}")]
    Certificates(String),
    /// A configuration that is none.
    #[error("{}: {fault}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

impl VmError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Program { program, .. } => {
                Some(format!("install it (Debian: apt install {}), or run ci/setup", package(program)))
            }
            Self::NoFirmware { .. } => {
                Some("install it (Debian: apt install ovmf), or set BERTH_OVMF_CODE and BERTH_OVMF_VARS".into())
            }
            Self::Control(error) => error.hint(),
            _ => None,
        }
    }
}

fn package(program: &str) -> &str {
    let emulator = Arch::all().find(|arch| arch.qemu.program == program);
    match program {
        QEMU_IMG => "qemu-utils",
        _ => emulator.map_or(program, |arch| arch.qemu.package),
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
