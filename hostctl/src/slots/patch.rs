//! The static delta: makes the new root file system and the new kernel image from the running ones.

use super::{device::Device, error::SlotError, remote::Meter, sink::Sink};
use crate::decoder::{Decoder, Packing, Unpacking};
use berth_contract::{digest::Sha256, release::UkiRecord};
use berth_formats::delta::patch::{ApplyError, Delta, Lengths};
use sha2::Digest;
use std::io::{self, Read};

/// The static delta makes no kernel image if the old and the new one together are larger than this, in bytes: both are in memory.
pub(super) const MAX_UKIS: u64 = 32 << 20;

/// Deltas up to this many bytes are fetched as a whole, and their digest is checked before they are unpacked.
const WHOLE: u64 = 8 << 20;

/// The running kernel image, and the record of the one to make from it.
pub(super) struct UkiPatch<'a> {
    pub(super) running: &'a [u8],
    pub(super) record: &'a UkiRecord,
}

impl UkiPatch<'_> {
    /// Whether both images are small enough for the memory.
    pub(super) fn fits(&self) -> bool {
        (self.running.len() as u64).saturating_add(self.record.size) <= MAX_UKIS
    }
}

/// Applies the delta `target` to the running root file system, and to the running kernel image if `uki` is given. Returns the new kernel
/// image if its digest is the signed one.
pub(super) fn write(
    target: &str,
    running: &Device,
    uki: Option<&UkiPatch<'_>>,
    (decoder, remote): (Decoder<'_>, &Meter<'_>),
    sink: &mut Sink<'_>,
) -> Result<Option<Vec<u8>>, SlotError> {
    if remote.len(target)? <= WHOLE {
        return apply(target, (decoder, &remote.read_whole(target, WHOLE)?[..]), running, uki, sink);
    }
    let mut wire = remote.open_whole(target)?;
    let made = apply(target, (decoder, &mut wire), running, uki, sink);
    wire.judge(made)
}

fn apply(
    target: &str,
    (decoder, mut wire): (Decoder<'_>, impl Read),
    running: &Device,
    uki: Option<&UkiPatch<'_>>,
    sink: &mut Sink<'_>,
) -> Result<Option<Vec<u8>>, SlotError> {
    let broken = |error: ApplyError, sink: &mut Sink<'_>| {
        sink.fault(io::Error::other(error), |cause| SlotError::Stream { target: target.to_owned(), cause })
    };
    let lengths = Lengths::read(&mut wire).map_err(|error| broken(error, sink))?;
    let size = sink.size();
    if lengths.new_root != size {
        return Err(SlotError::Target {
            target: target.to_owned(),
            wanted: format!("a delta to an image of {size} bytes"),
            found: format!("a delta to {} bytes", lengths.new_root),
        });
    }
    let unpacking = Unpacking::start(decoder, Packing::Xz, wire).map_err(|cause| SlotError::Decoder { cause })?;
    let made = lengths.new_uki;
    let rest = Delta::of_unpacked(lengths, unpacking).root(&running.file, sink).map_err(|error| broken(error, sink))?;
    let Some(UkiPatch { running, record }) = uki.filter(|uki| uki.record.size == made) else { return Ok(None) };
    let mut bytes = Vec::with_capacity(usize::try_from(made).unwrap_or(0));
    // If this fails, the kernel image is made from parts.
    let right = rest.uki(*running, &mut bytes).is_ok() && Sha256(sha2::Sha256::digest(&bytes).into()) == record.sha256;
    Ok(right.then_some(bytes))
}
