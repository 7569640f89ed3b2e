//! The archive: tar (POSIX ustar) in zstd.

use super::Piece;
use std::io;

/// Level of zstd.
const LEVEL: i32 = 9;

/// Packs files into one archive. They are in the folder `folder`, and have the time `now`, in seconds since 1970.
///
/// # Errors
/// A name is too long for tar.
pub fn pack(folder: &str, pieces: &[Piece], now: u64) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for piece in pieces {
        let mut header = tar::Header::new_gnu();
        header.set_size(piece.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        tar.append_data(&mut header, format!("{folder}/{}", piece.name), piece.text.as_bytes())?;
    }
    tar.into_inner()?.finish()
}
