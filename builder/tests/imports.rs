//! The house's one-way streets: which crate may depend on which, and which room of the builder may import which.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Crate → crates of this workspace that it may depend on.
const CRATES: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("file", &[]),
    ("formats", &["contract"]),
    ("fetch", &["contract"]),
    ("engine", &["contract"]),
    ("control", &["contract"]),
    ("builder", &["contract", "file", "formats", "fetch", "qemu"]),
    ("init", &["contract", "file", "formats"]),
    ("workload", &["contract", "engine", "file"]),
    ("hostctl", &["contract", "control", "engine", "file", "formats", "fetch"]),
    ("qemu", &["contract", "control"]),
];

/// Room of the builder → rooms that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("date", &[]),
    ("scratch", &[]),
    ("tree", &[]),
    ("recipe", &[]),
    ("source", &["tree", "recipe", "scratch", "date"]),
    ("lock", &["source", "tree", "recipe", "scratch", "date"]),
    ("plan", &["lock", "source", "tree", "recipe"]),
    ("assemble", &["plan", "lock", "source", "tree", "recipe", "scratch"]),
    ("release", &["image", "assemble", "recipe", "report", "scratch", "date"]),
    ("image", &["plan", "lock", "source", "tree", "recipe", "assemble", "scratch"]),
    ("pipeline", &["release", "image", "assemble", "plan", "lock", "source", "tree", "recipe", "report", "date"]),
    ("report", &["recipe"]),
    (
        "cli",
        &[
            "pipeline", "release", "image", "assemble", "plan", "lock", "source", "tree", "recipe", "report",
            "scratch", "date",
        ],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn crates_depend_on_each_other_only_as_the_table_says() {
    for (krate, allowed) in CRATES {
        let manifest: toml::Table = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap().parse().unwrap();
        let inside: BTreeSet<_> = manifest["dependencies"]
            .as_table()
            .unwrap()
            .keys()
            .filter_map(|name| name.strip_prefix("berth-").or((name == "hostctl").then_some("hostctl")))
            .collect();
        for used in &inside {
            assert!(allowed.contains(used), "{krate} depends on {used}: not in the table of allowed edges");
        }
    }
}

#[test]
fn rooms_of_the_builder_import_only_downwards() {
    let src = root().join("builder/src");
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let room = inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if room == "lib" || room == "main" {
            continue;
        }
        let rooms = allowed.get(room.as_str()).unwrap_or_else(|| panic!("room {room} is not in the table"));
        for used in imports(&fs::read_to_string(&file).unwrap()) {
            let known = used == room || rooms.contains(&used.as_str());
            assert!(known || !allowed.contains_key(used.as_str()), "{}: {room} imports {used}", inside.display());
        }
        seen.insert(room);
    }
    assert_eq!(seen.len(), ROOMS.len(), "every room of the table exists: {seen:?}");
}

/// Names that follow `crate::` (also in `crate::{a, b}`).
fn imports(text: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => names.extend([word(rest)]),
            Some(list) => {
                let (mut depth, mut start) = (0, true);
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && depth == 0 && c.is_alphanumeric() => {
                            names.insert(word(&list[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

#[test]
fn nested_imports_are_seen() {
    let names = imports("use crate::{a::{b, c}, d,\n e::f}; crate::g::h()");
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "d", "e", "g"]);
}
