//! The process that unpacks: `hostctl decode`.

use super::confinement;
use anyhow::{Context, Result};
use berth_contract::release::MAX_WINDOW;
use liblzma::{bufread::XzDecoder, stream::Stream};
use rustix::stdio::{stdin, stdout};
use std::{
    fs::File,
    io::{BufReader, Read, Write},
};
use zstd::stream::read::Decoder;

/// Memory that liblzma needs beside the dictionary, in bytes.
const XZ_OWN: u64 = 1 << 20;
/// Bytes that are read or written at once: what a pipe holds.
const PIECE: usize = 64 << 10;
/// Bytes that are unpacked at once.
const STEP: usize = 4 << 10;

/// The format of a packed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// xz with a dictionary of at most [`MAX_WINDOW`] bytes.
    Xz,
    /// One zstd frame with a window of at most [`MAX_WINDOW`] bytes.
    Zstd,
}

impl Packing {
    /// The argument of `hostctl decode`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

impl std::str::FromStr for Packing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Xz, Self::Zstd].into_iter().find(|packing| packing.name() == text);
        known.ok_or_else(|| format!("expected xz or zstd, found {text:?}"))
    }
}

/// Gives up all privileges, then unpacks stdin to stdout.
///
/// # Errors
/// The process cannot be confined, the stream is damaged, or the reader is gone.
pub fn run(packing: Packing) -> Result<()> {
    confinement::close_files().context("cannot close inherited files")?;
    let input = File::from(stdin().try_clone_to_owned().context("cannot use stdin")?);
    let mut output = File::from(stdout().try_clone_to_owned().context("cannot use stdout")?);
    confinement::enter().context("cannot confine the decoder")?;
    let input = BufReader::with_capacity(PIECE, input);
    match packing {
        Packing::Xz => {
            let stream = Stream::new_stream_decoder(MAX_WINDOW + XZ_OWN, 0)?;
            copy(&mut XzDecoder::new_stream(input, stream), &mut output)
        }
        Packing::Zstd => {
            let mut decoder = Decoder::with_buffer(input)?.single_frame();
            decoder.window_log_max(MAX_WINDOW.ilog2())?;
            copy(&mut decoder, &mut output)
        }
    }
}

/// Copies everything. What was unpacked before an error is written too.
fn copy(decoder: &mut dyn Read, output: &mut File) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let mut filled = 0;
        // When a decoder finds damage, it returns nothing of that step: small steps lose little.
        let end = loop {
            let step = &mut piece[filled..(filled + STEP).min(PIECE)];
            match decoder.read(step) {
                Ok(0) => break Some(Ok(())),
                Ok(got) => filled += got,
                Err(error) => break Some(Err(error)),
            }
            if filled == PIECE {
                break None;
            }
        };
        output.write_all(&piece[..filled])?;
        if let Some(end) = end {
            return Ok(end?);
        }
    }
}
