//! The host name.

use berth_contract::fault::{At, PathError};
use std::fs;

/// The host name, if host.toml does not set one.
#[must_use]
pub fn default(machine_id: &str) -> String {
    format!("berth-{}", machine_id.get(..8).unwrap_or(machine_id))
}

/// Sets the kernel's host name, and writes it to /etc/hostname and /etc/hosts.
///
/// # Errors
/// When the kernel refuses it (longer than 64 bytes), or a file cannot be written.
pub fn set(name: &str) -> Result<(), PathError> {
    rustix::system::sethostname(name.as_bytes()).at("set host name", name)?;
    fs::write("/etc/hostname", format!("{name}\n")).at("write", "/etc/hostname")?;
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_else(|_| "127.0.0.1 localhost\n".to_owned());
    fs::write("/etc/hosts", hosts_with(&hosts, name)).at("write", "/etc/hosts")
}

/// The text of hosts(5) with a line for the host's own name, unless it has one. As in Debian, the address is not 127.0.0.1, which is
/// `localhost`.
fn hosts_with(text: &str, name: &str) -> String {
    let words =
        |line: &str| line.split('#').next().unwrap_or_default().split_ascii_whitespace().any(|word| word == name);
    if text.lines().any(words) {
        return text.to_owned();
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let short = name.split_once('.').map(|(short, _)| format!(" {short}")).unwrap_or_default();
    format!("{text}{end}127.0.1.1 {name}{short}\n")
}

/// Sets the name of host.toml, or the default.
///
/// # Errors
/// See [`set`].
pub fn configure(name: Option<&str>, machine_id: &str) -> Result<(), PathError> {
    set(&name.map_or_else(|| default(machine_id), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_name_is_made_from_the_machine_id() {
        assert_eq!(default("0123456789abcdef"), "berth-01234567");
    }

    #[test]
    fn the_hosts_own_name_is_in_hosts_once() {
        let with = hosts_with("127.0.0.1 localhost\n", "node-1");
        assert_eq!(with, "127.0.0.1 localhost\n127.0.1.1 node-1\n");
        assert_eq!(hosts_with(&with, "node-1"), with);
        assert_eq!(hosts_with("10.0.0.1 a.example # a", "a"), "10.0.0.1 a.example # a\n127.0.1.1 a\n");
        assert_eq!(hosts_with("", "a.example"), "127.0.1.1 a.example a\n");
    }
}
