//! Maintainer scripts never run. Each one must be covered: what it would do at a first installation is known and done
//! otherwise, or not needed.
//!
//! A script is read as far as that takes little: branches of upgrades go, blocks of debhelper go, commands with a known effect
//! go. What is left must be, word for word, what somebody has reviewed: a row of [`table`]. A script that changes is
//! therefore not covered any more, and the build says so.
//!
//! `config` scripts ask questions and are passed over; `prerm` and `postrm` never matter, as nothing is removed. A trigger
//! that a package declares an interest in runs its postinst when other packages bring files: such interests are covered one
//! by one, too. Activating a trigger does nothing by itself.

mod command;
mod condition;
mod debhelper;
mod fold;
mod line;
mod parse;
mod reviewed;
mod triggers;

use crate::{assemble::alternatives::Alternative, tree::TreePath};
use condition::Call;
use sha2::{Digest, Sha256};

/// What a script would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line of sysusers.d(5).
    Sysusers(String),
    /// A line of tmpfiles.d(5).
    Tmpfiles(String),
    /// A choice for a name.
    Alternative(Alternative),
    /// Files of other packages at a path are put elsewhere.
    Divert {
        /// The path.
        from: TreePath,
        /// Where they go.
        to: TreePath,
    },
}

/// The control members of a package that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scripts<'a> {
    /// `preinst`.
    pub preinst: &'a str,
    /// `postinst`.
    pub postinst: &'a str,
    /// `triggers`.
    pub triggers: &'a str,
}

/// A script that nobody vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// `preinst`, `postinst` or `triggers`.
    pub script: &'static str,
    /// Line number and text of what is not covered.
    pub lines: Vec<(usize, String)>,
    /// Whether another version of it was reviewed.
    pub changed: bool,
    /// SHA-256 of what is left, as [`table`] has it; empty for triggers.
    pub digest: String,
}

/// What the scripts of `package` would have done.
///
/// # Errors
/// The first script that is not covered.
pub fn cover(package: &str, scripts: Scripts<'_>) -> Result<Vec<Effect>, Uncovered> {
    let mut effects = Vec::new();
    for (script, action, text) in [("preinst", "install", scripts.preinst), ("postinst", "configure", scripts.postinst)]
    {
        effects.extend(one(package, script, Call { action }, text)?);
    }
    let unknown = triggers::unknown(scripts.triggers);
    if unknown.is_empty() {
        return Ok(effects);
    }
    Err(Uncovered { script: "triggers", lines: unknown, changed: false, digest: String::new() })
}

fn one(package: &str, script: &'static str, call: Call, text: &str) -> Result<Vec<Effect>, Uncovered> {
    if !text.is_empty() && !is_shell(text) {
        let what = format!("this is no shell script; it has {} bytes", text.len());
        return Err(Uncovered { script, lines: vec![(1, what)], changed: false, digest: String::new() });
    }
    let mut effects = Vec::new();
    let left =
        fold::fold(debhelper::own_lines(text), call, &mut |line, certain| match command::effect(line, certain) {
            Some(found) => {
                effects.extend(found);
                true
            }
            None => false,
        });
    if left.is_empty() {
        return Ok(effects);
    }
    let digest = digest(&left);
    let rows = reviewed::rows(package, script);
    match rows.iter().find(|row| digest.starts_with(row.left)) {
        Some(row) => {
            effects.extend(row.tmpfiles.iter().map(|line| Effect::Tmpfiles((*line).to_owned())));
            Ok(effects)
        }
        None => Err(Uncovered {
            script,
            lines: left.into_iter().map(|line| (line.number, line.text)).collect(),
            changed: !rows.is_empty(),
            digest,
        }),
    }
}

fn is_shell(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let mut words = first.trim_start_matches("#!").split_whitespace();
    first.starts_with("#!")
        && words.next().is_some_and(|shell| ["/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/sh"].contains(&shell))
}

/// SHA-256 of lines, blanks and versions aside: `2.41`, `6.12.107+deb13-cloud-amd64` and the like change without a change of
/// meaning.
fn digest(lines: &[line::Line]) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        let words: Vec<String> = line.text.split_whitespace().map(without_version).collect();
        hash.update(words.join(" "));
        hash.update("\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `word` with everything from a digit that is followed by digits, a dot and a digit replaced, up to what cannot be in a version.
fn without_version(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let digits = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let mut next = from[digits..].chars();
        out.push_str(before);
        if next.next() == Some('.') && next.next().is_some_and(|c| c.is_ascii_digit()) {
            out.push('#');
            let end = from.find(|c: char| !(c.is_ascii_alphanumeric() || ".+~:-_".contains(c))).unwrap_or(from.len());
            rest = &from[end..];
        } else {
            out.push_str(&from[..digits]);
            rest = &from[digits..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests;
