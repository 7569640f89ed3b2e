//! Errors of virtual machines.

use crate::program::QEMU_IMG;
use berth_contract::arch::Arch;
use std::{io, path::PathBuf, time::Duration};

/// Why a machine could not be run, or why an event that the caller waited for did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VmError {
    /// A program is missing, or cannot be started.
    #[error("cannot start {program}")]
    Program {
        /// Name of the program.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed: {message}")]
    Failed {
        /// Name of the program.
        program: String,
        /// The program's stderr.
        message: String,
    },
    /// No firmware was found.
    #[error("no UEFI firmware (OVMF) found; looked for {}", list(.looked))]
    NoFirmware {
        /// The paths that were searched.
        looked: Vec<PathBuf>,
    },
    /// An operation on a file or socket of the machine failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The operation, as a verb: "read".
        doing: &'static str,
        /// The file or socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A command of QEMU's monitor failed.
    #[error("QEMU's monitor failed: {0}")]
    Monitor(String),
    /// An event did not happen within the time limit.
    #[error("timed out after {} s while waiting for {what}; last lines of the console:\n{console}", limit.as_secs())]
    TimeOut {
        /// The event.
        what: String,
        /// The time limit.
        limit: Duration,
        /// The console's last lines.
        console: String,
    },
    /// QEMU ended before the event that the caller waited for.
    #[error("the machine ended ({status}) while the caller waited for {what}; last lines of the console:\n{console}")]
    Ended {
        /// QEMU's exit status and stderr.
        status: String,
        /// The event.
        what: String,
        /// The console's last lines.
        console: String,
    },
    /// The boot hung twice, before the boot loader or the kernel wrote to the console.
    #[error(
        "the boot hung twice before the boot loader or the kernel wrote to the console; the guest's state is in {}; \
         last lines of the console:\n{console}",
        folder.display()
    )]
    StandsStill {
        /// Folder with the guest's state as QEMU reported it.
        folder: PathBuf,
        /// The console's last lines.
        console: String,
    },
    /// A port of this computer cannot be forwarded.
    #[error("cannot forward port {port} of 127.0.0.1")]
    Port {
        /// The port.
        port: u16,
        /// The cause.
        source: io::Error,
    },
    /// An error of the control protocol.
    #[error(transparent)]
    Control(#[from] berth_control::ClientError),
    /// The certificates cannot be made.
    #[error("cannot make certificates: {0}")]
    Certificates(String),
    /// A host.toml is wrong.
    #[error("{}: {fault}", path.display())]
    Config {
        /// Path of the file.
        path: PathBuf,
        /// The fault in the file.
        fault: String,
    },
}

impl VmError {
    /// A hint: the next step for the user.
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
            Self::Port { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("another program uses this port: name another one, or 0 for any free port".into())
            }
            Self::Port { .. } => Some("name another port, or 0 for any free port".into()),
            Self::TimeOut { .. } => {
                Some("give it more time (berth run --limit SECONDS), or read the whole console".into())
            }
            Self::Config { .. } => Some("see docs/host.md for the keys of host.toml".into()),
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
