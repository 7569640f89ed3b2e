//! Compression of single files: gzip, xz and zstd. The extension of a file's name says which.

use flate2::read::MultiGzDecoder;
use liblzma::{
    read::XzDecoder,
    stream::{CONCATENATED, Stream},
};
use std::{
    fmt,
    io::{self, BufReader, Read},
};

/// Memory for the dictionary of an xz stream: four times what `xz -9` needs.
const XZ_MEMORY: u64 = 256 << 20;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Packing {
    /// gzip, RFC 1952.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Packing {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Xz, Self::Zstd, Self::Gzip];

    /// The extension of file names, with its dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// The name without its extension, and the kind that the extension means. `None` for any other name.
    #[must_use]
    pub fn split(name: &str) -> Option<(&str, Self)> {
        Self::ALL.into_iter().find_map(|packing| Some((name.strip_suffix(packing.extension())?, packing)))
    }
}

/// Decompresses while it reads. Streams that follow each other are read as one.
pub enum Unpacker<R: Read> {
    /// Not compressed.
    Plain(R),
    /// gzip.
    Gzip(Box<MultiGzDecoder<R>>),
    /// xz.
    Xz(Box<XzDecoder<R>>),
    /// Zstandard.
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<R>>>),
}

impl<R: Read> Unpacker<R> {
    /// A reader of the bytes that `reader` has compressed. `None` means that they are not compressed.
    ///
    /// # Errors
    /// When a decoder cannot be made.
    pub fn new(reader: R, packing: Option<Packing>) -> io::Result<Self> {
        Ok(match packing {
            None => Self::Plain(reader),
            Some(Packing::Gzip) => Self::Gzip(Box::new(MultiGzDecoder::new(reader))),
            Some(Packing::Xz) => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Self::Xz(Box::new(XzDecoder::new_stream(reader, stream)))
            }
            Some(Packing::Zstd) => Self::Zstd(Box::new(zstd::stream::read::Decoder::new(reader)?)),
        })
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buf),
            Self::Gzip(reader) => reader.read(buf),
            Self::Xz(reader) => reader.read(buf),
            Self::Zstd(reader) => reader.read(buf),
        }
    }
}

impl<R: Read> fmt::Debug for Unpacker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Xz(_) => "Xz",
            Self::Zstd(_) => "Zstd",
        })
    }
}
