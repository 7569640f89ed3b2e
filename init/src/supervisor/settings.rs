//! The part of host.toml that each service reads, in a file of its own. So a service without privileges sees no secrets of others.

use crate::{console, services::accounts};
use berth_contract::{
    fault::{At, Failure},
    host_config::HostConfig,
    service::ServiceSpec,
};
use berth_file::{Flush, Replacement};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, io::Write, os::unix::fs::DirBuilderExt, path::Path};

/// Only the user of the service reads the file.
const MODE: u32 = 0o400;

/// Writes the files of all services.
pub(super) fn write_all(folder: &Path, specs: &BTreeMap<String, ServiceSpec>, config: &HostConfig) {
    for (name, spec) in specs {
        if let Err(error) = write(folder, name, spec, config) {
            console::error(format_args!("settings of service {name}: {error}"));
        }
    }
}

/// Writes the file of a service, if it differs. Returns whether it does. A service without the key `config` has no file.
///
/// # Errors
/// The user of the service does not exist, or the file cannot be written.
pub(super) fn write(folder: &Path, name: &str, spec: &ServiceSpec, config: &HostConfig) -> Result<bool, Failure> {
    if spec.config.is_empty() {
        return Ok(false);
    }
    let path = folder.join(format!("{name}.json"));
    let bytes = part(&spec.config, config)?;
    if fs::read(&path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let account = accounts::of(spec)?;
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).at("create", folder)?;
    let mut file = Replacement::new(&path, MODE)?;
    file.give(account.uid, account.gid)?;
    file.write_all(&bytes).at("write", &path)?;
    file.commit(Flush::Nothing)?;
    Ok(true)
}

/// The keys of host.toml that it has, as a JSON object.
fn part(keys: &[String], config: &HostConfig) -> Result<Vec<u8>, Failure> {
    // By way of its text: the code that makes a value of the types directly is large.
    let Value::Object(all) = serde_json::from_slice(&serde_json::to_vec(config)?)? else {
        return Err("host.toml is not a table".into());
    };
    let part: Map<String, Value> = all.into_iter().filter(|(key, _)| keys.contains(key)).collect();
    Ok(serde_json::to_vec(&part)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_service_gets_its_part_of_host_toml_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("config");
        let is_root = rustix::process::getuid().is_root();
        let user = if is_root { "4321".to_owned() } else { rustix::process::getuid().as_raw().to_string() };
        let spec = |config: &str| -> ServiceSpec {
            toml::from_str(&format!("exec = ['/bin/x']\nuser = '{user}'\nconfig = {config}")).unwrap()
        };
        let config: HostConfig = toml::from_str(
            "hostname = 'node'\n[update]\nsource = 'https://secret@x'\n[[health]]\nname = 'a'\nexec = ['/b']",
        )
        .unwrap();
        let none = spec("[]");
        let some = spec("['hostname', 'container', 'health']");
        assert!(write(&folder, "web", &some, &config).unwrap());
        assert!(!write(&folder, "web", &some, &config).unwrap(), "nothing has changed");
        let path = folder.join("web.json");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"health":[{"exec":["/b"],"name":"a","timeout":30}],"hostname":"node"}"#);
        let meta = fs::metadata(&path).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, meta.uid().to_string()), (0o400, user.clone()));
        assert!(write(&folder, "web", &some, &HostConfig::default()).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
        assert!(!write(&folder, "other", &none, &config).unwrap());
        assert!(!folder.join("other.json").exists());
    }
}
