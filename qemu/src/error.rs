//! Errors of virtual machines.

use crate::program::QEMU_IMG;
use berth_contract::arch::Arch;
use std::{io, path::PathBuf, time::Duration};

/// Why a machine could not be run, or did not do what the caller waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// A program is missing, or cannot be started.
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
        /// Its stderr.
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
    /// A command of QEMU's monitor failed.
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
    /// The boot stood still twice, before the boot loader or the kernel said a word.
    #[error(
        "the machine stood still twice before its boot loader or kernel said a word; the guest's state is in {}; the console's end:\n{console}",
        folder.display()
    )]
    StandsStill {
        /// The guest's state, asked from QEMU.
        folder: PathBuf,
        /// The console's last lines.
        console: String,
    },
    /// The control protocol.
    #[error(transparent)]
    Control(#[from] berth_control::ClientError),
    /// Certificates cannot be made.
    #[error("cannot make certificates: {0}")]
    Certificates(String),
    /// A wrong configuration.
    #[error("{}: {fault}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

impl VmError {
    /// What the user can do about the error.
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
