//! What services there are: files of the image, parsed, checked, and with needs that can be met.

pub mod error;
pub mod needs;

pub use error::ServiceError;

use berth_contract::service::ServiceSpec;
use std::{collections::BTreeMap, fs, path::Path};

/// Largest service file that is read, in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// Services that can be started, and why others cannot.
#[derive(Debug, Default)]
pub struct Services {
    /// By name. Every need of each is in here, and no need runs in a circle.
    pub specs: BTreeMap<String, ServiceSpec>,
    /// What is wrong with the others.
    pub faults: Vec<ServiceError>,
}

/// Reads `NAME.toml` of a directory. A missing directory has no services; a wrong file does not keep the others from starting.
#[must_use]
pub fn load(directory: &Path) -> Services {
    let mut services = Services::default();
    for path in crate::drop_in::files(&[&directory.to_string_lossy()], ".toml") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match read(&path).and_then(|text| parse(&path.to_string_lossy(), &name, &text)) {
            Ok(spec) => {
                services.specs.insert(name, spec);
            }
            Err(error) => services.faults.push(error),
        }
    }
    services.faults.extend(needs::leave_out_impossible(&mut services.specs));
    services
}

fn read(path: &Path) -> Result<String, ServiceError> {
    let fail = |source| ServiceError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(fail)?.len();
    if size > MAX_SIZE {
        return Err(ServiceError::TooLarge { path: path.to_owned(), found: size, limit: MAX_SIZE });
    }
    fs::read_to_string(path).map_err(fail)
}

/// Reads one file's text; `place` is what errors call it.
///
/// # Errors
/// No TOML, an unknown key, a value that cannot be, a name that is none.
pub fn parse(place: &str, name: &str, text: &str) -> Result<ServiceSpec, ServiceError> {
    // The name becomes a directory of the control groups and a name of the protocol.
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(good) || RESERVED.contains(&name) {
        return Err(ServiceError::Name { place: place.to_owned() });
    }
    let spec: ServiceSpec = toml::from_str(text)
        .map_err(|error| ServiceError::Parse { place: place.to_owned(), message: error.to_string() })?;
    spec.check().map_err(|message| ServiceError::Value { place: place.to_owned(), message })?;
    Ok(spec)
}

/// Logs of these names exist already.
const RESERVED: [&str; 2] = ["init", "kernel"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_files_are_named_and_the_others_start() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("good.toml", "exec = ['/bin/a']"),
            ("also.toml", "exec = ['/bin/a']\nneeds = ['good']"),
            ("typo.toml", "exec = ['/bin/a']\nnedds = ['good']"),
            ("relative.toml", "exec = ['a']"),
            ("init.toml", "exec = ['/bin/a']"),
            ("orphan.toml", "exec = ['/bin/a']\nneeds = ['typo']"),
            ("large.toml", &"#".repeat(70_000)),
            ("README", "no service"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let services = load(dir.path());
        assert_eq!(services.specs.keys().collect::<Vec<_>>(), ["also", "good"]);
        let faults: Vec<String> = services.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 5, "{faults:?}");
        for (index, words) in [
            (0, "init.toml: the name of a service"),
            (1, "large.toml: expected 65536 bytes at most, found 70000"),
            (2, "relative.toml: exec: expected the absolute path"),
            (3, "unknown field `nedds`"),
            (4, "service orphan: needs typo"),
        ] {
            assert!(faults[index].contains(words), "{words}: {}", faults[index]);
        }
        assert!(load(&dir.path().join("none")).specs.is_empty());
    }
}
