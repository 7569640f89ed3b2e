//! Where two builds differ. `show` of each format names the place of a byte in the words of the format's specification.

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

/// The first byte of an output that is not the same in both builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the output.
    pub output: String,
    /// Where in it.
    pub at: u64,
    /// The byte in the first build and in the second; `None` after a file's end.
    pub bytes: [Option<u8>; 2],
    /// The structure and field there.
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
    /// The file.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// Names the place of a byte. `None` if the structure around it cannot be read.
type Locate = Box<dyn Fn(&[Range<'_>; 2], u64) -> Option<Place>>;

/// The first difference of each output that two builds have in their folders `first` and `second`. An output comes before
/// the outputs that contain it, so that the first difference is nearest to the cause.
///
/// A checksum is passed over if another place of the same output differs, too: it differs because of that place.
///
/// # Errors
/// When an output cannot be read.
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
            let name = if ended { "one of them ends here" } else { "a structure that cannot be read" };
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
