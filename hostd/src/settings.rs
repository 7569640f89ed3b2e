//! The settings in force: the table `[remote]` of host.toml, or else that of the image.

use crate::places::Places;
use berth_contract::{config_fault::ConfigFault, image_spec::ImageSpec, paths::MAX_JSON, remote_config::RemoteConfig};
use berth_file::{FileError, read_json};
use serde::Deserialize;
use std::os::unix::fs::MetadataExt;

/// What init writes for hostd.
#[derive(Debug, Default, Deserialize)]
struct OwnConfig {
    remote: Option<RemoteConfig>,
}

/// Facts about the image, which never change while the host runs.
#[derive(Debug)]
pub struct Image {
    /// The description.
    pub spec: ImageSpec,
    /// Its date, in seconds since 1970.
    pub date: u64,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// A value is not allowed.
    #[error("remote: {0}")]
    Value(ConfigFault),
}

impl Image {
    /// Reads the description of the image. All files of an image have its date.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(places: &Places) -> Result<Self, SettingsError> {
        let path = places.image();
        let spec = read_json(&path, MAX_JSON)?;
        let date = std::fs::metadata(&path).ok().and_then(|file| u64::try_from(file.mtime()).ok());
        Ok(Self { spec, date: date.unwrap_or(0) })
    }
}

/// Reads the settings. `None` if neither host.toml nor the image has the table `[remote]`: then nobody may reach this host.
///
/// # Errors
/// The file cannot be read, or has a value that is not allowed.
pub fn read(places: &Places, image: &Image) -> Result<Option<RemoteConfig>, SettingsError> {
    let own: OwnConfig = match read_json(&places.config(), MAX_JSON) {
        Err(error) if error.is_missing() => OwnConfig::default(),
        other => other?,
    };
    let remote = own.remote.or_else(|| image.spec.remote.clone());
    if let Some(remote) = &remote {
        remote.check().map_err(SettingsError::Value)?;
    }
    Ok(remote)
}
