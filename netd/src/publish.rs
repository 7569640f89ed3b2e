//! The files that netd writes for the rest of the host: the resolver's configuration and a status report.

use crate::{
    report::{self, Facts},
    resolv_conf,
};
use berth_contract::{
    control::NetworkStatus,
    fault::{At, PathError},
    paths,
};
use berth_file::{Flush, replace};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every user may read the files.
const MODE: u32 = 0o644;

/// Writes the two files when their content changes. They are on a file system in memory, so they are not flushed.
#[derive(Debug)]
pub struct Publisher {
    resolv_conf: PathBuf,
    status: PathBuf,
    last: Option<(String, NetworkStatus)>,
}

impl Publisher {
    /// Writes into `directory`. The file names are those of [`paths::RESOLV_CONF`] and [`paths::NETWORK_STATUS`].
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn new(directory: &Path) -> Result<Self, PathError> {
        let inside = |path: &str| Path::new(path).file_name().map(|name| directory.join(name)).unwrap_or_default();
        fs::create_dir_all(directory).at("create", directory)?;
        let (resolv_conf, status) = (inside(paths::RESOLV_CONF), inside(paths::NETWORK_STATUS));
        Ok(Self { resolv_conf, status, last: None })
    }

    /// Writes the files that have changed. Returns whether the content of one has changed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish(&mut self, facts: &Facts<'_>) -> Result<bool, PathError> {
        let now = (resolv_conf::text(&facts.sources, facts.dns), report::status(facts));
        let old = self.last.as_ref();
        let changed = old != Some(&now);
        if old.is_none_or(|(text, _)| *text != now.0) {
            replace(&self.resolv_conf, now.0.as_bytes(), MODE, Flush::Nothing)?;
        }
        if old.is_none_or(|(_, status)| *status != now.1) {
            let text = serde_json::to_vec(&now.1).map_err(std::io::Error::from);
            replace(&self.status, &text.at("write", &self.status)?, MODE, Flush::Nothing)?;
        }
        self.last = Some(now);
        Ok(changed)
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
