//! The marks of the blocks of a new image. Marks of runs that a slot holds, at whatever position, are known from there; the others are
//! fetched.

use super::{content::each_digest, device::SlotDevices, disk::Slots, error::SlotError, remote::Meter};
use berth_contract::disk::BLOCK;
use berth_formats::delta::{
    index::Index,
    marks::{Mark, RUN_BLOCKS, Run, Window, requests},
};
use std::{io::Read, ops::Range};

/// The marks of an image of fewer than 2^31 blocks. `chunks` is the target that contains them.
pub(super) fn gather(index: &Index, chunks: &str, slots: &Slots, remote: &Meter<'_>) -> Result<Vec<Mark>, SlotError> {
    let blocks = index.image_len() / BLOCK;
    let mut known_marks = KnownMarks::new(index.runs(), blocks);
    known_marks.compare(&slots.running, blocks);
    // Without a hash tree the whole slot would have to be read, and read again for its blocks. Fetching the marks is cheaper.
    if slots.idle.content().is_ok_and(|content| content.is_some()) {
        known_marks.compare(&slots.idle, blocks);
    }
    let KnownMarks { known, mut marks, .. } = known_marks;
    for runs in requests(&known) {
        let blocks = index.blocks_of(&runs);
        let Range { start, end } = index.marks_of(&blocks);
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        let mut fetch = || -> Result<bool, SlotError> {
            let broken = |cause| SlotError::Stream { target: chunks.to_owned(), cause };
            remote.open(chunks, start, Some(end - start))?.read_exact(&mut bytes).map_err(broken)?;
            let marks = &mut marks[size(blocks.start)..size(blocks.end)];
            for (mark, bytes) in marks.iter_mut().zip(bytes.as_chunks().0) {
                *mark = Mark(*bytes);
            }
            Ok(index.runs()[runs.clone()].iter().zip(marks.chunks(RUN_BLOCKS)).all(|(run, marks)| run.is(marks)))
        };
        // Wrong marks are requested once more.
        if !fetch()? && !fetch()? {
            let wanted = format!("the digests of blocks {} to {}", blocks.start, blocks.end - 1);
            return Err(SlotError::Target { target: chunks.to_owned(), wanted, found: "others".to_owned() });
        }
    }
    Ok(marks)
}

/// The marks that are known so far.
struct KnownMarks<'a> {
    runs: &'a [Run],
    /// Numbers of the runs, sorted by key.
    order: Vec<usize>,
    known: Vec<bool>,
    marks: Vec<Mark>,
}

impl<'a> KnownMarks<'a> {
    fn new(runs: &'a [Run], blocks: u64) -> Self {
        let mut order: Vec<usize> = (0..runs.len()).collect();
        order.sort_by_key(|run| runs[*run].key);
        Self { runs, order, known: vec![false; runs.len()], marks: vec![Mark::default(); size(blocks)] }
    }

    /// Compares each sequence of blocks in a slot with the runs. Without a hash tree, `blocks` blocks are read.
    fn compare(&mut self, slot: &SlotDevices, blocks: u64) {
        let (mut window, mut next) = (Window::default(), 0);
        each_digest(slot, blocks, |position, digest| {
            // A sequence ends at a block that cannot be read.
            if position != next {
                window = Window::default();
            }
            next = position + 1;
            if let Some(key) = window.push(Mark::of(&digest.0)) {
                self.take(key, &mut window);
            }
        });
    }

    /// Notes the marks of the runs that equal the sequence in the window, whose key is `key`.
    fn take(&mut self, key: u32, window: &mut Window) {
        let first = self.order.partition_point(|run| self.runs[*run].key < key);
        let alike = self.order[first..].iter().take_while(|run| self.runs[**run].key == key);
        for run in alike {
            // Equal runs are all found together with the first one.
            if self.known[*run] || !self.runs[*run].is(window.marks()) {
                return;
            }
            let start = run * RUN_BLOCKS;
            self.marks[start..start + RUN_BLOCKS].copy_from_slice(window.marks());
            self.known[*run] = true;
        }
    }
}

fn size(blocks: u64) -> usize {
    usize::try_from(blocks).unwrap_or(usize::MAX)
}
