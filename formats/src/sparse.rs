//! Finds the parts of a file that hold only zeros, by content: so the result is the same for a file with holes and for its
//! copy without holes, on every file system.

use rustix::{
    fs::{SeekFrom, seek},
    io::Errno,
};
use std::{fs::File, io, os::unix::fs::FileExt};

/// Zeros are looked for in pieces of this size: almost every chunk with data has data in its first piece.
const PROBE: u64 = 4096;

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // The first byte is zero, and each byte equals the next one: one memcmp, which stops at the first difference.
    bytes.first().is_none_or(|first| *first == 0 && bytes[1..] == bytes[..bytes.len() - 1])
}

/// Says for each `chunk` of the `len` bytes at `start` whether it holds a byte that is not zero. The last chunk may be
/// shorter. Holes are not read; of data, usually one page of each chunk is. Moves the file's position.
pub(crate) fn data_chunks(file: &File, start: u64, len: u64, chunk: u64) -> io::Result<Vec<bool>> {
    let end = start + len;
    let size = seek(file, SeekFrom::End(0))?;
    if size < end {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("file ends at {size}, {end} bytes expected")));
    }
    let mut page = [0; 4096];
    // All bytes before this have been checked, or are in a hole.
    let mut data_from = start;
    let mut holds_data = |from: u64, to: u64| -> io::Result<bool> {
        let mut at = from.max(data_from);
        while at < to {
            let piece = &mut page[..usize::try_from((to - at).min(PROBE)).map_err(io::Error::other)?];
            file.read_exact_at(piece, at)?;
            if !is_zero(piece) {
                return Ok(true);
            }
            at += piece.len() as u64;
            data_from = match seek(file, SeekFrom::Data(at)) {
                Ok(next) => next,
                Err(Errno::NXIO) => end,
                // A device without holes: all is data.
                Err(Errno::INVAL) => at,
                Err(errno) => return Err(errno.into()),
            };
            at = at.max(data_from);
        }
        Ok(false)
    };
    let chunks = (start..end).step_by(usize::try_from(chunk).map_err(io::Error::other)?);
    chunks.map(|from| holds_data(from, end.min(from + chunk))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_found_in_holes_and_in_data() {
        assert!(is_zero(&[]) && is_zero(&[0]) && is_zero(&[0; 4096]));
        assert!(!is_zero(&[1]) && !is_zero(&[0, 1]) && !is_zero(&[1, 0]));
        let file = tempfile::tempfile().unwrap();
        file.set_len(100 << 10).unwrap();
        file.write_all_at(&[7], 17 << 10).unwrap();
        file.write_all_at(&[0; 8192], 32 << 10).unwrap();
        file.write_all_at(&[7], (100 << 10) - 1).unwrap();
        let whole = data_chunks(&file, 0, 100 << 10, 16 << 10).unwrap();
        assert_eq!(whole, [false, true, false, false, false, false, true]);
        // A window that begins in the middle, and ends one byte before the last.
        let inner = data_chunks(&file, (17 << 10) + 1, (83 << 10) - 2, 64 << 10).unwrap();
        assert_eq!(inner, [false, false]);
        assert_eq!(data_chunks(&file, 17 << 10, 1, 64 << 10).unwrap(), [true]);
        assert!(data_chunks(&file, 0, 200 << 10, 16 << 10).is_err_and(|e| e.kind() == io::ErrorKind::UnexpectedEof));
    }
}
