//! A folder of segments.

use super::Position;
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The name of a segment's file: the place of its first line, as `BOOT-LINE.log` in decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentName(pub Position);

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}-{:012}.log", self.0.boot, self.0.line)
    }
}

impl FromStr for SegmentName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (boot, line) = text.strip_suffix(".log").and_then(|name| name.split_once('-')).ok_or(())?;
        let name = Self(Position { boot: boot.parse().map_err(drop)?, line: line.parse().map_err(drop)? });
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

/// A segment in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    /// Place of the first line.
    pub first: Position,
    /// The file.
    pub path: PathBuf,
}

/// The segments of some folders, in the order of their lines. A folder that does not exist has none; other files are passed over.
///
/// # Errors
/// A folder cannot be read.
pub fn segments(folders: &[PathBuf]) -> io::Result<Vec<Segment>> {
    let mut all = Vec::new();
    for folder in folders {
        match list(folder, &mut all) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    all.sort();
    Ok(all)
}

fn list(folder: &Path, all: &mut Vec<Segment>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some(SegmentName(first)) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            all.push(Segment { first, path: entry.path() });
        }
    }
    Ok(())
}
