//! The host's identity: machine-id(5) and host name.

use berth_contract::{
    fault::{At, PathError},
    paths,
};
use berth_file::{Flush, replace};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

/// Reads the machine id, or makes one at the first boot, and writes it to /etc/machine-id.
///
/// # Errors
/// When the id cannot be stored, or /etc/machine-id cannot be written. The id is returned in any case. An id that was not stored is valid
/// for this boot only.
pub fn machine_id() -> (String, Result<(), PathError>) {
    let stored = fs::read_to_string(paths::MACHINE_ID).ok().map(|text| text.trim_end().to_owned());
    let (id, kept) = match stored.filter(|id| is_machine_id(id)) {
        Some(id) => (id, Ok(())),
        None => match new_id() {
            Ok(id) => {
                let kept = replace(Path::new(paths::MACHINE_ID), format!("{id}\n").as_bytes(), 0o444, Flush::Content);
                (id, kept.map_err(PathError::from))
            }
            Err(error) => return ("0".repeat(32), Err(error)),
        },
    };
    let shown = fs::write("/etc/machine-id", format!("{id}\n")).at("write", "/etc/machine-id");
    (id, kept.and(shown))
}

/// machine-id(5): 32 lower-case hex digits, not all zero.
fn is_machine_id(text: &str) -> bool {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.len() == 32 && text.bytes().all(hex) && text.bytes().any(|c| c != b'0')
}

/// A random id in the form of a version 4 UUID, as machine-id(5) makes them.
fn new_id() -> Result<String, PathError> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads /dev/random, which blocks only until the kernel's generator is seeded.
fn random(bytes: &mut [u8]) -> Result<(), PathError> {
    File::open("/dev/random").and_then(|mut file| file.read_exact(bytes)).at("read", "/dev/random")
}

/// The host name, if host.toml does not set one.
#[must_use]
pub fn default_hostname(machine_id: &str) -> String {
    format!("berth-{}", machine_id.get(..8).unwrap_or(machine_id))
}

/// Sets the kernel's host name, and writes it to /etc/hostname.
///
/// # Errors
/// When the kernel refuses it (longer than 64 bytes), or the file cannot be written.
pub fn set_hostname(name: &str) -> Result<(), PathError> {
    rustix::system::sethostname(name.as_bytes()).at("set host name", name)?;
    fs::write("/etc/hostname", format!("{name}\n")).at("write", "/etc/hostname")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_valid_and_differ() {
        let (a, b) = (new_id().unwrap(), new_id().unwrap());
        assert!(is_machine_id(&a) && a != b);
        assert_eq!(&a[12..13], "4");
        for bad in ["", "uninitialized", &"0".repeat(32), &a.to_uppercase().replace(char::is_numeric, "F"), &a[1..]] {
            assert!(!is_machine_id(bad), "{bad}");
        }
        assert_eq!(default_hostname("0123456789abcdef"), "berth-01234567");
    }
}
