use super::{error::DebError, member::Member};
use crate::packing::{Packing, Unpacker};
use std::io::{self, Read};

/// A reader of the decompressed tar in a member. The compression is the extension of the member's name.
pub(super) fn decoder<R: Read>(reader: R, member: &str) -> Result<Unpacker<R>, DebError> {
    let packing = match member.rsplit_once('.').map(|(_, extension)| extension) {
        Some("tar") => None,
        _ => Some(Packing::split(member).ok_or_else(|| DebError::Compression { member: member.to_owned() })?.1),
    };
    Unpacker::new(reader, packing).map_err(|source| DebError::Read { what: member.to_owned(), source })
}

/// A decompressed tar with a size limit.
#[derive(Debug)]
pub struct DataTar<R: Read> {
    decoder: Unpacker<Member<R>>,
    name: String,
    limit: u64,
    left: u64,
}

impl<R: Read> DataTar<R> {
    pub(super) fn new(decoder: Unpacker<Member<R>>, name: String, limit: u64) -> Self {
        Self { decoder, name, limit, left: limit }
    }
}

impl<R: Read> Read for DataTar<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.decoder.read(buf)?;
        self.left = self.left.checked_sub(got as u64).ok_or_else(|| {
            io::Error::other(DebError::TooLarge { what: format!("{}, unpacked,", self.name), limit: self.limit })
        })?;
        Ok(got)
    }
}
