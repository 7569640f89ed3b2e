use super::{Modinfo, module_name, normalized};
use std::collections::{BTreeMap, BTreeSet};

/// First line of the `modules.alias` that we write. Its lines are sorted by their bytes, and `-` outside brackets is
/// written `_`.
const ALIAS_HEADER: &str = "# Aliases of modules, sorted.\n";

/// The texts of the index files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFiles {
    /// `modules.dep`.
    pub dep: String,
    /// `modules.alias`.
    pub alias: String,
    /// `modules.softdep`.
    pub softdep: String,
    /// `modules.devname`: device nodes that load their module when they are opened.
    pub devname: String,
    /// Modules (by path) that need another module (by name) which is not there. depmod only warns of these.
    pub missing: BTreeSet<(String, String)>,
}

/// Makes the index files of modules, which are given by their paths relative to `/usr/lib/modules/RELEASE`.
#[must_use]
pub fn index(modules: &BTreeMap<String, Modinfo>) -> IndexFiles {
    let paths: BTreeMap<String, &str> = modules.keys().map(|path| (module_name(path), path.as_str())).collect();
    let mut files = IndexFiles {
        dep: String::new(),
        alias: ALIAS_HEADER.to_owned(),
        softdep: "# Soft dependencies of modules.\n".to_owned(),
        devname: "# Device nodes that load their module when they are opened.\n".to_owned(),
        missing: BTreeSet::new(),
    };
    let mut aliases = BTreeSet::new();
    for (path, info) in modules {
        let mut needed = Vec::new();
        collect(path, modules, &paths, &mut needed, &mut files.missing);
        // The line lists all dependencies in reverse: the last one is loaded first. `needed` ends with the module itself.
        files.dep += &format!("{path}:");
        needed.iter().rev().skip(1).for_each(|path| files.dep += &format!(" {path}"));
        files.dep.push('\n');
        let name = module_name(path);
        aliases.extend(info.aliases.iter().map(|it| format!("alias {} {name}\n", normalized(it))));
        info.softdeps.iter().for_each(|softdep| files.softdep += &format!("softdep {name} {softdep}\n"));
        if let Some((node, number)) = device_node(&info.aliases) {
            files.devname += &format!("{name} {node} {number}\n");
        }
    }
    files.alias.extend(aliases);
    files
}

/// The device node that a module's aliases ask for: its name below /dev, and `cMAJOR:MINOR` or `bMAJOR:MINOR`. A module says
/// `devname:NAME` and `char-major-MAJOR-MINOR` or `block-major-MAJOR-MINOR`. As depmod does, a name without a number is passed over.
fn device_node(aliases: &[String]) -> Option<(&str, String)> {
    let name = aliases.iter().find_map(|alias| alias.strip_prefix("devname:"))?;
    let number = |(prefix, letter): (&str, char), alias: &String| {
        let (major, minor) = alias.strip_prefix(prefix)?.split_once('-')?;
        let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        Some(format!("{letter}{major}:{minor}"))
    };
    let kinds = [("char-major-", 'c'), ("block-major-", 'b')];
    let number = aliases.iter().find_map(|alias| kinds.into_iter().find_map(|kind| number(kind, alias)))?;
    Some((name, number))
}

/// Adds the modules that `path` needs and then `path` itself, each once. A cycle ends where it closes.
fn collect<'a>(
    path: &'a str,
    modules: &'a BTreeMap<String, Modinfo>,
    paths: &BTreeMap<String, &'a str>,
    needed: &mut Vec<&'a str>,
    missing: &mut BTreeSet<(String, String)>,
) {
    let mut open = vec![(path, 0)];
    while let Some((path, next)) = open.pop() {
        let Some(name) = modules.get(path).and_then(|info| info.depends.get(next)) else {
            needed.push(path);
            continue;
        };
        open.push((path, next + 1));
        match paths.get(&normalized(name)) {
            Some(&other) if needed.contains(&other) || open.iter().any(|&(it, _)| it == other) => {}
            Some(&other) => open.push((other, 0)),
            None => drop(missing.insert((path.to_owned(), name.clone()))),
        }
    }
}
