//! Making a delta.

use super::{
    DICTIONARY, Lengths, MAX_UKI, SECTION,
    error::MakeError,
    segments::{self, Segment, Source},
    steps::{self, Step, Steps},
};
use crate::{delta::MAX_IMAGE, workers};
use liblzma::{
    stream::{Check, Filters, LzmaOptions, Stream},
    write::XzEncoder,
};
use std::{
    fs::File,
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
};

/// A section is closed when it has this many bytes. One more step does not exceed its limit.
const CLOSE: usize = SECTION / 2;
/// Largest number of differences, and of new bytes, of a step.
const STEP: u64 = 1 << 16;
/// Bytes that are compared at once. Larger files are compared in pieces at the same place. Comparing takes seven times as
/// much memory.
const WINDOW: u64 = 256 << 20;

/// Writes the delta from one version to another: root file systems as files, kernel images as bytes. Works with a thread for
/// each CPU. Each thread takes seven times the length of a changed file as memory; 180 MB are needed in addition.
///
/// # Errors
/// A root file system is not EROFS or cannot be read, or `out` cannot be written.
pub fn make(
    old: &File,
    new: &File,
    old_uki: &[u8],
    new_uki: &[u8],
    mut out: impl Write + Send,
) -> Result<(), MakeError> {
    for (what, uki) in [("old kernel image", old_uki), ("new kernel image", new_uki)] {
        if uki.len() as u64 > MAX_UKI {
            return Err(MakeError::Large { what, len: uki.len() as u64, most: MAX_UKI });
        }
    }
    let lengths = Lengths {
        old_root: length("old", old)?,
        new_root: length("new", new)?,
        old_uki: old_uki.len() as u64,
        new_uki: new_uki.len() as u64,
    };
    let segments = segments::pair(old, new)?;
    out.write_all(&lengths.to_bytes()).map_err(MakeError::Output)?;
    let mut packed = XzEncoder::new_stream(out, packer().map_err(|error| MakeError::Output(error.into()))?);
    let mut sections = Sections::new(&mut packed);
    let work = |(): &mut (), number: usize| segment(old, new, &segments[number]);
    workers::in_order(
        segments.len(),
        workers::per_cpu(),
        || (),
        work,
        |made| sections.put(&made).map_err(MakeError::Output),
    )?;
    sections.close().map_err(MakeError::Output)?;
    let mut sections = Sections::new(&mut packed);
    sections.put(&compare(old_uki, 0, new_uki)?).map_err(MakeError::Output)?;
    sections.close().map_err(MakeError::Output)?;
    packed.finish().and_then(|mut out| out.flush()).map_err(MakeError::Output)
}

fn length(which: &'static str, file: &File) -> Result<u64, MakeError> {
    let len = file.metadata().map_err(|cause| MakeError::Read { which, offset: 0, len: 0, cause })?.len();
    let what = if which == "old" { "old root file system" } else { "new root file system" };
    if len > MAX_IMAGE { Err(MakeError::Large { what, len, most: MAX_IMAGE }) } else { Ok(len) }
}

/// LZMA options. Programs and their differences have no useful alignment, so there are no position bits.
fn packer() -> Result<Stream, liblzma::stream::Error> {
    // As `xz -9e`.
    let mut options = LzmaOptions::new_preset(9 | 1 << 31)?;
    options.dict_size(DICTIONARY).literal_context_bits(4).position_bits(0).nice_len(273);
    Stream::new_stream_encoder(Filters::new().lzma2(&options), Check::None)
}

fn segment(old: &File, new: &File, segment: &Segment) -> Result<Steps, MakeError> {
    let len = segment.new.end - segment.new.start;
    let mut made = Steps::default();
    match &segment.from {
        Source::Same(from) => made.steps.push(Step { from: *from, copy: len, ..Step::default() }),
        Source::Like(like) => {
            for at in (0..len).step_by(usize::try_from(WINDOW).unwrap_or(usize::MAX)) {
                let start = (like.start + at).min(like.end);
                let before = read("old", old, start..like.end.min(start + WINDOW))?;
                let after =
                    read("new", new, segment.new.start + at..segment.new.end.min(segment.new.start + at + WINDOW))?;
                made.append(compare(&before, start, &after)?);
            }
        }
        Source::Nothing => {
            for start in segment.new.clone().step_by(usize::try_from(WINDOW).unwrap_or(usize::MAX)) {
                made.put(&read("new", new, start..segment.new.end.min(start + WINDOW))?);
            }
        }
    }
    Ok(made)
}

fn compare(old: &[u8], start: u64, new: &[u8]) -> Result<Steps, MakeError> {
    let failed = |cause| MakeError::Compare { len: new.len(), with: old.len(), cause };
    steps::between(old, start, new).map_err(failed)
}

fn read(which: &'static str, file: &File, range: Range<u64>) -> Result<Vec<u8>, MakeError> {
    let (offset, len) = (range.start, range.end - range.start);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, offset).map_err(|cause| MakeError::Read { which, offset, len, cause })?;
    Ok(bytes)
}

/// Writes steps in sections.
struct Sections<W> {
    out: W,
    /// Where in the old bytes the last step ended.
    position: u64,
    steps: Vec<u8>,
    differences: Vec<u8>,
    bytes: Vec<u8>,
}

impl<W: Write> Sections<W> {
    fn new(out: W) -> Self {
        Self { out, position: 0, steps: Vec::new(), differences: Vec::new(), bytes: Vec::new() }
    }

    fn put(&mut self, made: &Steps) -> io::Result<()> {
        let (mut differences, mut bytes) = (made.differences.as_slice(), made.bytes.as_slice());
        for step in &made.steps {
            let mut left = *step;
            if left.add == 0 && left.put == 0 {
                self.step(left, &[], &[])?;
                continue;
            }
            while left.add > 0 || left.put > 0 {
                let add = left.add.min(STEP);
                // New bytes come after all differences of the section.
                let put = if add < left.add { 0 } else { left.put.min(STEP) };
                let (now, later) = differences.split_at(usize::try_from(add).unwrap_or(usize::MAX));
                let (new, rest) = bytes.split_at(usize::try_from(put).unwrap_or(usize::MAX));
                (differences, bytes) = (later, rest);
                let step = Step { add, put, ..left };
                self.step(step, now, new)?;
                left = Step { from: step.end(), copy: 0, add: left.add - add, put: left.put - put };
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step, differences: &[u8], bytes: &[u8]) -> io::Result<()> {
        let needed = step.copy + step.add > 0;
        let from = if needed { step.from } else { self.position };
        let (seek, back) = (from.abs_diff(self.position), from < self.position);
        // Zigzag: forward even, backward odd.
        let seek = if back { seek * 2 - 1 } else { seek * 2 };
        for number in [seek, step.copy, step.add, step.put] {
            leb128(&mut self.steps, number);
        }
        if needed {
            self.position = step.end();
        }
        self.differences.extend(differences);
        self.bytes.extend(bytes);
        if self.steps.len() + self.differences.len() + self.bytes.len() >= CLOSE { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> io::Result<()> {
        if self.steps.is_empty() {
            return Ok(());
        }
        for part in [&self.steps, &self.differences, &self.bytes] {
            let len = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.out.write_all(&len.to_le_bytes())?;
        }
        for part in [&mut self.steps, &mut self.differences, &mut self.bytes] {
            self.out.write_all(part)?;
            part.clear();
        }
        Ok(())
    }
}

fn leb128(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f).to_le_bytes()[0];
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}
