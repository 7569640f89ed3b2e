//! No two files of a crate import each other, not even by way of others: each can be read after those that it uses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const CRATES: [&str; 6] = ["contract", "file", "formats", "fetch", "builder", "qemu"];

/// A module's path in its crate.
type Module = Vec<String>;

/// The modules of a crate, with the text of each, without comments and tests.
fn modules(src: &Path) -> BTreeMap<Module, String> {
    let (mut folders, mut all) = (vec![src.to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let lines = text.lines().map(|line| line.split("//").next().unwrap());
                let inside = path.strip_prefix(src).unwrap().with_extension("");
                let mut module: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                module.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
                all.insert(module, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    all
}

/// The paths of a `use` tree: `a::{b, c::d}` → `a::b`, `a::c::d`.
fn paths(tree: &str, before: &[String], into: &mut Vec<Module>) {
    let (mut depth, mut start) = (0, 0);
    for (at, c) in tree.char_indices().chain([(tree.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = tree[start..at].trim();
                start = at + 1;
                let (head, rest) = part.split_once('{').unwrap_or((part, ""));
                let head = head.split(" as ").next().unwrap();
                let names = head.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
                let path: Module = before.iter().cloned().chain(names).collect();
                match rest.strip_suffix('}') {
                    Some(inner) => paths(inner, &path, into),
                    None if !part.is_empty() => into.push(path),
                    None => {}
                }
            }
            _ => {}
        }
    }
}

/// The paths that a module imports, those that it exports again, and those that it names in its text.
fn imports(text: &str) -> (Vec<Module>, Vec<Module>) {
    let (mut used, mut exported, mut rest) = (Vec::new(), Vec::new(), String::new());
    for statement in text.split_inclusive(';') {
        let line = statement.trim_start();
        let (is_public, line) = match line.strip_prefix("pub") {
            Some(more) => (true, more.trim_start_matches(|c: char| "(abcdefghijklmnopqrstuvwxyz)".contains(c))),
            None => (false, line),
        };
        match line.trim_start().strip_prefix("use ").filter(|_| !is_public || line.starts_with(' ')) {
            Some(tree) => paths(tree.trim_end_matches(';'), &[], if is_public { &mut exported } else { &mut used }),
            None => rest.push_str(statement),
        }
    }
    for start in ["crate::", "super::"] {
        for (at, _) in rest.match_indices(start) {
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let path = rest[at..].split(|c| !word(c)).next().unwrap();
            used.push(path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect());
        }
    }
    (used, exported)
}

/// The path from the crate's root.
fn absolute(module: &Module, path: &Module) -> Module {
    let ups = path.iter().take_while(|name| *name == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("self") => module.iter().chain(&path[1..]).cloned().collect(),
        _ => module[..module.len().saturating_sub(ups)].iter().chain(&path[ups..]).cloned().collect(),
    }
}

/// The module that has what `path` names: re-exports are followed.
fn home(
    path: &Module,
    all: &BTreeMap<Module, String>,
    exports: &BTreeMap<Module, BTreeMap<String, Module>>,
) -> Option<Module> {
    let mut path = path.clone();
    for _ in 0..5 {
        let length = (0..=path.len()).rev().find(|length| all.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let again = path.get(length).and_then(|name| exports.get(&module)?.get(name));
        match again {
            Some(elsewhere) if *elsewhere != path => path = elsewhere.clone(),
            _ => return Some(module),
        }
    }
    None
}

/// Module → modules that it uses.
fn graph(src: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let all = modules(src);
    let parsed: BTreeMap<_, _> = all.iter().map(|(module, text)| (module.clone(), imports(text))).collect();
    let exports = parsed
        .iter()
        .map(|(module, (_, exported))| {
            let names = exported.iter().filter_map(|path| Some((path.last()?.clone(), absolute(module, path))));
            (module.clone(), names.collect::<BTreeMap<_, _>>())
        })
        .collect();
    let edges = parsed.iter().map(|(module, (used, _))| {
        let own = |path: &Module| ["crate", "super", "self"].contains(&path[0].as_str());
        let child = |path: &Module| all.contains_key(&absolute(module, &path[..1].to_vec()));
        let homes = used.iter().filter(|path| own(path) || child(path));
        let homes = homes.filter_map(|path| home(&absolute(module, path), &all, &exports));
        (module.clone(), homes.filter(|home| home != module).collect())
    });
    edges.collect()
}

/// Removes files that use none of the others until only circles, and what uses them, are left.
fn circles(mut graph: BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let done: Vec<Module> =
            graph.iter().filter(|(_, uses)| uses.is_empty()).map(|(module, _)| module.clone()).collect();
        if done.is_empty() {
            return graph;
        }
        graph.retain(|module, _| !done.contains(module));
        graph.values_mut().for_each(|uses| uses.retain(|module| !done.contains(module)));
    }
}

#[test]
fn no_files_import_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in CRATES {
        let graph = graph(&root.join(name).join("src"));
        assert!(graph.values().any(|uses| !uses.is_empty()) || name == "contract", "{name}: no import is seen");
        let left = circles(graph);
        let shown: Vec<_> = left.iter().map(|(module, uses)| format!("{} uses {uses:?}", module.join("/"))).collect();
        assert!(left.is_empty(), "{name} has a circle:\n{}", shown.join("\n"));
    }
}

#[test]
fn a_circle_is_seen_through_a_re_export() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\npub use b::B;\n");
    write("a.rs", "// use crate::nothing;\nuse crate::{B, c::{self, C}};\n");
    write("b.rs", "use std::fmt;\npub struct B(crate::a::A);\n");
    write("c.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n");
    let left = circles(graph(dir.path()));
    assert_eq!(left.keys().map(|module| module.join("/")).collect::<Vec<_>>(), ["a", "b"]);
    write("b.rs", "use std::fmt;\n");
    assert!(circles(graph(dir.path())).is_empty());
}
