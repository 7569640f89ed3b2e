//! Applies a delta. Nothing in it is trusted: the caller must check the digests of the result.

use super::{DICTIONARY, HEADER, Lengths, MAGIC, MAX_UKI, SECTION, VERSION};
use crate::delta::MAX_IMAGE;
use liblzma::{read::XzDecoder, stream::Stream};
use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
};

/// Bytes of the old file that are read at once.
const PIECE: usize = 1 << 16;
/// Memory that liblzma needs in addition to the dictionary.
const UNPACKING: u64 = DICTIONARY as u64 + (1 << 20);

/// The old bytes.
pub trait ReadAt {
    /// Fills `buf` from `offset` on.
    ///
    /// # Errors
    /// It cannot be read, or ends too early.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let piece = usize::try_from(offset).ok().and_then(|at| self.get(at..)?.get(..buf.len()));
        buf.copy_from_slice(piece.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why a delta cannot be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The delta cannot be read, ends too early, or cannot be decompressed.
    #[error("cannot read the static delta")]
    Input(#[source] io::Error),
    /// An invalid value in the delta.
    #[error("static delta: {what} at byte {at} of the {part}: expected {wanted}, found {found}")]
    Damaged {
        /// `header`, `root file system` or `kernel image`.
        part: &'static str,
        /// Byte of the new file.
        at: u64,
        /// The part of the delta.
        what: &'static str,
        /// The values allowed.
        wanted: String,
        /// What it is.
        found: u64,
    },
    /// The old bytes cannot be read.
    #[error("cannot read {len} bytes at {offset} of the old {part}")]
    Old {
        /// `root file system` or `kernel image`.
        part: &'static str,
        /// Where.
        offset: u64,
        /// Number of bytes.
        len: usize,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The new file cannot be written.
    #[error("cannot write the new {part} at byte {at}")]
    Output {
        /// `root file system` or `kernel image`.
        part: &'static str,
        /// Where.
        at: u64,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// A delta that is being read. `R` has the unpacked steps.
pub struct Delta<R: Read> {
    lengths: Lengths,
    input: R,
}

/// A delta whose root file system has been made. The kernel image is next.
#[derive(Debug)]
pub struct KernelDelta<R: Read>(Delta<R>);

impl<R: Read> fmt::Debug for Delta<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta").field("lengths", &self.lengths).finish_non_exhaustive()
    }
}

impl Lengths {
    /// Reads the header of a delta. What follows is an xz stream whose dictionary has at most [`DICTIONARY`] bytes.
    ///
    /// # Errors
    /// It is not a delta.
    pub fn read(input: &mut impl Read) -> Result<Self, ApplyError> {
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(ApplyError::Input)?;
        let word = |number: usize| u64::from_le_bytes(header.as_chunks().0[number]);
        let check = |what, wanted: &dyn ToString, found, good| {
            let wanted = wanted.to_string();
            if good { Ok(()) } else { Err(ApplyError::Damaged { part: "header", at: 0, what, wanted, found }) }
        };
        check("magic", &"`berthdlt`", word(0), word(0) == u64::from_le_bytes(MAGIC))?;
        // The upper half is reserved.
        check("version", &VERSION, word(1), word(1) == u64::from(VERSION))?;
        let lengths = Self { old_root: word(2), new_root: word(3), old_uki: word(4), new_uki: word(5) };
        for (what, found, most) in [
            ("old root file system's length", lengths.old_root, MAX_IMAGE),
            ("new root file system's length", lengths.new_root, MAX_IMAGE),
            ("old kernel image's length", lengths.old_uki, MAX_UKI),
            ("new kernel image's length", lengths.new_uki, MAX_UKI),
        ] {
            check(what, &format!("at most {most}"), found, found <= most)?;
        }
        Ok(lengths)
    }
}

impl<R: Read> Delta<XzDecoder<R>> {
    /// Reads the header. The delta is unpacked in this process, which takes 19 MB of memory, whatever its content.
    ///
    /// # Errors
    /// It is not a delta.
    pub fn open(mut input: R) -> Result<Self, ApplyError> {
        let lengths = Lengths::read(&mut input)?;
        let stream = Stream::new_stream_decoder(UNPACKING, 0).map_err(|error| ApplyError::Input(error.into()))?;
        Ok(Self::of_unpacked(lengths, XzDecoder::new_stream(input, stream)))
    }
}

impl<R: Read> Delta<R> {
    /// A delta whose header has been read, and whose stream is unpacked by the caller.
    pub fn of_unpacked(lengths: Lengths, input: R) -> Self {
        Self { lengths, input }
    }

    /// The lengths of old and new files.
    #[must_use]
    pub fn lengths(&self) -> Lengths {
        self.lengths
    }

    /// Makes the new root file system from its first byte to its last. Reads the old one at any place.
    ///
    /// # Errors
    /// The delta is damaged, `old` cannot be read, or `out` cannot be written. Some bytes may have been written to `out`.
    pub fn root(mut self, old: &(impl ReadAt + ?Sized), out: &mut impl Write) -> Result<KernelDelta<R>, ApplyError> {
        let Lengths { old_root, new_root, .. } = self.lengths;
        Making { part: "root file system", old, old_len: old_root, out, at: 0, len: new_root }.all(&mut self.input)?;
        Ok(KernelDelta(self))
    }
}

impl<R: Read> KernelDelta<R> {
    /// Makes the new kernel image in the same way, and checks that the delta ends there.
    ///
    /// # Errors
    /// As [`Delta::root`].
    pub fn uki(self, old: &(impl ReadAt + ?Sized), out: &mut impl Write) -> Result<(), ApplyError> {
        let Self(Delta { lengths: Lengths { old_uki, new_uki, .. }, mut input }) = self;
        let part = "kernel image";
        Making { part, old, old_len: old_uki, out, at: 0, len: new_uki }.all(&mut input)?;
        match input.read(&mut [0]).map_err(ApplyError::Input)? {
            0 => Ok(()),
            _ => {
                let (what, wanted) = ("rest", "nothing".to_owned());
                Err(ApplyError::Damaged { part, at: new_uki, what, wanted, found: 1 })
            }
        }
    }
}

/// One file that is being made.
struct Making<'a, O: ?Sized, W> {
    part: &'static str,
    old: &'a O,
    old_len: u64,
    out: &'a mut W,
    /// Bytes made.
    at: u64,
    /// Bytes to be made.
    len: u64,
}

impl<O: ReadAt + ?Sized, W: Write> Making<'_, O, W> {
    fn all(mut self, input: &mut impl Read) -> Result<(), ApplyError> {
        let (mut section, mut piece, mut position) = (Vec::new(), vec![0; PIECE], 0);
        while self.at < self.len {
            let lens = self.lens(input)?;
            section.resize(lens.iter().sum(), 0);
            input.read_exact(&mut section).map_err(ApplyError::Input)?;
            let (mut steps, rest) = section.split_at(lens[0]);
            let (mut differences, mut bytes) = rest.split_at(lens[1]);
            while !steps.is_empty() {
                let [seek, copy, add, put] = self.step(&mut steps)?;
                position = self.seek(position, seek, copy, add)?;
                if copy == 0 && add == 0 && put == 0 {
                    return Err(self.damaged("step", "to make a byte", 0));
                }
                self.copy(position, copy, None, &mut piece)?;
                let now = self.split("differences", &mut differences, add)?;
                self.copy(position + copy, add, Some(now), &mut piece)?;
                position += copy + add;
                let now = self.split("new bytes", &mut bytes, put)?;
                self.write(now)?;
            }
            for (what, rest) in [("differences", differences), ("new bytes", bytes)] {
                if !rest.is_empty() {
                    return Err(self.damaged(what, "none behind a section's last step", rest.len() as u64));
                }
            }
        }
        Ok(())
    }

    fn damaged(&self, what: &'static str, wanted: impl ToString, found: u64) -> ApplyError {
        ApplyError::Damaged { part: self.part, at: self.at, what, wanted: wanted.to_string(), found }
    }

    /// The lengths before a section.
    fn lens(&self, input: &mut impl Read) -> Result<[usize; 3], ApplyError> {
        let mut bytes = [0; 12];
        input.read_exact(&mut bytes).map_err(ApplyError::Input)?;
        let mut lens = [0; 3];
        for (len, bytes) in lens.iter_mut().zip(bytes.as_chunks().0) {
            let found = u32::from_le_bytes(*bytes);
            // Check each length first, so that their sum cannot overflow.
            let small = usize::try_from(found).ok().filter(|len| *len <= SECTION);
            *len = small.ok_or_else(|| self.damaged("section", format!("at most {SECTION} bytes"), found.into()))?;
        }
        let sum: usize = lens.iter().sum();
        if lens[0] == 0 || sum > SECTION {
            return Err(self.damaged("section", format!("steps, and at most {SECTION} bytes"), sum as u64));
        }
        Ok(lens)
    }

    fn step(&self, steps: &mut &[u8]) -> Result<[u64; 4], ApplyError> {
        let mut step = [0; 4];
        for number in &mut step {
            *number = leb128(steps).ok_or_else(|| self.damaged("step", "four numbers", steps.len() as u64))?;
        }
        let [_, copy, add, put] = step;
        let made = copy.checked_add(add).and_then(|sum| sum.checked_add(put));
        if made.is_none_or(|made| made > self.len - self.at) {
            let wanted = format!("at most the {} bytes that are to be made", self.len - self.at);
            return Err(self.damaged("step", wanted, made.unwrap_or(u64::MAX)));
        }
        Ok(step)
    }

    /// Offset in the old bytes at which a step begins.
    fn seek(&self, position: u64, seek: u64, copy: u64, add: u64) -> Result<u64, ApplyError> {
        let to = match seek % 2 {
            0 => position.checked_add(seek / 2),
            _ => position.checked_sub(seek / 2 + 1),
        };
        let inside = |to: &u64| to.checked_add(copy + add).is_some_and(|end| end <= self.old_len);
        let wanted = || format!("a place in the {} old bytes", self.old_len);
        to.filter(inside).ok_or_else(|| self.damaged("step", wanted(), to.unwrap_or(u64::MAX)))
    }

    fn split<'a>(&self, what: &'static str, all: &mut &'a [u8], len: u64) -> Result<&'a [u8], ApplyError> {
        let split = usize::try_from(len).ok().and_then(|len| all.split_at_checked(len));
        let (now, later) = split.ok_or_else(|| self.damaged(what, len, all.len() as u64))?;
        *all = later;
        Ok(now)
    }

    /// Copies `len` old bytes from `offset` on, with or without differences.
    fn copy(&mut self, offset: u64, len: u64, differences: Option<&[u8]>, piece: &mut [u8]) -> Result<(), ApplyError> {
        let mut done = 0;
        while done < len {
            let want = usize::try_from(len - done).unwrap_or(usize::MAX).min(piece.len());
            let (piece, offset) = (&mut piece[..want], offset + done);
            let part = self.part;
            let failed = |cause| ApplyError::Old { part, offset, len: want, cause };
            self.old.read_exact_at(piece, offset).map_err(failed)?;
            if let Some(differences) = differences {
                let from = usize::try_from(done).unwrap_or(usize::MAX);
                piece.iter_mut().zip(&differences[from..]).for_each(|(byte, add)| *byte = byte.wrapping_add(*add));
            }
            self.write(piece)?;
            done += want as u64;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ApplyError> {
        let (part, at) = (self.part, self.at);
        self.out.write_all(bytes).map_err(|cause| ApplyError::Output { part, at, cause })?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

/// A number of at most 64 bits.
fn leb128(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if low << shift >> shift != low {
            return None;
        }
        number |= low << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}
