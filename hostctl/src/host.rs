//! The running system, as init and the image describe it.

use crate::{
    entries::Running,
    file::{self, FileError},
};
use berth_contract::{
    boot_report::InitrdReport,
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths::{HOST_CONFIG, IMAGE_SPEC, INITRD_REPORT},
    update::UpdateSpec,
};
use std::{fs, path::Path, time::UNIX_EPOCH};

/// The files that describe the host on which hostctl runs.
#[derive(Clone, Debug)]
pub struct Host {
    /// The running image.
    pub image: ImageSpec,
    /// Disk, slot and root hash.
    pub report: InitrdReport,
    /// The host configuration in force.
    pub config: HostConfig,
    /// Modification time of every file of the image, in seconds since 1970. The real time cannot be earlier.
    pub epoch: u64,
}

impl Host {
    /// Reads the files of init and of the image.
    ///
    /// # Errors
    /// When this is no Berth host, or the user may not read the files.
    pub fn read() -> Result<Self, FileError> {
        let image = Path::new(IMAGE_SPEC);
        let modified = fs::metadata(image).and_then(|meta| meta.modified());
        let modified = modified.map_err(|source| FileError::Read { path: image.to_owned(), source })?;
        Ok(Self {
            image: file::json(image)?,
            report: file::json(Path::new(INITRD_REPORT))?,
            config: file::json(Path::new(HOST_CONFIG))?,
            epoch: modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        })
    }

    /// The running version.
    #[must_use]
    pub fn running(&self) -> Running {
        Running { id: self.image.id.clone(), version: self.image.version.clone(), root_hash: self.report.root_hash }
    }

    /// Host name of the configured source; `None` when it has none.
    #[must_use]
    pub fn source_host(&self) -> Option<String> {
        Some(url::Url::parse(&self.update().source?).ok()?.host_str()?.to_owned())
    }

    /// The `[update]` settings: each key of host.toml takes precedence over that of the image.
    #[must_use]
    pub fn update(&self) -> UpdateSpec {
        let (image, own) = (self.image.update.clone(), self.config.update.clone().unwrap_or_default());
        UpdateSpec {
            source: own.source.or(image.source),
            channel: own.channel.or(image.channel),
            ca: own
                .ca
                .or(image.ca)
                .into_iter()
                .chain(self.config.ca.iter().cloned())
                .reduce(|all, pem| all + "\n" + &pem),
        }
    }
}
