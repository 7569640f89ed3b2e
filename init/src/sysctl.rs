//! Kernel parameters, sysctl.d(5).

use crate::{console, drop_in};
use berth_contract::fault::{At, Failure, Failures};
use berth_formats::sysctl::Setting;
use std::{fs, io, path::Path};

const DIRECTORIES: [&str; 2] = ["/etc/sysctl.d", "/usr/lib/sysctl.d"];

/// Applies all files in the order of their names.
///
/// # Errors
/// Every setting that the kernel refused. The other settings are made. A key that the kernel does not have is only logged.
pub fn apply() -> Result<(), Failure> {
    let mut failures = Failures::none();
    for file in drop_in::files(&DIRECTORIES, ".conf") {
        let Some(text) = failures.keep(fs::read_to_string(&file).at("read", &file)) else { continue };
        // The builder reports lines that have no meaning.
        for setting in text.lines().filter_map(|line| Setting::parse(line).ok().flatten()) {
            let path = Path::new("/proc/sys").join(&setting.path);
            match fs::write(&path, &setting.value) {
                Err(error) if setting.optional || error.kind() == io::ErrorKind::NotFound => {
                    console::debug(format_args!("{}: {} = {}: {error}", file.display(), path.display(), setting.value));
                }
                result => drop(failures.keep(result.at("set", &path))),
            }
        }
    }
    failures.end()
}
