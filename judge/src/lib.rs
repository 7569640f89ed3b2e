//! Judges: programs of other projects that check, in tests, the files that Berth writes.
//!
//! ci/setup installs all of them, so with `CI=true` a missing judge is a failure. On a developer's machine the test is skipped with a
//! message.

pub mod tmpfiles;
pub mod tuf;

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Skips a test if one of these programs is missing: `needs!("mkfs.fat", "mlabel");`
#[macro_export]
macro_rules! needs {
    ($($program:expr),+ $(,)?) => {
        if $crate::missing(&[$(::std::path::Path::new(&$program)),+]) {
            return;
        }
    };
}

/// Whether one of `programs` is missing. Prints its name to stderr directly, so that the test harness does not capture the message. A
/// program is a path, or a name that is looked up in PATH.
///
/// # Panics
/// If a program is missing and `CI=true`.
#[must_use]
pub fn missing(programs: &[&Path]) -> bool {
    let Some(program) = first_missing(programs, &env::var_os("PATH").unwrap_or_default()) else { return false };
    let program = program.display();
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{program} is missing: run ci/setup");
    // Skip the test even if stderr cannot be written.
    let _ = writeln!(io::stderr(), "skipped: {program} is missing (ci/setup installs it)");
    true
}

/// Whether a test that only root can do must be skipped, with a message.
///
/// # Panics
/// If the test does not run as root and `CI=true`.
#[must_use]
pub fn missing_root() -> bool {
    // The owner of a process's own folder in /proc is the process's user.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    assert!(is_root || env::var_os("CI").is_none_or(|ci| ci != "true"), "run this test as root");
    if !is_root {
        // Skip the test even if stderr cannot be written.
        let _ = writeln!(io::stderr(), "skipped: this test needs root");
    }
    !is_root
}

/// Path of a program that ci/judges installs, because the version of this machine's Debian is too old.
#[must_use]
pub fn newer(program: &str) -> PathBuf {
    let folder = env::var_os("BERTH_JUDGES").map(PathBuf::from);
    let cache = || env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default()).join(".cache");
    folder.unwrap_or_else(|| cache().unwrap_or_else(home).join("berth-judges")).join("bin").join(program)
}

fn first_missing<'a>(programs: &[&'a Path], path: &std::ffi::OsStr) -> Option<&'a Path> {
    let found = |program: &Path| match program.is_absolute() {
        true => program.exists(),
        false => env::split_paths(path).any(|folder| folder.join(program).exists()),
    };
    programs.iter().copied().find(|program| !found(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_up_by_name_and_by_path() {
        let path = std::ffi::OsStr::new("/no/such/folder:/usr/bin:/bin");
        let first = |programs: &[&str]| {
            let programs: Vec<&Path> = programs.iter().map(Path::new).collect();
            first_missing(&programs, path).map(Path::to_owned)
        };
        assert_eq!(first(&["sh", "/bin/sh"]), None);
        assert_eq!(first(&["sh", "no-such-judge", "no-other"]), Some("no-such-judge".into()));
        assert_eq!(first(&["/bin/no-such-judge"]), Some("/bin/no-such-judge".into()));
    }
}
