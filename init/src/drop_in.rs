//! Drop-in configuration: files in `NAME.d` directories.

use std::{collections::BTreeMap, ffi::OsString, fs, path::PathBuf};

/// All files with this ending, ordered by name. If two directories have a file with the same name, the file of the earlier directory
/// is taken. A directory that cannot be read is skipped.
#[must_use]
pub fn files(directories: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for entry in directories.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(ending) {
            found.entry(entry.file_name()).or_insert_with(|| entry.path());
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_hides_files_of_the_same_name_in_later_directories() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        for name in ["etc", "usr"] {
            fs::create_dir(path(name)).unwrap();
        }
        for name in ["etc/50-b.conf", "usr/50-b.conf", "usr/10-a.conf", "usr/README"] {
            fs::write(path(name), "").unwrap();
        }
        let found = files(&[&path("etc"), &path("usr"), "/nowhere"], ".conf");
        assert_eq!(found, [path("usr/10-a.conf"), path("etc/50-b.conf")].map(PathBuf::from));
    }
}
