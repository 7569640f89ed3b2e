//! zstd compression with a cache. Compressing an initrd takes longer than the rest of a build.

use crate::scratch;
use berth_contract::digest::Sha256;
use berth_file::Flush;
use sha2::Digest;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// zstd level. A high level is fine, because the input is small and decompression takes the same time at every level.
const LEVEL: i32 = 19;

/// Compresses `bytes` to one zstd frame with a checksum. The result is cached in the folder `compressed` of `cache`. A cached
/// frame is decompressed and compared with `bytes` before it is used, so a damaged cache cannot change the result.
///
/// # Errors
/// If zstd fails. A cache that cannot be read or written is no error: it only costs time.
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
    // No flush is needed, because each use compares the file. Errors are ignored: without a cache the next build is only slower.
    _ = fs::create_dir_all(&folder)
        .and_then(|()| scratch::replace(&path, 0o666, Flush::Nothing, |file| file.write_all(&made)));
    Ok(made)
}

/// Name of the cached file: a digest of the input, the zstd version and the level.
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
    fn the_result_is_the_same_with_an_empty_filled_damaged_or_missing_cache() {
        let cache = tempfile::tempdir().unwrap();
        let bytes = b"a kernel module, or another ".repeat(1000);
        let first = compress(&bytes, cache.path()).unwrap();
        assert!(holds(&first, &bytes) && !holds(&first, &bytes[1..]));
        let path = cache.path().join("compressed").join(name(&bytes));
        assert_eq!(fs::read(&path).unwrap(), first);
        // A damaged file is detected and replaced.
        for damage in [&first[..first.len() / 2], b"", &compress(b"something else", cache.path()).unwrap()] {
            fs::write(&path, damage).unwrap();
            assert_eq!(compress(&bytes, cache.path()).unwrap(), first);
            assert_eq!(fs::read(&path).unwrap(), first, "the damaged file is replaced");
        }
        assert_eq!(compress(&bytes, Path::new("/dev/null")).unwrap(), first);
    }
}
