//! The effects of the maintainer scripts of all packages.

use super::{
    alternatives::Alternative,
    change::Changes,
    declaration::{self, Declaration},
    error::{AssembleError, UncoveredScript},
    index::EntryKind,
    packages::{Diversions, ORIGIN},
    scripts::{self, Effect, FileKind, PackageFiles, Scripts},
    unpack::{PackageInput, Unpacked},
};
use crate::recipe::{Located, ScriptRule};
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
        all.add(&package.name, covered.effects);
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
    fn add(&mut self, package: &str, effects: Vec<Effect>) {
        let place = format!("{ORIGIN}{package}");
        let mut changes = Vec::new();
        for effect in effects {
            match effect {
                Effect::Sysusers(line) => self.sysusers.extend(declaration::lines(&place, &line)),
                Effect::Tmpfiles(line) => self.tmpfiles.extend(declaration::lines(&place, &line)),
                Effect::Alternative(alternative) => self.alternatives.push(alternative),
                Effect::Divert { from, to } => _ = self.diversions.insert(from, (package.to_owned(), to)),
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
        all.add("a", vec![Effect::Divert { from: from.clone(), to }]);
        all.add("b", end());
        assert_eq!(all.diversions.len(), 1);
        all.add("a", end());
        assert!(all.diversions.is_empty());
    }
}
