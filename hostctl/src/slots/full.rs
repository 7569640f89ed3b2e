//! The full download: the whole root file system as one stream, xz if the release has it, or zstd. The stream is too long for the memory,
//! so it is unpacked into the slot before its digest is known. The slot holds no version until both the digest and the root hash are right.

use super::{error::SlotError, remote::Meter, sink::Sink};
use berth_contract::release::MAX_WINDOW;
use liblzma::{bufread::XzDecoder, stream::Stream};
use std::io::{self, BufReader, Read};
use zstd::stream::read::Decoder;

/// Memory that liblzma needs beside the dictionary, in bytes.
const XZ_OWN: u64 = 1 << 20;

/// Unpacks the xz stream `target` into the slot.
pub(super) fn write_xz(target: &str, remote: &Meter<'_>, sink: &mut Sink<'_>) -> Result<(), SlotError> {
    let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
    let wire = BufReader::with_capacity(128 << 10, remote.open_whole(target)?);
    let stream = Stream::new_stream_decoder(MAX_WINDOW + XZ_OWN, 0).map_err(|error| broken(error.into()))?;
    let mut decoder = XzDecoder::new_stream(wire, stream);
    let unpacked = unpack(target, &mut decoder, sink);
    decoder.into_inner().into_inner().judge(unpacked)
}

/// Unpacks the zstd stream `target` into the slot.
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
    // Reading one byte more than expected detects an image that is too long.
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
