//! The settings of logd: the table `[log]` of host.toml.

use berth_contract::{log_config::LogConfig, paths};
use berth_file::{FileError, read_json};
use serde::Deserialize;
use std::path::Path;

#[derive(Debug, Default, Deserialize)]
struct Tables {
    #[serde(default)]
    log: Option<LogConfig>,
}

/// Reads the settings that init has written. Without the file, or without the table, the defaults.
///
/// # Errors
/// The file exists, but cannot be read, or has a value that cannot be used.
pub fn read(path: &Path) -> Result<LogConfig, String> {
    let tables: Tables = match read_json(path, paths::MAX_JSON) {
        Err(error) if FileError::is_missing(&error) => Tables::default(),
        read => read.map_err(|error| berth_contract::chain::Chain(&error).to_string())?,
    };
    let config = tables.log.unwrap_or_default();
    config.check().map_err(|fault| fault.within("log"))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_gives_the_defaults_and_a_wrong_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logd.json");
        assert_eq!(read(&path).unwrap(), LogConfig::default());
        std::fs::write(&path, r#"{"log":{"max_size":"2MiB"}}"#).unwrap();
        assert_eq!(read(&path).unwrap().max_size(), Some(2 << 20));
        std::fs::write(&path, r#"{"log":{"max_size":"2"}}"#).unwrap();
        assert!(read(&path).unwrap_err().contains("log.max_size"));
    }
}
