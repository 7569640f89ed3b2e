//! The machine that hostctl runs on, as init and the image describe it.

use berth_contract::{
    boot_report::InitrdReport,
    host_config::HostConfig,
    image_spec::ImageSpec,
    paths::{HOST_CONFIG, IMAGE_SPEC, INITRD_REPORT},
    update::UpdateSpec,
};
use serde::de::DeserializeOwned;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

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

/// A description that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// It is not there.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}: not understood", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

impl MachineError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("this runs on a Berth host; from outside of a virtual machine: --connect unix:PATH")
            }
            Self::Read { .. } | Self::Content { .. } => None,
        }
    }
}

impl Machine {
    /// Reads what init and the image say.
    ///
    /// # Errors
    /// When this is no Berth host, or the user may not see it.
    pub fn read() -> Result<Self, MachineError> {
        let image = Path::new(IMAGE_SPEC);
        let modified = fs::metadata(image).and_then(|meta| meta.modified());
        let modified = modified.map_err(|source| MachineError::Read { path: image.to_owned(), source })?;
        Ok(Self {
            image: json(image)?,
            report: json(Path::new(INITRD_REPORT))?,
            config: json(Path::new(HOST_CONFIG))?,
            epoch: modified.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        })
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

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, MachineError> {
    let bytes = fs::read(path).map_err(|source| MachineError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| MachineError::Content { path: path.to_owned(), source })
}
