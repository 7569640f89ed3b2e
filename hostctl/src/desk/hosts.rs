//! `~/.config/berth/hosts.toml`: the hosts that this desk knows.

use super::{Address, DeskError};
use berth_file::{Flush, read, replace};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Size limit of the file, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// The host that commands are for when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Hosts by name.
    #[serde(default, rename = "host")]
    pub hosts: BTreeMap<String, KnownHost>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownHost {
    /// Its address.
    #[serde(with = "text")]
    pub address: Address,
    /// File with this desk's certificate, PEM.
    pub cert: PathBuf,
    /// File with its private key, PEM.
    pub key: PathBuf,
    /// File with the authority of the host's certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// SHA-256 of the host's certificate, instead of an authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl Hosts {
    /// Where the file is. `None` if this user has no home.
    #[must_use]
    pub fn place() -> Option<PathBuf> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(folder.join("berth/hosts.toml"))
    }

    /// Reads the file. Without a file no host is known.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path) -> Result<Self, DeskError> {
        let bytes = match read(path, MAX_SIZE) {
            Err(error) if error.is_missing() => return Ok(Self::default()),
            other => other?,
        };
        let bad = |message: String| DeskError::Hosts { path: path.to_owned(), message };
        let text = String::from_utf8(bytes).map_err(|error| bad(error.to_string()))?;
        toml::from_str(&text).map_err(|error| bad(error.to_string()))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DeskError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| DeskError::Folder { path: folder.to_owned(), source })?;
        let text = toml::to_string(self)
            .map_err(|error| DeskError::Hosts { path: path.to_owned(), message: error.to_string() })?;
        Ok(replace(path, text.as_bytes(), 0o600, Flush::Content)?)
    }

    /// The host with this name or this address.
    ///
    /// # Errors
    /// No host has it.
    pub fn find(&self, wanted: &str) -> Result<(&str, &KnownHost), DeskError> {
        let address = wanted.parse::<Address>().ok();
        let by_name = self.hosts.get_key_value(wanted);
        let by_address = || self.hosts.iter().find(|(_, host)| Some(&host.address) == address.as_ref());
        by_name.or_else(by_address).map(|(name, host)| (name.as_str(), host)).ok_or_else(|| DeskError::Unknown {
            wanted: wanted.to_owned(),
            known: self.hosts.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }
}

/// An address as a text.
mod text {
    use super::Address;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_kept_and_found_by_name_and_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/berth/hosts.toml");
        let mut hosts = Hosts::read(&path).unwrap();
        assert_eq!(hosts, Hosts::default());
        let web = KnownHost {
            address: "192.0.2.10".parse().unwrap(),
            cert: "/c".into(),
            key: "/k".into(),
            ca: None,
            fingerprint: Some("AB".into()),
        };
        hosts.hosts.insert("web".to_owned(), web);
        hosts.current = Some("web".to_owned());
        hosts.write(&path).unwrap();
        let again = Hosts::read(&path).unwrap();
        assert_eq!(again, hosts);
        assert_eq!(again.find("192.0.2.10:7443").unwrap().0, "web");
        assert_eq!(again.find("web").unwrap().0, "web");
        let error = again.find("192.0.2.10:1").unwrap_err();
        assert_eq!(error.to_string(), "no host has the name or address \"192.0.2.10:1\"; known hosts: web");
        fs::write(&path, "[host.web]\naddress = '?'\n").unwrap();
        assert!(Hosts::read(&path).unwrap_err().to_string().contains("expected ADDRESS"));
    }
}
