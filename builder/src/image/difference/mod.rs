//! Finds the first differences between two builds. The module `show` of each format names the place of a byte with the field
//! names of the format's specification.

mod disk;
mod pair;
mod text;

use super::outputs::DISK_FORMATS;
use crate::plan::Outputs;
use berth_formats::{erofs, pe, place::Place, range::Range, verity};
use pair::Pair;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// The first byte of an output that differs between two builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the output.
    pub output: String,
    /// Offset in the output.
    pub at: u64,
    /// The byte in the first build and in the second. `None` after the end of the file.
    pub bytes: [Option<u8>; 2],
    /// The structure and field at this offset.
    pub place: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.bytes.map(|byte| byte.map_or("end".to_owned(), |byte| format!("{byte:#04x}")));
        write!(f, "{}: byte {} ({first}, {second}): {}", self.output, self.at, self.place)
    }
}

/// An output that cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct CompareError {
    path: PathBuf,
    source: io::Error,
}

/// Names the place of a byte. `None` if the structure around the byte cannot be read.
type Locate = Box<dyn Fn(&[Range<'_>; 2], u64) -> Option<Place>>;

/// The first difference of each output. `first` and `second` are the folders of the two builds. An output comes before the outputs
/// that contain it, so that the first difference is nearest to the cause.
///
/// A difference in a checksum is skipped if another byte of the same output differs, because that byte is the cause.
///
/// # Errors
/// If an output cannot be read.
pub fn between(first: &Path, second: &Path, outputs: &Outputs) -> Result<Vec<Difference>, CompareError> {
    let first_range =
        |place: fn(&Range<'_>, u64) -> Option<Place>| -> Locate { Box::new(move |ranges, at| place(&ranges[0], at)) };
    let mut all = vec![
        (outputs.root.clone(), first_range(erofs::show::place)),
        (outputs.verity.clone(), first_range(verity::show::place)),
        (outputs.uki.clone(), first_range(pe::show::place)),
        (outputs.raw.clone(), first_range(disk::place)),
    ];
    all.extend(DISK_FORMATS.iter().map(|format| (outputs.disk(format.extension), first_range(format.place))));
    all.push((outputs.manifest.clone(), Box::new(text::place)));
    all.push((outputs.checksums.clone(), Box::new(text::place)));
    let mut found = Vec::new();
    for (output, locate) in all {
        let failed = |path: PathBuf| move |source| CompareError { path, source };
        let pair = Pair::open(&first.join(&output), &second.join(&output))
            .map_err(|(path, source)| CompareError { path, source })?;
        let difference = one(&pair, &locate).map_err(failed(first.join(&output)))?;
        found.extend(difference.map(|(at, bytes, place)| Difference { output: output.clone(), at, bytes, place }));
    }
    Ok(found)
}

type Found = (u64, [Option<u8>; 2], String);

fn one(pair: &Pair, locate: &Locate) -> io::Result<Option<Found>> {
    let (mut from, mut checksum) = (0, None);
    while let Some((at, bytes)) = pair.next(from)? {
        let ended = bytes.contains(&None);
        let place = if ended { None } else { locate(&pair.ranges(), at) };
        let Some(place) = place else {
            let name = if ended { "one of the two files ends here" } else { "a structure that cannot be read" };
            return Ok(checksum.or(Some((at, bytes, name.to_owned()))));
        };
        if !place.is_checksum() {
            return Ok(Some((at, bytes, place.name)));
        }
        checksum.get_or_insert((at, bytes, place.name));
        from = place.end.max(at + 1);
    }
    Ok(checksum)
}
