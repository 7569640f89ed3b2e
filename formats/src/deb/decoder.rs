use super::{error::DebError, member::Member};
use flate2::read::MultiGzDecoder;
use liblzma::{
    read::XzDecoder,
    stream::{CONCATENATED, Stream},
};
use std::{
    fmt,
    io::{self, BufReader, Read},
};

/// Memory for a dictionary: four times what `xz -9` needs.
const XZ_MEMORY: u64 = 256 << 20;

/// A tar that is decompressed while it is read.
pub(super) enum Decoder<R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Xz(Box<XzDecoder<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Takes the compression from the extension of the member's name.
    pub(super) fn new(reader: R, member: &str) -> Result<Self, DebError> {
        let failed = |source| DebError::Read { what: member.to_owned(), source };
        Ok(match member.rsplit_once('.').map(|(_, extension)| extension) {
            Some("tar") => Self::Plain(reader),
            Some("gz") => Self::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Some("xz") => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED).map_err(|e| failed(e.into()))?;
                Self::Xz(Box::new(XzDecoder::new_stream(reader, stream)))
            }
            Some("zst") => Self::Zstd(Box::new(zstd::stream::read::Decoder::new(reader).map_err(failed)?)),
            _ => return Err(DebError::Compression { member: member.to_owned() }),
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buf),
            Self::Gzip(reader) => reader.read(buf),
            Self::Xz(reader) => reader.read(buf),
            Self::Zstd(reader) => reader.read(buf),
        }
    }
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Xz(_) => "Xz",
            Self::Zstd(_) => "Zstd",
        })
    }
}

/// A decompressed tar with a size limit.
#[derive(Debug)]
pub struct DataTar<R: Read> {
    decoder: Decoder<Member<R>>,
    name: String,
    limit: u64,
    left: u64,
}

impl<R: Read> DataTar<R> {
    pub(super) fn new(decoder: Decoder<Member<R>>, name: String, limit: u64) -> Self {
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
