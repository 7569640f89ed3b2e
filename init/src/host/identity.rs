//! Who this machine is: machine-id(5), host name, and the seed of its random numbers.

use crate::fault::{At, PathError};
use berth_contract::paths;
use berth_file::{Flush, replace};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::Path,
};

/// As random(4) recommends: the size of the kernel's pool.
const SEED_BYTES: usize = 512;
const SEED: &str = "/var/lib/berth/random-seed";

/// Reads the machine's id, or makes it at the first boot, and shows it in /etc/machine-id.
///
/// # Errors
/// When it cannot be stored (the id is then one of this boot only) or shown; the id is given all the same.
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

/// /dev/random waits until the kernel has enough randomness, and never again after that.
fn random(bytes: &mut [u8]) -> Result<(), PathError> {
    File::open("/dev/random").and_then(|mut file| file.read_exact(bytes)).at("read", "/dev/random")
}

/// Stirs the last boot's seed into the kernel's pool, and replaces it at once, so that no seed serves twice. It is not
/// credited as entropy: an image that was copied has its seed copied too.
///
/// # Errors
/// When the new seed cannot be stored.
pub fn load_random_seed() -> Result<(), PathError> {
    if let Ok(seed) = fs::read(SEED) {
        OpenOptions::new()
            .write(true)
            .open("/dev/urandom")
            .and_then(|mut pool| pool.write_all(&seed))
            .at("write", "/dev/urandom")?;
    }
    save_random_seed()
}

/// Stores a seed for the next boot.
///
/// # Errors
/// When it cannot be stored.
pub fn save_random_seed() -> Result<(), PathError> {
    let mut seed = [0; SEED_BYTES];
    // Never waits, unlike /dev/random: a poor seed is better than a boot that stands.
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed)).at("read", "/dev/urandom")?;
    Ok(replace(Path::new(SEED), &seed, 0o600, Flush::Content)?)
}

/// The host name of a machine that was given none.
#[must_use]
pub fn default_hostname(machine_id: &str) -> String {
    format!("berth-{}", machine_id.get(..8).unwrap_or(machine_id))
}

/// Sets the kernel's host name, and /etc/hostname for those who read that.
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
