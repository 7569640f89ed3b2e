//! Maintainer scripts never run. Each one must be covered: the builder knows what the script would do at a first installation,
//! and either does the same from declarations, or the image does not need it.
//!
//! The builder walks through each script as a shell would at a first installation (`evaluate.rs`), with the files of all packages
//! and the default answers of debconf. Known commands give effects. The lines that are left must be exactly the lines that a
//! person has reviewed: a row of `reviewed.rs`. If a new version of the package changes these lines, the script is no longer
//! covered and the build fails.
//!
//! `config` scripts only ask questions and are not read. `prerm` and `postrm` are not read either, because no package is removed.
//! If a package declares an interest in a trigger, its postinst also runs when other packages ship certain files. So each
//! interest must be covered, too. Activating a trigger has no effect by itself.

mod account_command;
mod command;
mod condition;
mod debconf;
mod debhelper;
mod evaluate;
mod file_command;
mod here_document;
mod ignored;
mod line;
mod parse;
mod pattern;
mod reach;
mod reviewed;
mod system;
mod triggers;
mod variables;
mod words;

pub use debconf::answers;
pub use system::{FileKind, PackageFiles};

use crate::{
    assemble::{alternatives::Alternative, change::FileChange},
    tree::TreePath,
};
use evaluate::Walk;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use system::System;
use variables::Variables;

/// An effect that a script would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A line of sysusers.d(5).
    Sysusers(String),
    /// A line of tmpfiles.d(5).
    Tmpfiles(String),
    /// An `update-alternatives --install`.
    Alternative(Alternative),
    /// Files of other packages at the path `from` move to the path `to`.
    Divert { from: TreePath, to: TreePath },
    /// The diversion of the path ends.
    EndDiversion { from: TreePath },
    /// A change of a file.
    Change(FileChange),
}

/// The control members of a package that must be covered. Empty if the package does not have them.
#[derive(Clone, Copy, Debug)]
pub struct Scripts<'a> {
    pub preinst: &'a str,
    pub postinst: &'a str,
    pub triggers: &'a str,
    /// Question → the answer of debconf: see [`answers`].
    pub answers: &'a BTreeMap<String, String>,
}

/// A script that is not covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// `preinst`, `postinst` or `triggers`.
    pub script: &'static str,
    /// Line number and text of each line that is not covered.
    pub lines: Vec<(usize, String)>,
    /// Whether another version of the script was reviewed.
    pub changed: bool,
    /// SHA-256 of the lines, for a row of `reviewed.rs`. Empty for triggers.
    pub digest: String,
}

/// The known effects of the scripts of one package, and their unknown lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Covered {
    /// The known effects, in the order of the scripts. Also those of a script that is not covered completely.
    pub effects: Vec<Effect>,
    /// The scripts that are not covered.
    pub uncovered: Vec<Uncovered>,
    /// A task that each host must do itself, such as making its own keys.
    pub host_task: Option<&'static str>,
}

/// The effects of the scripts of `package`, and the scripts that are not covered. `files` are the files of all packages.
#[must_use]
pub fn cover(package: &str, scripts: Scripts<'_>, files: &PackageFiles) -> Covered {
    let mut all = Covered { host_task: reviewed::host_task(package), ..Covered::default() };
    let mut system = System::new(package, files, scripts.answers);
    all.add("preinst", "install", scripts.preinst, &mut system);
    system.unpacked = true;
    all.add("postinst", "configure", scripts.postinst, &mut system);
    let unknown = triggers::unknown(scripts.triggers, &system);
    if !unknown.is_empty() {
        let digest = String::new();
        all.uncovered.push(Uncovered { script: "triggers", lines: unknown, changed: false, digest });
    }
    all
}

impl Covered {
    fn add(&mut self, script: &'static str, action: &str, text: &str, system: &mut System<'_>) {
        if !text.is_empty() && !is_shell(text) {
            let what = format!("this is not a shell script; it has {} bytes", text.len());
            let digest = String::new();
            self.uncovered.push(Uncovered { script, lines: vec![(1, what)], changed: false, digest });
            return;
        }
        let package = system.package;
        let environment = [("DPKG_ROOT", ""), ("DPKG_MAINTSCRIPT_PACKAGE", package), ("DPKG_MAINTSCRIPT_NAME", script)];
        // The second argument, the version that was installed before, is empty.
        let variables = Variables::new(&[action, ""], &environment);
        let left = Walk::new(system, &mut self.effects, variables).left(debhelper::own_lines(text));
        if left.is_empty() {
            return;
        }
        let digest = digest(&left);
        let rows = reviewed::rows(package, script);
        match rows.iter().find(|row| digest.starts_with(row.left)) {
            Some(row) => {
                self.effects.extend(row.tmpfiles.iter().map(|line| Effect::Tmpfiles((*line).to_owned())));
            }
            None => self.uncovered.push(Uncovered {
                script,
                lines: left.into_iter().map(|line| (line.number, line.text)).collect(),
                changed: !rows.is_empty(),
                digest,
            }),
        }
    }
}

fn is_shell(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let mut words = first.trim_start_matches("#!").split_whitespace();
    first.starts_with("#!")
        && words.next().is_some_and(|shell| ["/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/sh"].contains(&shell))
}

/// SHA-256 of lines, without blanks and version numbers. Versions like `2.41` or `6.12.107+deb13-cloud-amd64` change with each
/// release, but the meaning of the line does not.
fn digest(lines: &[line::Line]) -> String {
    let mut hash = Sha256::new();
    for line in lines {
        let words: Vec<String> = line.text.split_whitespace().map(without_version).collect();
        hash.update(words.join(" "));
        hash.update("\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces each version number in `word` by `#`. A version number starts with digits, a dot and a digit, and ends before the
/// first character that a version cannot have.
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
