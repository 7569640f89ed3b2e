//! The effects of the maintainer scripts of all packages.

use super::{
    alternatives::Alternative,
    change::Changes,
    declaration::{self, Declaration},
    error::{AssembleError, DiversionClash, UncoveredScript},
    index::EntryKind,
    packages::{Diversions, ORIGIN},
    scripts::{self, Effect, FileKind, PackageFiles, Scripts},
    unpack::{PackageInput, Unpacked},
};
use crate::{
    recipe::{Located, ScriptRule},
    tree::{Show, TreePath},
};
use std::collections::BTreeMap;

/// The effects of all maintainer scripts.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) sysusers: Vec<Declaration>,
    pub(super) tmpfiles: Vec<Declaration>,
    pub(super) alternatives: Vec<Alternative>,
    pub(super) diversions: Diversions,
    pub(super) changes: Changes,
    /// Scripts that the recipe ignores, with the lines that have no effect in the image.
    pub(super) ignored: Vec<UncoveredScript>,
}

/// The effects of the scripts of `packages`. `rules` is `[scripts]` of the recipe. If a rule ignores a script, its known effects
/// are made all the same, and a warning shows the lines that have no effect.
///
/// # Errors
/// All scripts that are neither covered nor ignored.
pub(super) fn of(
    packages: &[(&PackageInput, Unpacked)],
    rules: &BTreeMap<String, Located<ScriptRule>>,
    warnings: &mut Vec<String>,
) -> Result<Effects, AssembleError> {
    let (mut all, mut missing, files) = (Effects::default(), Vec::new(), files(packages));
    for (package, Unpacked { index, .. }) in packages {
        let scripts = Scripts {
            preinst: &index.preinst,
            postinst: &index.postinst,
            triggers: &index.triggers,
            answers: &index.answers,
        };
        let covered = scripts::cover(&package.name, scripts, &files);
        all.add(&package.name, covered.effects)?;
        warnings.extend(covered.host_task.map(|task| format!("package {}: {task}", package.name)));
        let (name, version) = (&package.name, &package.version);
        let named = |uncovered| UncoveredScript { package: name.clone(), version: version.clone(), uncovered };
        let uncovered: Vec<UncoveredScript> = covered.uncovered.into_iter().map(named).collect();
        match rules.get(name) {
            None => missing.extend(uncovered),
            Some(Located { place, value: ScriptRule::Ignore }) if uncovered.is_empty() => warnings.push(format!(
                "{place}: scripts.{name}: this entry is not needed, all scripts of the package are covered"
            )),
            Some(Located { place, value: ScriptRule::Ignore }) => {
                let lost = |script: &UncoveredScript| format!("{place}: scripts.{name}: {}", script.lost());
                warnings.extend(uncovered.iter().map(lost));
                all.ignored.extend(uncovered);
            }
        }
    }
    let here = |name: &String| packages.iter().any(|(package, _)| package.name == *name);
    for (name, rule) in rules.iter().filter(|(name, _)| !here(name)) {
        warnings.push(format!("{}: scripts.{name}: that package is not in the image", rule.place));
    }
    if missing.is_empty() { Ok(all) } else { Err(AssembleError::Scripts(missing)) }
}

fn files(packages: &[(&PackageInput, Unpacked)]) -> PackageFiles {
    let mut files = PackageFiles::default();
    for (package, Unpacked { index, .. }) in packages {
        let kind = |kind: &EntryKind| match kind {
            EntryKind::Dir => FileKind::Directory,
            EntryKind::File(..) | EntryKind::HardLink(_) => FileKind::File,
            EntryKind::Symlink(_) => FileKind::Link,
            EntryKind::CharDevice(..) | EntryKind::BlockDevice(..) | EntryKind::Fifo => FileKind::Special,
        };
        let entries = index.entries.iter().filter(|entry| !entry.path.is_empty());
        files.add(&package.name, entries.map(|entry| (entry.path.as_str(), kind(&entry.kind))));
    }
    files
}

