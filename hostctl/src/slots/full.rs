//! The whole root file system as one stream: xz where the release has it, or zstd. It is too long to be held, hence unpacked
//! before its digest is known; what it makes is nobody's until both are right, the digest and the root hash.

use super::{error::SlotError, remote::Meter, sink::Sink};
use berth_contract::release::MAX_WINDOW;
use liblzma::{bufread::XzDecoder, stream::Stream};
use std::io::{self, BufReader, Read};
use zstd::stream::read::Decoder;

/// What liblzma takes beside the dictionary, in bytes.
const XZ_OWN: u64 = 1 << 20;

/// Unpacks `target`, an xz stream, into the slot.
pub(super) fn write_xz(target: &str, remote: &Meter<'_>, sink: &mut Sink<'_>) -> Result<(), SlotError> {
    let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
    let wire = BufReader::with_capacity(128 << 10, remote.open_whole(target)?);
    let stream = Stream::new_stream_decoder(MAX_WINDOW + XZ_OWN, 0).map_err(|error| broken(error.into()))?;
    let mut decoder = XzDecoder::new_stream(wire, stream);
    let unpacked = unpack(target, &mut decoder, sink);
    decoder.into_inner().into_inner().judge(unpacked)
}

/// Unpacks `target`, a zstd stream, into the slot.
pub(super) fn write_zstd(target: &str, remote: &Meter<'_>, sink: &mut Sink<'_>) -> Result<(), SlotError> {
    let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
    let wire = BufReader::with_capacity(128 << 10, remote.open_whole(target)?);
    let mut decoder = Decoder::with_buffer(wire).map_err(broken)?.single_frame();
    decoder.window_log_max(MAX_WINDOW.ilog2()).map_err(broken)?;
    let unpacked = unpack(target, &mut decoder, sink);
    decoder.finish().into_inner().judge(unpacked)
}

fn unpack(target: &str, decoder: &mut dyn Read, sink: &mut Sink<'_>) -> Result<(), SlotError> {
    let size = sink.size();
    let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
    // One byte more than there may be shows an image that is too long.
    let copied = io::copy(&mut decoder.take(size + 1), sink);
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
