//! The full download: the whole root file system as one stream, xz if the release has it, or zstd. The stream is too long for the memory,
//! so it is unpacked into the slot, by another
//! process, before its digest is known. The slot holds no version until both the digest and the root hash are right.

use super::{error::SlotError, remote::Meter, sink::Sink};
use crate::decoder::{Decoder, Packing, Unpacking};
use std::io::{self, Read};

/// Unpacks the stream `target` into the slot.
pub(super) fn write(
    target: &str,
    packing: Packing,
    decoder: Decoder<'_>,
    remote: &Meter<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), SlotError> {
    let mut wire = remote.open_whole(target)?;
    let started = Unpacking::start(decoder, packing, &mut wire).map_err(|cause| SlotError::Decoder { cause });
    let unpacked = started.and_then(|mut unpacking| unpack(target, &mut unpacking, sink));
    wire.judge(unpacked)
}

fn unpack(target: &str, unpacked: &mut dyn Read, sink: &mut Sink<'_>) -> Result<(), SlotError> {
    let size = sink.size();
    let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
    // Reading one byte more than expected detects an image that is too long.
    let copied = io::copy(&mut unpacked.take(size + 1), sink);
    copied.map_err(|error| sink.fault(error, broken))?;
    match sink.position() {
        found if found == size => Ok(()),
        found => Err(SlotError::Target {
            target: target.to_owned(),
            wanted: format!("an image of {size} bytes"),
            found: format!("{found} bytes"),
        }),
    }
}
