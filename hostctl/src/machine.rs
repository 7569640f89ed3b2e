//! The machine that hostctl runs on, as init and the image describe it.

use crate::file::{self, FileError};
use berth_contract::{
    boot_report::InitrdReport,
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths::{HOST_CONFIG, IMAGE_SPEC, INITRD_REPORT},
    update::UpdateSpec,
};
use std::{fs, path::Path, time::UNIX_EPOCH};

/// What is known of it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The image that runs.
    pub image: ImageSpec,
    /// Disk, slot and root hash.
    pub report: InitrdReport,
    /// The machine configuration in force.
    pub config: HostConfig,
    /// Seconds since 1970 that every file of the image bears: the clock cannot be right before it.
    pub epoch: u64,
}

impl Machine {
    /// Reads what init and the image say.
    ///
    /// # Errors
    /// When this is no Berth host, or the user may not see it.
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

    /// Host name of the source that is used where none is named; nothing where it has none.
    #[must_use]
    pub fn source_host(&self) -> Option<String> {
        Some(url::Url::parse(&self.update().source?).ok()?.host_str()?.to_owned())
    }

    /// `[update]`: the machine's words before the image's.
    #[must_use]
    pub fn update(&self) -> UpdateSpec {
        let (image, own) = (self.image.update.clone(), self.config.update.clone().unwrap_or_default());
        UpdateSpec {
            source: own.source.or(image.source),
            channel: own.channel.or(image.channel),
            ca: own.ca.or(image.ca),
        }
    }
}
