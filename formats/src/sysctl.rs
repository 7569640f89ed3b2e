//! Lines of sysctl.d(5): parameters of the kernel. <https://www.freedesktop.org/software/systemd/man/257/sysctl.d.html>
//!
//! Wildcards in keys are not supported.

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Path below /proc/sys, such as `net/ipv4/ip_forward`.
    pub path: String,
    /// What is written to it.
    pub value: String,
    /// `-key`: an error is ignored.
    pub optional: bool,
}

/// Why a line has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// There is no `=`.
    #[error("expected KEY = VALUE")]
    NoValue,
    /// The key is not a path below /proc/sys.
    #[error("expected a key such as net.ipv4.ip_forward, without wildcards, found {found:?}")]
    Key {
        /// The key.
        found: String,
    },
}

impl Setting {
    /// Parses a line. `None` for an empty line and a comment.
    ///
    /// # Errors
    /// A line that has no meaning.
    pub fn parse(line: &str) -> Result<Option<Self>, LineError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(None);
        }
        let (key, value) = line.split_once('=').ok_or(LineError::NoValue)?;
        let key = key.trim();
        let (name, optional) = key.strip_prefix('-').map_or((key, false), |name| (name.trim_start(), true));
        // If the first separator is a slash, dots are part of names.
        let path = match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
            Some(b'.') => name.chars().map(swapped).collect(),
            _ => name.to_owned(),
        };
        let is_bad = path.split('/').any(|part| part.is_empty() || part == "..") || path.contains(['*', '?', '[']);
        if is_bad {
            return Err(LineError::Key { found: key.to_owned() });
        }
        Ok(Some(Self { path, value: value.trim().to_owned(), optional }))
    }
}

fn swapped(c: char) -> char {
    match c {
        '.' => '/',
        '/' => '.',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_with_dots_and_slashes() {
        for (line, path, value, optional) in [
            (" net.ipv4.ip_forward = 1 ", "net/ipv4/ip_forward", "1", false),
            ("-kernel.x=a b", "kernel/x", "a b", true),
            ("net/ipv4/conf/eth0.1/forwarding=1", "net/ipv4/conf/eth0.1/forwarding", "1", false),
            ("net.ipv4.conf.eth0/1.forwarding=0", "net/ipv4/conf/eth0.1/forwarding", "0", false),
            ("kernel.core_pattern=|/bin/false a=b", "kernel/core_pattern", "|/bin/false a=b", false),
        ] {
            let expected = Setting { path: path.to_owned(), value: value.to_owned(), optional };
            assert_eq!(Setting::parse(line), Ok(Some(expected)), "{line}");
        }
        for line in ["", "  ", "# comment", "; comment"] {
            assert_eq!(Setting::parse(line), Ok(None), "{line}");
        }
        assert_eq!(Setting::parse("novalue"), Err(LineError::NoValue));
        for line in ["../etc/x=1", "/proc/x=1", "net..x=1", "=1", "-=1", "net.ipv4.conf.*.rp_filter=1"] {
            assert!(matches!(Setting::parse(line), Err(LineError::Key { .. })), "{line}");
        }
    }
}
