//! zstd, and a cache of what it made: compressing an initrd takes longer than the rest of a build.

use crate::scratch;
use berth_contract::digest::Sha256;
use berth_file::Flush;
use sha2::Digest;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// zstd level: what is compressed is small, and unpacking costs the same at any level.
const LEVEL: i32 = 19;

/// `bytes` as one zstd frame with a checksum. Taken from the folder `compressed` of `cache` if it is there: the bytes
/// that come out are the same either way, since each use unpacks what was found and compares.
///
/// # Errors
/// When zstd fails. A cache that cannot be read or written only costs time.
pub fn compress(bytes: &[u8], cache: &Path) -> io::Result<Vec<u8>> {
    let folder = cache.join("compressed");
    let path = folder.join(name(bytes));
    if let Some(found) = fs::read(&path).ok().filter(|found| holds(found, bytes)) {
        return Ok(found);
    }
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.write_all(bytes)?;
    let made = encoder.finish()?;
    // Not flushed: what is found is compared at each use. Without a cache the next build takes longer, that is all.
    _ = fs::create_dir_all(&folder)
        .and_then(|()| scratch::replace(&path, 0o666, Flush::Nothing, |file| file.write_all(&made)));
    Ok(made)
}

/// Of everything that decides the outcome.
fn name(bytes: &[u8]) -> String {
    let settings = format!("zstd {} level {LEVEL}\n", zstd::zstd_safe::version_number());
    Sha256(sha2::Sha256::new().chain_update(settings).chain_update(bytes).finalize().into()).to_string()
}

fn holds(compressed: &[u8], bytes: &[u8]) -> bool {
    zstd::bulk::decompress(compressed, bytes.len()).is_ok_and(|found| found == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_changes_nothing_but_the_time() {
        let cache = tempfile::tempdir().unwrap();
        let bytes = b"a kernel module, or another ".repeat(1000);
        let first = compress(&bytes, cache.path()).unwrap();
        assert!(holds(&first, &bytes) && !holds(&first, &bytes[1..]));
        let path = cache.path().join("compressed").join(name(&bytes));
        assert_eq!(fs::read(&path).unwrap(), first);
        // Whatever lies there is looked at first.
        for damage in [&first[..first.len() / 2], b"", &compress(b"something else", cache.path()).unwrap()] {
            fs::write(&path, damage).unwrap();
            assert_eq!(compress(&bytes, cache.path()).unwrap(), first);
            assert_eq!(fs::read(&path).unwrap(), first, "and mended");
        }
        assert_eq!(compress(&bytes, Path::new("/dev/null")).unwrap(), first);
    }
}
