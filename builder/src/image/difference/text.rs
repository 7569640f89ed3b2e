//! Names the place of a byte in a text: the line number, and the line in each build.

use berth_formats::{place::Place, range::Range};

/// The place of the byte `at`. The two texts must be equal before that byte.
pub(super) fn place(texts: &[Range<'_>; 2], at: u64) -> Option<Place> {
    let [first, second] = [texts[0].bytes(0, texts[0].len())?, texts[1].bytes(0, texts[1].len())?];
    let at = usize::try_from(at).ok()?;
    let before = first.get(..at)?;
    let number = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let line = |text: &[u8]| {
        let rest = text.get(start..).unwrap_or_default();
        String::from_utf8_lossy(rest.split(|byte| *byte == b'\n').next().unwrap_or_default()).trim().to_owned()
    };
    let end = start + first[start..].iter().position(|byte| *byte == b'\n').map_or(first.len() - start, |len| len + 1);
    Some(Place::new(format!("line {number}: `{}` and `{}`", line(&first), line(&second)), end as u64))
}
