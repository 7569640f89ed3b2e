//! The process that unpacks: `hostctl decode`.

use super::confinement;
use anyhow::{Context, Result};
use berth_contract::release::MAX_WINDOW;
use liblzma::stream::{Action, Status, Stream};
use rustix::stdio::{stdin, stdout};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
};
use zstd::stream::read::Decoder;

/// Memory that liblzma needs beside the dictionary, in bytes.
const XZ_OWN: u64 = 1 << 20;
/// Bytes that are read or written at once: what a pipe holds.
const PIECE: usize = 64 << 10;

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
        Packing::Xz => unpack_xz(input, Stream::new_stream_decoder(MAX_WINDOW + XZ_OWN, 0)?, &mut output),
        Packing::Zstd => {
            let mut decoder = Decoder::with_buffer(input)?.single_frame();
            decoder.window_log_max(MAX_WINDOW.ilog2())?;
            copy(&mut decoder, &mut output)
        }
    }
}

/// Unpacks an xz stream. What was unpacked before damage is written too: a static delta may be useful up to there.
fn unpack_xz(mut input: impl BufRead, mut stream: Stream, output: &mut File) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let packed = input.fill_buf()?;
        let action = if packed.is_empty() { Action::Finish } else { Action::Run };
        let before = (stream.total_in(), stream.total_out());
        let status = stream.process(packed, &mut piece, action);
        let read = usize::try_from(stream.total_in() - before.0)?;
        let written = usize::try_from(stream.total_out() - before.1)?;
        let is_stuck = packed.is_empty() && written == 0;
        input.consume(read);
        output.write_all(&piece[..written])?;
        match status? {
            Status::StreamEnd => return Ok(()),
            _ if is_stuck => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            _ => {}
        }
    }
}

/// Copies everything.
fn copy(decoder: &mut dyn Read, output: &mut File) -> Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match decoder.read(&mut piece)? {
            0 => return Ok(()),
            got => output.write_all(&piece[..got])?,
        }
    }
}
