//! Texts: the line, as each build has it.

use super::{place::Place, view::View};

/// Where the byte `at` of two texts lies that are the same up to there.
pub(super) fn place(views: &[View; 2], at: u64) -> Option<Place> {
    let [first, second] = [views[0].bytes(0, views[0].len)?, views[1].bytes(0, views[1].len)?];
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
