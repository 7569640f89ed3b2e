//! Loads the service files of the image: parses and checks them, and leaves out services that can never start.

pub mod accounts;
pub mod directories;
pub mod error;

pub use error::ServiceError;

use berth_contract::{
    service::ServiceSpec,
    service_set::{self, MAX_SIZE},
};
use std::{collections::BTreeMap, fs, path::Path};

/// The services that can be started, and the errors of the others.
#[derive(Debug, Default)]
pub struct Services {
    /// Services by name. Every service that one of them needs is in this map, and no service needs itself.
    pub specs: BTreeMap<String, ServiceSpec>,
    /// Why the other services cannot be started.
    pub faults: Vec<ServiceError>,
}

/// Reads all files `NAME.toml` of a directory. A missing directory has no services. An error in one file does not affect other
/// services.
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
    services.leave_out_impossible();
    services
}

impl Services {
    fn leave_out_impossible(&mut self) {
        self.faults.extend(service_set::leave_out_impossible(&mut self.specs).into_iter().map(ServiceError::from));
    }

    /// Leaves out the engine and all services that need it, because /var is in memory. On an empty /var, the engine would start without
    /// its containers, and the declared containers would be made anew with empty volumes.
    pub fn leave_out_engine(&mut self, engine: &str) {
        if self.specs.remove(engine).is_some() {
            self.faults.push(ServiceError::NoVar { name: engine.to_owned() });
            self.leave_out_impossible();
        }
    }
}

fn read(path: &Path) -> Result<String, ServiceError> {
    let fail = |source| ServiceError::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(fail)?.len();
    if size > MAX_SIZE {
        return Err(ServiceError::TooLarge { path: path.to_owned(), found: size, limit: MAX_SIZE });
    }
    fs::read_to_string(path).map_err(fail)
}

/// Parses the text of one file. `place` is the name of the file in error messages.
///
/// # Errors
/// Invalid TOML, an unknown key, a value that is not allowed, or an invalid name.
pub fn parse(place: &str, name: &str, text: &str) -> Result<ServiceSpec, ServiceError> {
    if !service_set::is_name(name) {
        return Err(ServiceError::Name { place: place.to_owned() });
    }
    let spec: ServiceSpec = berth_settings::parse(text)
        .map_err(|error| ServiceError::Parse { place: place.to_owned(), message: error.to_string() })?;
    spec.check().map_err(|message| ServiceError::Value { place: place.to_owned(), message })?;
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_var_neither_the_engine_nor_what_needs_it_is_started() {
        let dir = tempfile::tempdir().unwrap();
        for (name, needs) in
            [("base", "[]"), ("engine", "['base']"), ("workload", "['engine']"), ("last", "['workload']")]
        {
            let text = format!("exec = ['/bin/a']\nneeds = {needs}");
            fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
        }
        let mut services = load(dir.path());
        services.leave_out_engine("other");
        assert_eq!((services.specs.len(), services.faults.len()), (4, 0));
        services.leave_out_engine("engine");
        assert_eq!(services.specs.keys().collect::<Vec<_>>(), ["base"]);
        let faults: Vec<String> = services.faults.iter().map(ToString::to_string).collect();
        assert!(faults[0].starts_with("service engine: not started, because /var is in memory"), "{faults:?}");
        assert_eq!(faults.len(), 3, "{faults:?}");
    }

    #[test]
    fn errors_name_the_wrong_files_and_the_other_services_are_loaded() {
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
            (0, "init.toml: invalid service name"),
            (1, "large.toml: expected 65536 bytes at most, found 70000"),
            (2, "relative.toml: exec: expected the absolute path"),
            (3, "unknown key `nedds`"),
            (4, "service orphan: needs service typo"),
        ] {
            assert!(faults[index].contains(words), "{words}: {}", faults[index]);
        }
        assert!(load(&dir.path().join("none")).specs.is_empty());
    }
}
