//! The whole root file system as one zstd stream.

use super::{error::SlotError, remote::Meter, sink::Sink};
use berth_contract::release::MAX_WINDOW;
use std::io::{self, BufReader, Read};
use zstd::stream::read::Decoder;

/// Unpacks `target` into the slot.
pub(super) fn write(target: &str, remote: &Meter<'_>, sink: &mut Sink<'_>) -> Result<(), SlotError> {
    let size = sink.size();
    let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
    let wire = BufReader::with_capacity(128 << 10, remote.open(target, 0, None)?);
    let mut decoder = Decoder::with_buffer(wire).map_err(broken)?.single_frame();
    decoder.window_log_max(MAX_WINDOW.ilog2()).map_err(broken)?;
    // One byte more than there may be shows an image that is too long.
    let copied = io::copy(&mut (&mut decoder).take(size + 1), sink);
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
