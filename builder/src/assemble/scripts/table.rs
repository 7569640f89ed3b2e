//! Scripts that people have read, and what does in their place what the image needs.

use super::reviewed::REVIEWED;

/// A reviewed script.
#[derive(Debug)]
pub(super) struct Row {
    /// Package; `*` at the end stands for anything.
    package: &'static str,
    /// `preinst` or `postinst`.
    script: &'static str,
    /// Start of the digest of what was left of it when it was reviewed.
    pub(super) left: &'static str,
    /// Lines of tmpfiles.d(5).
    pub(super) tmpfiles: &'static [&'static str],
}

/// A row; `why` is for people.
pub(super) const fn row(
    package: &'static str,
    script: &'static str,
    left: &'static str,
    why: &'static str,
    tmpfiles: &'static [&'static str],
) -> Row {
    assert!(!why.is_empty(), "somebody has to say why");
    Row { package, script, left, tmpfiles }
}

/// The rows of a script.
pub(super) fn rows(package: &str, script: &str) -> Vec<&'static Row> {
    let matches = |row: &&Row| match row.package.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == row.package,
    };
    REVIEWED.iter().filter(|row| row.script == script).filter(matches).collect()
}
