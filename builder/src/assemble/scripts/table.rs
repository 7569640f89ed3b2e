//! What people have read in scripts, and what it comes to.

use super::Effect;

/// An effect that a row declares.
#[derive(Clone, Copy, Debug)]
pub(super) enum Declared {
    /// A line of sysusers.d(5).
    Sysusers(&'static str),
    /// A line of tmpfiles.d(5).
    Tmpfiles(&'static str),
}

impl Declared {
    pub(super) fn effect(&self) -> Effect {
        match self {
            Self::Sysusers(line) => Effect::Sysusers((*line).to_owned()),
            Self::Tmpfiles(line) => Effect::Tmpfiles((*line).to_owned()),
        }
    }
}

/// A reviewed script.
#[derive(Debug)]
pub(super) struct Row {
    /// Package; `*` at the end stands for anything.
    pub(super) package: &'static str,
    /// `preinst` or `postinst`.
    pub(super) script: &'static str,
    /// Start of the digest of what was left of it when it was reviewed.
    pub(super) left: &'static str,
    /// What is done instead.
    pub(super) effects: &'static [Declared],
    /// Why that is enough.
    #[expect(dead_code, reason = "for people")]
    pub(super) why: &'static str,
}

/// The rows of a script.
pub(super) fn rows(package: &str, script: &str) -> Vec<&'static Row> {
    let matches = |row: &&Row| match row.package.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == row.package,
    };
    TABLE.iter().filter(|row| row.script == script).filter(matches).collect()
}

const TABLE: &[Row] = &[];
