//! Kernel parameters, sysctl.d(5).

use crate::{console, drop_in};
use berth_contract::fault::{At, Failure, Failures};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const DIRECTORIES: [&str; 2] = ["/etc/sysctl.d", "/usr/lib/sysctl.d"];

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    path: PathBuf,
    value: String,
    /// `-key`: an error is ignored.
    optional: bool,
}

/// Applies all files in the order of their names.
///
/// # Errors
/// Every setting that the kernel refused. The other settings are made. A key that the kernel does not have is only logged.
pub fn apply() -> Result<(), Failure> {
    let mut failures = Failures::none();
    for file in drop_in::files(&DIRECTORIES, ".conf") {
        let Some(text) = failures.keep(fs::read_to_string(&file).at("read", &file)) else { continue };
        for setting in parse(&text, Path::new("/proc/sys")) {
            match fs::write(&setting.path, &setting.value) {
                Err(error) if setting.optional || error.kind() == io::ErrorKind::NotFound => {
                    console::debug(format_args!(
                        "{}: {} = {}: {error}",
                        file.display(),
                        setting.path.display(),
                        setting.value
                    ));
                }
                result => drop(failures.keep(result.at("set", &setting.path))),
            }
        }
    }
    failures.end()
}

fn parse(text: &str, base: &Path) -> Vec<Setting> {
    let line = |line: &str| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let (key, optional) = match key.trim().strip_prefix('-') {
            Some(key) => (key, true),
            None => (key.trim(), false),
        };
        // sysctl.d(5): if the first separator is a slash, dots are part of names.
        let path = match key.find(['.', '/']).map(|at| key.as_bytes()[at]) {
            Some(b'.') => key
                .chars()
                .map(|c| match c {
                    '.' => '/',
                    '/' => '.',
                    c => c,
                })
                .collect(),
            _ => key.to_owned(),
        };
        let bad =
            path.starts_with('/') || path.split('/').any(|part| part.is_empty() || part == "..") || path.contains('*');
        (!bad).then(|| Setting { path: base.join(path), value: value.trim().to_owned(), optional })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_with_dots_and_slashes() {
        let found = parse(
            "# comment\n; comment\n net.ipv4.ip_forward = 1 \n-kernel.x=a b\nnet/ipv4/conf/eth0.1/forwarding=1\n\
             net.ipv4.conf.eth0/1.forwarding=0\n../etc/x=1\nnovalue\n/proc/x=1\n",
            Path::new("/s"),
        );
        let rows: Vec<(String, &str, bool)> =
            found.iter().map(|s| (s.path.display().to_string(), s.value.as_str(), s.optional)).collect();
        let row = |path: &str, value, optional| (path.to_owned(), value, optional);
        assert_eq!(
            rows,
            [
                row("/s/net/ipv4/ip_forward", "1", false),
                row("/s/kernel/x", "a b", true),
                row("/s/net/ipv4/conf/eth0.1/forwarding", "1", false),
                row("/s/net/ipv4/conf/eth0.1/forwarding", "0", false),
            ]
        );
    }
}
