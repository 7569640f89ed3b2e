//! The logs that logd has stored: which boots there are, and their lines in the order of time.

mod boots;
mod crash;
mod line;
mod merge;
pub mod since;
mod stored;

pub use boots::{Boot, BootChoice};
pub use line::StoredLine;
pub use stored::{Query, StoredLogs};

use std::path::PathBuf;

/// Paths of the stored logs. The default is those of a host.
#[derive(Clone, Debug)]
pub struct LogPaths {
    /// Folders with segments: on /var, and in memory.
    pub folders: Vec<PathBuf>,
    /// The running boot's id.
    pub boot_id: PathBuf,
    /// Folder of kernel dumps.
    pub pstore: PathBuf,
}

impl Default for LogPaths {
    fn default() -> Self {
        use berth_contract::paths;
        Self {
            folders: vec![paths::LOG_STORE.into(), paths::LOG_STORE_IN_MEMORY.into()],
            boot_id: "/proc/sys/kernel/random/boot_id".into(),
            pstore: paths::PSTORE.into(),
        }
    }
}

/// Why stored logs cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The segments cannot be read.
    #[error("cannot read the stored logs: {0}")]
    Read(#[from] std::io::Error),
    /// There is no line of this boot.
    #[error("expected a boot with stored logs, found none for --boot {choice}")]
    NoBoot {
        /// The wanted boot.
        choice: BootChoice,
    },
    /// There is no line of this log.
    #[error("expected a log with stored lines, found none with the name {log:?}")]
    NoLog {
        /// The wanted log.
        log: String,
        /// Logs with lines.
        known: Vec<String>,
    },
}

impl LogsError {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read(_) => Some("stored logs are for root only: run the command as root".into()),
            Self::NoBoot { .. } => {
                Some("`hostctl logs --list-boots` shows the boots; `hostctl services` shows whether logd runs".into())
            }
            Self::NoLog { known, .. } if known.is_empty() => None,
            Self::NoLog { known, .. } => Some(format!("logs with lines: {}", known.join(", "))),
        }
    }
}