impl Effects {
    fn add(&mut self, package: &str, effects: Vec<Effect>) -> Result<(), AssembleError> {
        let place = format!("{ORIGIN}{package}");
        let mut changes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Sysusers(line) => self.sysusers.extend(declaration::lines(&place, &line)),
                Effect::Tmpfiles(line) => self.tmpfiles.extend(declaration::lines(&place, &line)),
                Effect::Alternative(alternative) => self.alternatives.push(alternative),
                Effect::Divert { from, to } => self.divert(package, from, to)?,
                // dpkg-divert refuses to remove a diversion of another package.
                Effect::EndDiversion { from }
                    if self.diversions.get(&from).is_some_and(|(owner, _)| owner == package) =>
                {
                    self.diversions.remove(&from);
                }
                Effect::EndDiversion { .. } => {}
                Effect::Change(change) => changes.push(change),
            }
        }
        if !changes.is_empty() {
            self.changes.push((package.to_owned(), changes));
        }
        Ok(())
    }

    /// Adds a diversion. As with dpkg-divert, none of its two paths may be one of another diversion.
    fn divert(&mut self, package: &str, from: TreePath, to: TreePath) -> Result<(), AssembleError> {
        let clash = self.diversions.iter().find(|(other_from, (other, other_to))| {
            let is_same = (*other_from, other_to, other.as_str()) == (&from, &to, package);
            !is_same && [&from, &to].iter().any(|path| *path == *other_from || *path == other_to)
        });
        let Some((other_from, (other, other_to))) = clash else {
            self.diversions.insert(from, (package.to_owned(), to));
            return Ok(());
        };
        let shown = |path: &TreePath| Show(path).to_string();
        Err(AssembleError::Diversion(Box::new(DiversionClash {
            package: package.to_owned(),
            from: shown(&from),
            to: shown(&to),
            other: other.clone(),
            other_from: shown(other_from),
            other_to: shown(other_to),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_package_of_a_diversion_removes_it() {
        let (from, to) = (b"usr/bin/x".to_vec(), b"usr/bin/x.old".to_vec());
        let end = || vec![Effect::EndDiversion { from: from.clone() }];
        let mut all = Effects::default();
        all.add("a", vec![Effect::Divert { from: from.clone(), to }]).unwrap();
        all.add("b", end()).unwrap();
        assert_eq!(all.diversions.len(), 1);
        all.add("a", end()).unwrap();
        assert!(all.diversions.is_empty());
    }

    /// dpkg-divert judges each second diversion.
    #[test]
    fn diversions_that_contradict_each_other_are_refused() {
        berth_judge::needs!("dpkg-divert");
        for (package, from, to) in [
            ("a", "x", "x.a"),
            ("b", "x", "x.a"),
            ("b", "x", "x.b"),
            ("a", "x", "x.b"),
            ("b", "x.a", "x.b"),
            ("b", "y", "x"),
            ("b", "y", "x.a"),
            ("b", "y", "y.b"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let dpkg = |package: &str, from: &str, to: &str| {
                let mut command = std::process::Command::new("dpkg-divert");
                command.arg("--admindir").arg(dir.path()).arg("--instdir").arg(dir.path());
                command.args(["--no-rename", "--package", package, "--divert", &format!("/{to}"), &format!("/{from}")]);
                command.output().unwrap().status.success()
            };
            let mut all = Effects::default();
            let mut ours = |package: &str, from: &str, to: &str| {
                all.add(package, vec![Effect::Divert { from: from.into(), to: to.into() }])
            };
            assert!(ours("a", "x", "x.a").is_ok() && dpkg("a", "x", "x.a"));
            let found = ours(package, from, to);
            assert_eq!(found.is_ok(), dpkg(package, from, to), "{package} {from} {to}: {found:?}");
            if let Err(error) = found {
                let wanted =
                    format!("package {package}: its scripts divert /{from} to /{to}, but package a diverts /x to /x.a");
                assert_eq!(error.to_string(), wanted);
            }
        }
    }
}
