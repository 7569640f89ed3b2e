//! Foreign programs that judge in tests what Berth writes, and what a test does without them.
//!
//! ci/setup installs them all, so with `CI=true` a missing one is a failure. On a developer's machine the test is skipped and
//! says so.

use std::{
    env,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Ends a test, as skipped, if one of these programs is missing: `needs!("mkfs.fat", "mlabel");`
#[macro_export]
macro_rules! needs {
    ($($program:expr),+ $(,)?) => {
        if $crate::missing(&[$(::std::path::Path::new(&$program)),+]) {
            return;
        }
    };
}

/// Whether one of `programs` is missing. Says which one on stderr, past the capture of the test harness. A program is a name,
/// looked up in PATH, or a path.
///
/// # Panics
/// If one is missing and `CI=true`.
#[must_use]
pub fn missing(programs: &[&Path]) -> bool {
    let Some(program) = first_missing(programs, &env::var_os("PATH").unwrap_or_default()) else { return false };
    let program = program.display();
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{program} is missing: run ci/setup");
    // A skip that cannot be told is a skip all the same.
    let _ = writeln!(io::stderr(), "skipped: {program} is missing (ci/setup installs it)");
    true
}

/// Where ci/judges puts this program, which is newer than the one of this machine's Debian.
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
