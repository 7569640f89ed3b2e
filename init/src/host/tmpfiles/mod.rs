//! Files, directories and links that packages need at boot: applies lines of tmpfiles.d(5) on a host without systemd, with the code that
//! the builder applies them to the image with ([`tmpfiles::apply`]).
//!
//! Lines count for paths below the file systems that are mounted at boot. All other paths of the image are read-only, or come from overlays:
//! the builder has applied their lines. Lines that cannot be parsed are skipped.

mod running;

use crate::{console, drop_in};
use berth_contract::{
    fault::{At, Failure, Failures},
    paths,
};
use berth_formats::tmpfiles::{self, Line};
use running::Running;
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

const DIRECTORIES: [&str; 2] = ["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d"];
/// Where lines are applied.
const BELOW: [&str; 6] = ["/run", "/var", "/tmp", "/dev", "/proc", "/sys"];

/// Applies the image's tmpfiles.d: first the builder's lines for what packages ship, then all others.
///
/// # Errors
/// Every line that could not be applied. The other lines are applied.
pub fn apply() -> Result<(), Failure> {
    let mut failures = Failures::none();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let mut running = Running { root: Path::new("/"), passwd: &passwd, group: &group };
    let (shipped, others): (Vec<PathBuf>, Vec<PathBuf>) =
        drop_in::files(&DIRECTORIES, ".conf").into_iter().partition(|path| path == Path::new(paths::SHIPPED));
    for files in [shipped, others] {
        let mut lines = Vec::new();
        for file in files {
            if let Some(text) = failures.keep(fs::read_to_string(&file).at("read", &file)) {
                lines.extend(text.lines().filter_map(parse).map(|line| (line, file.clone())));
            }
        }
        for (file, error) in tmpfiles::apply(&mut running, lines) {
            if error.is_failure() {
                failures.keep(Err::<(), _>(format!("{}: {error}", file.display())));
            } else {
                console::warning(format_args!("{}: {error}", file.display()));
            }
        }
    }
    failures.end()
}

/// Parses a line. `None` when init does not apply the line.
fn parse(text: &str) -> Option<Line> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let line = Line::parse(text, &value_of).ok()?;
    let path = Path::new(OsStr::from_bytes(&line.path));
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let is_below = BELOW.iter().any(|below| path.starts_with(below) && path != Path::new(below));
    (is_below && !climbs).then_some(line)
}

/// The value of a specifier that depends on this host. `None` for all other specifiers, and for the machine id and the host name
/// (`%m`, `%H`, `%l`): the host gets them in later phases.
fn value_of(letter: char) -> Option<String> {
    let file = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match letter {
        'b' => file("/proc/sys/kernel/random/boot_id").map(|id| id.replace('-', "")),
        'v' => Some(rustix::system::uname().release().to_string_lossy().into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
