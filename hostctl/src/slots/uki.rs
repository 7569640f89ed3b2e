//! Makes the new unified kernel image from parts of the running one and from fetched parts.

use super::{
    error::{RemoteError, SlotError},
    remote::{Meter, Remote},
};
use berth_contract::{
    digest::Sha256,
    release::{MAX_UKI, UkiPart, UkiRecord},
};
use berth_formats::pe;
use sha2::Digest;
use std::{collections::BTreeSet, io::Read, ops::Range};

/// A new unified kernel image.
#[derive(Debug)]
pub struct Uki {
    /// The file. Its digest is the one in the record.
    pub bytes: Vec<u8>,
    /// Bytes that were fetched to make it.
    pub fetched: u64,
}

/// Bytes to fetch to make the image of `record`, given the running image.
#[must_use]
pub fn cost(record: &UkiRecord, running: &[u8]) -> u64 {
    let bounds = bounds(running);
    record
        .parts
        .iter()
        .filter(|part| find(running, &bounds, part.size, &part.sha256).is_none())
        .map(|part| part.size)
        .sum()
}

/// Makes the image of `record` from `running` and the target `target`. Missing parts are fetched with range requests. If the server does
/// not support them, the whole file is fetched.
///
/// # Errors
/// When the parts do not cover the image, the image is larger than [`MAX_UKI`], cannot be fetched, or has another digest than the record.
pub fn assemble(record: &UkiRecord, target: &str, running: &[u8], remote: &dyn Remote) -> Result<Uki, SlotError> {
    mend(record, target, Images { same: &[], other: running }, remote)
}

/// Images on this disk that may have parts of the wanted one.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// A damaged copy of the wanted image: its parts have the same offsets.
    pub same: &'a [u8],
    /// Another version's image: the parts may be anywhere between its sections.
    pub other: &'a [u8],
}

impl<'a> Images<'a> {
    /// The part in the damaged copy, if that part is right.
    fn part(self, part: &UkiPart) -> Option<&'a [u8]> {
        let start = usize::try_from(part.offset).ok()?;
        let content = self.same.get(start..start.checked_add(usize::try_from(part.size).ok()?)?)?;
        (Sha256(sha2::Sha256::digest(content).into()) == part.sha256).then_some(content)
    }
}

/// No remote: only the images on this disk.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl Remote for Nowhere {
    fn len(&self, _: &str) -> Option<u64> {
        None
    }

    fn sha256(&self, _: &str) -> Option<Sha256> {
        None
    }

    fn read_whole(&self, target: &str, _: u64) -> Result<Vec<u8>, RemoteError> {
        Err(RemoteError::Missing { target: target.to_owned() })
    }

    fn open(&self, target: &str, _: u64, _: Option<u64>) -> Result<Box<dyn Read + '_>, RemoteError> {
        Err(RemoteError::Missing { target: target.to_owned() })
    }
}

/// Like [`assemble`], but also with parts of a damaged copy of the image.
///
/// # Errors
/// See [`assemble`].
pub fn mend(record: &UkiRecord, target: &str, images: Images<'_>, remote: &dyn Remote) -> Result<Uki, SlotError> {
    let meter = Meter::new(remote);
    if record.size > MAX_UKI {
        let (wanted, found) = (format!("at most {MAX_UKI} bytes"), record.size.to_string());
        return Err(SlotError::Record { field: "uki.size", wanted, found });
    }
    let bytes = match parts(record, target, images, &meter) {
        // The whole file may be right even if a part is wrong.
        Err(SlotError::Remote(RemoteError::NoRanges { .. }) | SlotError::Digest { .. } | SlotError::Stream { .. }) => {
            meter.read_whole(target, MAX_UKI)?
        }
        other => other?,
    };
    check(target, "the file", &bytes, &record.sha256)?;
    Ok(Uki { bytes, fetched: meter.fetched() })
}

/// The size, digest and parts of an image, as in a release record.
#[must_use]
pub fn record_of(image: &[u8]) -> UkiRecord {
    let sha256 = |bytes: &[u8]| Sha256(sha2::Sha256::digest(bytes).into());
    let bounds: Vec<usize> = bounds(image).into_iter().collect();
    let parts = bounds.windows(2).filter_map(|bounds| {
        let content = image.get(bounds[0]..bounds[1])?;
        Some(UkiPart { offset: bounds[0] as u64, size: content.len() as u64, sha256: sha256(content) })
    });
    UkiRecord { size: image.len() as u64, sha256: sha256(image), parts: parts.collect() }
}

fn parts(record: &UkiRecord, target: &str, images: Images<'_>, meter: &Meter<'_>) -> Result<Vec<u8>, SlotError> {
    let bounds = bounds(images.other);
    let mut bytes = Vec::with_capacity(usize::try_from(record.size).unwrap_or(0));
    for part in &record.parts {
        let at = bytes.len() as u64;
        if part.offset != at || part.size > record.size - at {
            let found = format!("{} bytes at {}", part.size, part.offset);
            return Err(SlotError::Record { field: "uki.parts", wanted: format!("the bytes from {at} on"), found });
        }
        let found = images
            .part(part)
            .or_else(|| find(images.other, &bounds, part.size, &part.sha256).and_then(|range| images.other.get(range)));
        match found {
            Some(content) => bytes.extend_from_slice(content),
            None => {
                let broken = |cause| SlotError::Stream { target: target.to_owned(), cause };
                let mut wire = meter.open(target, part.offset, Some(part.size))?;
                let from = bytes.len();
                bytes.resize(from + usize::try_from(part.size).unwrap_or(0), 0);
                wire.read_exact(&mut bytes[from..]).map_err(broken)?;
                check(target, &format!("bytes from {from} on"), &bytes[from..], &part.sha256)?;
            }
        }
    }
    if bytes.len() as u64 != record.size {
        let (wanted, found) = (format!("{} bytes in all", record.size), bytes.len().to_string());
        return Err(SlotError::Record { field: "uki.parts", wanted, found });
    }
    Ok(bytes)
}

fn check(target: &str, part: &str, bytes: &[u8], wanted: &Sha256) -> Result<(), SlotError> {
    match Sha256(sha2::Sha256::digest(bytes).into()) {
        found if found == *wanted => Ok(()),
        found => Err(SlotError::Digest { target: target.to_owned(), part: part.to_owned(), wanted: *wanted, found }),
    }
}

/// The offsets at which sections and their contents begin and end. A file that is not a PE image has none but its own.
fn bounds(image: &[u8]) -> BTreeSet<usize> {
    let mut bounds = BTreeSet::from([0, image.len()]);
    for section in pe::sections(image).unwrap_or_default() {
        bounds.extend([section.raw.start, section.raw.end, section.raw.start + section.content(image).len()]);
    }
    bounds
}

/// The range between two bounds that has `size` bytes and this digest.
fn find(image: &[u8], bounds: &BTreeSet<usize>, size: u64, sha256: &Sha256) -> Option<Range<usize>> {
    let size = usize::try_from(size).ok()?;
    let ends_well = |start: &usize| start.checked_add(size).is_some_and(|end| bounds.contains(&end));
    let mut starts = bounds.iter().copied().filter(ends_well);
    let start = starts.find(|start| Sha256(sha2::Sha256::digest(&image[*start..start + size]).into()) == *sha256)?;
    Some(start..start + size)
}
