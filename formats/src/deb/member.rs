//! Members of an ar archive, ar(5): a header of 60 bytes, the content, and a byte of padding after an odd one.

use super::error::DebError;
use std::io::{self, Read};

const MAGIC: &str = "!<arch>\n";
const HEADER_END: &str = "`\n";

/// The bytes of one member. Reading fails if the package ends before the member does.
#[derive(Debug)]
pub(super) struct Member<R> {
    inner: R,
    name: String,
    left: u64,
}

impl<R> Member<R> {
    pub(super) fn new(inner: R, name: String, size: u64) -> Self {
        Self { inner, name, left: size }
    }
}

impl<R: Read> Read for Member<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let got = self.inner.read(&mut buf[..want])?;
        if got == 0 && want != 0 {
            let message = format!("the package ends {} bytes before {} does", self.left, self.name);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

fn exactly<const N: usize>(reader: &mut impl Read, what: &str) -> Result<[u8; N], DebError> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|source| DebError::Read { what: what.to_owned(), source })?;
    Ok(bytes)
}

/// Reads the magic at the beginning of an archive.
pub(super) fn magic(reader: &mut impl Read) -> Result<(), DebError> {
    let found: [u8; 8] = exactly(reader, "the magic number")?;
    if found == *MAGIC.as_bytes() {
        return Ok(());
    }
    let found = String::from_utf8_lossy(&found).into_owned();
    Err(DebError::Magic { what: "the magic number", wanted: MAGIC, found })
}

/// Reads the header of the next member: its name and size.
pub(super) fn next(reader: &mut impl Read) -> Result<(String, u64), DebError> {
    let header: [u8; 60] = exactly(reader, "the header of a member")?;
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim_end_matches(' ').to_owned();
    if header[58..] != *HEADER_END.as_bytes() {
        let found = text(&header[58..]);
        return Err(DebError::Magic { what: "the end of a member's header", wanted: HEADER_END, found });
    }
    let size = text(&header[48..58]);
    let bad = |_| DebError::Magic { what: "the size of a member", wanted: "a decimal number", found: size.clone() };
    let size = size.parse().map_err(bad)?;
    // Some tools end names with a slash.
    Ok((text(&header[..16]).trim_end_matches('/').to_owned(), size))
}

/// Reads all of a member, and its padding.
pub(super) fn whole(reader: &mut impl Read, name: &str, size: u64, limit: u64) -> Result<Vec<u8>, DebError> {
    if size > limit {
        return Err(DebError::TooLarge { what: name.to_owned(), limit });
    }
    let mut bytes = Vec::new();
    let mut member = Member::new(&mut *reader, name.to_owned(), size);
    member.read_to_end(&mut bytes).map_err(|source| DebError::Read { what: name.to_owned(), source })?;
    if !size.is_multiple_of(2) {
        exactly::<1>(reader, "the padding of a member")?;
    }
    Ok(bytes)
}
