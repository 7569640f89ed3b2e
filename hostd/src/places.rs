//! Files and sockets that hostd uses.

use berth_contract::paths;
use std::path::{Path, PathBuf};

/// Files and sockets. Tests put all of them below a folder of their own.
#[derive(Clone, Debug)]
pub struct Places {
    root: PathBuf,
}

impl Places {
    /// All places below `root`, which is `/` on a host.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The settings that init has written.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path(paths::HOSTD_CONFIG)
    }

    /// The description of the image.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.path(paths::IMAGE_SPEC)
    }

    /// The control socket.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        self.path(paths::CONTROL_SOCKET)
    }

    /// hostd's own directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path(paths::HOSTD_STATE)
    }

    /// An absolute path of the host.
    #[must_use]
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }
}
