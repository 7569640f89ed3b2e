//! Where two builds differ, in the words of the format that holds the byte.

mod disk;
mod erofs;
mod ext4;
mod fat;
mod gpt;
mod pair;
mod place;
mod qcow2;
mod text;
mod uki;
mod verity;
mod view;

use crate::plan::Outputs;
use pair::Pair;
use place::Place;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};
use view::View;

/// The first byte of an output that is not the same in both builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the output.
    pub output: String,
    /// Where in it.
    pub at: u64,
    /// What stands there in the first build and in the second; nothing behind a file's end.
    pub bytes: [Option<u8>; 2],
    /// Which structure that is.
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

/// What names a byte's place; nothing where the structure around it cannot be read.
type Locate = fn(&[View; 2], u64) -> Option<Place>;

/// The first difference of each output that two builds have in their folders `first` and `second`. What others are made
/// of comes first, so that the first difference is nearest to the cause.
///
/// A checksum is passed over where something else in the same output differs too: it only repeats that.
///
/// # Errors
/// When an output cannot be read.
pub fn between(first: &Path, second: &Path, outputs: &Outputs) -> Result<Vec<Difference>, CompareError> {
    let all: [(&str, Locate); 7] = [
        (&outputs.root, |views, at| erofs::place(&views[0], at)),
        (&outputs.verity, |views, at| verity::place(&views[0], at)),
        (&outputs.uki, |views, at| uki::place(&views[0], at)),
        (&outputs.raw, |views, at| disk::place(&views[0], at)),
        (&outputs.qcow2, |views, at| qcow2::place(&views[0], at)),
        (&outputs.manifest, text::place),
        (&outputs.checksums, text::place),
    ];
    let mut found = Vec::new();
    for (output, locate) in all {
        let failed = |path: PathBuf| move |source| CompareError { path, source };
        let pair = Pair::open(&first.join(output), &second.join(output))
            .map_err(|(path, source)| CompareError { path, source })?;
        let difference = one(&pair, locate).map_err(failed(first.join(output)))?;
        found.extend(difference.map(|(at, bytes, place)| Difference { output: output.to_owned(), at, bytes, place }));
    }
    Ok(found)
}

type Found = (u64, [Option<u8>; 2], String);

fn one(pair: &Pair, locate: Locate) -> io::Result<Option<Found>> {
    let (mut from, mut checksum) = (0, None);
    while let Some((at, bytes)) = pair.next(from)? {
        let ended = bytes.contains(&None);
        let place = if ended { None } else { locate(pair.views(), at) };
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
