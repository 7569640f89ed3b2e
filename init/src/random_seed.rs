//! The random seed: random bytes that are stored for the next boot, for the kernel's random number generator.

use berth_contract::fault::{At, PathError};
use berth_file::{Flush, replace};
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::Path,
};

/// Bytes of the seed: the size of the kernel's pool, as random(4) recommends.
const SEED_BYTES: usize = 512;
const SEED: &str = "/var/lib/berth/random-seed";

/// Writes the seed of the last boot to the kernel's pool and replaces the seed at once, so that no seed is used twice. The seed is
/// not credited as entropy, because a copy of the disk has the same seed.
///
/// # Errors
/// When the seed cannot be written to the pool, or the new seed cannot be stored.
pub fn load() -> Result<(), PathError> {
    if let Ok(seed) = fs::read(SEED) {
        OpenOptions::new()
            .write(true)
            .open("/dev/urandom")
            .and_then(|mut pool| pool.write_all(&seed))
            .at("write", "/dev/urandom")?;
    }
    save()
}

/// Stores a seed for the next boot.
///
/// # Errors
/// When the seed cannot be stored.
pub fn save() -> Result<(), PathError> {
    let mut seed = [0; SEED_BYTES];
    // /dev/urandom never blocks, unlike /dev/random: a weak seed is better than a boot that stops.
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed)).at("read", "/dev/urandom")?;
    Ok(replace(Path::new(SEED), &seed, 0o600, Flush::Content)?)
}
