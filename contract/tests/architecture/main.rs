//! Checks the architecture of the workspace in its sources: crates depend on each other, and modules import each other, only as the tables
//! in `rules.rs` allow. No two files import each other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod circles;
mod code;
mod modules;
mod rules;

use modules::Uses;
use rules::{CRATES, MODULES, PID_1, Row, WITHOUT_CIRCLES};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of a crate's dependencies, without dev-dependencies.
fn dependencies(folder: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    assert!(!manifest.contains_key("target"), "{folder}: this check does not read dependencies of [target]");
    let tables = ["dependencies", "build-dependencies"].into_iter().filter_map(|name| manifest.get(name)?.as_table());
    tables.flat_map(toml::Table::keys).cloned().collect()
}

/// The top-level module that a file belongs to.
fn module_of(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str();
    Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned()
}

fn allowed(table: &[Row], name: &str) -> Option<&'static [&'static str]> {
    table.iter().find(|row| row.0 == name).map(|row| row.1)
}

#[test]
fn each_row_of_a_table_names_only_rows_above_it() {
    for table in MODULES.iter().map(|krate| krate.modules).chain([CRATES]) {
        let mut below = BTreeSet::new();
        for (name, uses) in table {
            for used in *uses {
                assert!(below.contains(used), "{name} may import {used}, but {used} is not above {name} in the table");
            }
            assert!(below.insert(name), "{name} is in the table twice");
        }
    }
}

#[test]
fn crates_depend_on_each_other_only_as_the_table_says() {
    let members: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    for member in members["workspace"]["members"].as_array().unwrap() {
        let folder = member.as_str().unwrap();
        let is_listed = allowed(CRATES, folder).is_some();
        assert!(is_listed || folder.starts_with("recipes/"), "{folder} is not in the table of crates");
    }
    for (folder, uses) in CRATES {
        for name in dependencies(folder) {
            let used = name.strip_prefix("berth-").unwrap_or(&name);
            let is_ours = allowed(CRATES, used).is_some();
            assert!(!is_ours || uses.contains(&used), "{folder} depends on {used}: not in the table of crates");
        }
    }
}

#[test]
fn pid_1_depends_only_on_listed_crates() {
    for name in dependencies("init") {
        assert!(PID_1.contains(&name.as_str()), "init depends on {name}: not in the list of crates for PID 1");
    }
}

#[test]
fn modules_import_only_as_the_tables_say() {
    let mut faults = String::new();
    for krate in MODULES {
        let folder = krate.folder;
        let uses = modules::uses(&root().join(folder).join("src"), krate.library);
        let mut seen = BTreeSet::new();
        for (file, used) in &uses {
            let module = module_of(file);
            // The root files of a crate may use all modules.
            if ["lib", "main", "bin"].contains(&module.as_str()) {
                continue;
            }
            for (other, name) in used {
                let target = module_of(other);
                let is_allowed = allowed(krate.modules, &module).is_some_and(|row| row.contains(&target.as_str()));
                if target != module && !is_allowed {
                    let file = file.display();
                    faults.push_str(&format!("{folder}/src/{file} uses {target} ({name}): not in the table\n"));
                }
            }
            seen.insert(module);
        }
        let listed: BTreeSet<String> = krate.modules.iter().map(|row| row.0.to_owned()).collect();
        for module in seen.symmetric_difference(&listed) {
            faults.push_str(&format!("{folder}: module {module} is only in the table or only in src\n"));
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn no_two_files_import_each_other() {
    let mut found = String::new();
    for (folder, library) in WITHOUT_CIRCLES {
        let uses = modules::uses(&root().join(folder).join("src"), library);
        for circle in circles::circles(&uses) {
            found.push_str(&format!("{folder}/src:\n{}", circles::describe(&uses, &circle)));
        }
    }
    assert!(found.is_empty(), "files that import each other, directly or through others:\n{found}");
}

/// Writes a crate with these files. Returns its uses, and the same as lines: `file: used-file(name) ...`.
fn uses_of(files: &[(&str, &str)]) -> (Uses, Vec<String>) {
    let dir =
        std::env::temp_dir().join(format!("architecture-{}-{:?}", std::process::id(), std::thread::current().id()));
    for (name, text) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let uses = modules::uses(&dir, "this");
    fs::remove_dir_all(&dir).unwrap();
    let line = |(file, used): (&PathBuf, &BTreeMap<PathBuf, String>)| {
        let used: Vec<String> = used.iter().map(|(other, name)| format!("{}({name})", other.display())).collect();
        (!used.is_empty()).then(|| format!("{}: {}", file.display(), used.join(" ")))
    };
    let lines = uses.iter().filter_map(line).collect();
    (uses, lines)
}

#[test]
fn imports_in_every_form_are_found() {
    let (_, lines) = uses_of(&[
        ("lib.rs", "pub mod a; mod b; mod c; mod d; pub use d::deep::Thing;"),
        ("main.rs", "fn main() { this::a::run() }"),
        ("a.rs", "use crate::{b::{self, One}, d::{deep::{Other as Another}},}; pub fn run() { b::two() }"),
        ("b.rs", "pub struct One; pub fn two() { super::c::three(\"crate::a::run()\") } // crate::a::run()"),
        ("c.rs", "pub fn three(_: &str) { let _: crate::Thing; } #[cfg(test)] mod tests { use crate::a; }"),
        ("d/mod.rs", "pub mod deep; mod beside; pub use beside::*; pub(crate) use super::b as other;"),
        ("d/deep.rs", "pub struct Thing; pub enum Other {} mod inner { fn f() { super::super::shown() } }"),
        ("d/beside.rs", "pub fn shown() { super::other::two(); std::fs::sync() }"),
    ]);
    assert_eq!(
        lines,
        [
            "a.rs: b.rs(crate::b::One) d/deep.rs(crate::d::deep::Other)",
            "b.rs: c.rs(super::c::three)",
            "c.rs: d/deep.rs(crate::Thing)",
            "d/beside.rs: b.rs(super::other::two)",
            "d/deep.rs: d/beside.rs(super::super::shown)",
            "main.rs: a.rs(this::a::run)",
        ]
    );
}

#[test]
fn circles_are_found_through_other_files_and_re_exports() {
    let (uses, _) = uses_of(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a/mod.rs", "mod one; pub use one::One;"),
        ("a/one.rs", "use crate::b::Two; pub struct One(Two);"),
        ("b.rs", "pub struct Two(crate::c::Three);"),
        ("c.rs", "use super::a; pub struct Three(Box<a::One>);"),
        ("d.rs", "use crate::a::One; struct Four(One);"),
    ]);
    let found = circles::circles(&uses);
    let expected = ["a/one.rs", "b.rs", "c.rs"].map(PathBuf::from).into();
    assert_eq!(found, [expected]);
    assert!(circles::describe(&uses, &found[0]).contains("c.rs uses a/one.rs (a::One)"));
}
