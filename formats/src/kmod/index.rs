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
    }
    files.alias.extend(aliases);
    files
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
