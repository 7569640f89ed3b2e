//! The static delta: the new root file system and the new unified kernel image out of those that run.

use super::{device::Device, error::SlotError, remote::Meter, sink::Sink};
use berth_contract::{digest::Sha256, release::UkiRecord};
use berth_formats::delta::patch::{ApplyError, Delta};
use sha2::Digest;
use std::io::{self, BufRead, BufReader};

/// Unified kernel images larger than this, old and new together, are not made by a delta: both are in memory with it.
pub(super) const MAX_UKIS: u64 = 32 << 20;

/// Deltas up to this many bytes are fetched whole, and compared with what was signed before they are unpacked.
const WHOLE: u64 = 8 << 20;

/// The unified kernel image that runs, and what is to become of it.
pub(super) struct Kernel<'a> {
    pub(super) running: &'a [u8],
    pub(super) record: &'a UkiRecord,
}

impl Kernel<'_> {
    /// Whether both are small enough.
    pub(super) fn fits(&self) -> bool {
        (self.running.len() as u64).saturating_add(self.record.size) <= MAX_UKIS
    }
}

/// Applies `target` to the running root file system, and to the running kernel image where there is one. The new kernel
/// image comes back if it is the one that was signed.
pub(super) fn write(
    target: &str,
    running: &Device,
    kernel: Option<&Kernel<'_>>,
    remote: &Meter<'_>,
    sink: &mut Sink<'_>,
) -> Result<Option<Vec<u8>>, SlotError> {
    if remote.len(target)? <= WHOLE {
        return apply(target, &remote.read_whole(target, WHOLE)?[..], running, kernel, sink);
    }
    let mut wire = remote.open_whole(target)?;
    let made = apply(target, BufReader::with_capacity(128 << 10, &mut wire), running, kernel, sink);
    wire.judge(made)
}

fn apply(
    target: &str,
    wire: impl BufRead,
    running: &Device,
    kernel: Option<&Kernel<'_>>,
    sink: &mut Sink<'_>,
) -> Result<Option<Vec<u8>>, SlotError> {
    let broken = |error: ApplyError, sink: &mut Sink<'_>| {
        sink.fault(io::Error::other(error), |cause| SlotError::Stream { target: target.to_owned(), cause })
    };
    let delta = Delta::open(wire).map_err(|error| broken(error, sink))?;
    let size = sink.size();
    if delta.lengths().new_root != size {
        return Err(SlotError::Target {
            target: target.to_owned(),
            wanted: format!("a delta to an image of {size} bytes"),
            found: format!("one to {}", delta.lengths().new_root),
        });
    }
    let made = delta.lengths().new_uki;
    let rest = delta.root(&running.file, sink).map_err(|error| broken(error, sink))?;
    let Some(Kernel { running, record }) = kernel.filter(|kernel| kernel.record.size == made) else { return Ok(None) };
    let mut uki = Vec::with_capacity(usize::try_from(made).unwrap_or(0));
    // Without it there are the parts.
    let right = rest.uki(*running, &mut uki).is_ok() && Sha256(sha2::Sha256::digest(&uki).into()) == record.sha256;
    Ok(right.then_some(uki))
}
