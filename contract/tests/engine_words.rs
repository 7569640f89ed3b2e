//! The names of engines stand in few files: what differs between engines is a row in `contract/src/engine.rs` and a client in
//! `engine/`, so that another engine touches no other code.
//!
//! The check reads `src/` of every crate, without comments and unit tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Found within longer words, in capital and in small letters.
const WORDS: [&str; 3] = ["docker", "containerd", "podman"];

/// The files that the words belong in.
const HOMES: [&str; 3] = ["contract/src/engine.rs", "engine/src/docker.rs", "engine/src/lib.rs"];

/// Other files that may hold them, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("contract/src/host_config.rs", "[docker] of host.toml is a contract with users"),
    ("init/src/config/apply.rs", "[docker] of host.toml"),
    ("init/src/config/docker.rs", "[docker] of host.toml: init writes docker's settings, and does not talk to docker"),
    ("init/src/config/error.rs", "what is wrong with those settings"),
    ("init/src/config/mod.rs", "the module of those settings"),
    ("qemu/src/pki.rs", "certificates for [docker.tls] of host.toml"),
    ("qemu/src/run.rs", "this machine's docker client, which is to reach the docker of the virtual machine"),
    ("builder/src/cli/run.rs", "environment variables of this machine's docker client"),
    ("builder/src/assemble/scripts/reviewed.rs", "names of Debian packages"),
    ("builder/src/source/oci/error.rs", "names of programs that write image archives"),
    ("builder/src/source/oci/reference.rs", "the default registry of image names"),
    ("builder/src/source/oci/schema.rs", "media types and annotations of images"),
];

/// Files with unit tests only.
const TESTS: [&str; 3] = ["_tests.rs", "/tests.rs", "/fixture.rs"];

/// Lines of code that hold one of the words: number and text.
fn lines_with_words(code: &str) -> Vec<(usize, &str)> {
    let product = code.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let code = product.map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default().trim()));
    code.filter(|(_, line)| WORDS.iter().any(|word| line.to_lowercase().contains(word))).collect()
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn names_of_engines_stay_in_their_homes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in fs::read_dir(root).unwrap() {
        let src = folder.unwrap().path().join("src");
        if src.is_dir() {
            rust_files(&src, &mut files);
        }
    }
    let (mut faults, mut holders) = (Vec::new(), BTreeSet::new());
    for file in files {
        let path = file.strip_prefix(root).unwrap().display().to_string();
        if TESTS.iter().any(|ending| path.ends_with(ending)) {
            continue;
        }
        for (number, line) in lines_with_words(&fs::read_to_string(&file).unwrap()) {
            holders.insert(path.clone());
            if !HOMES.contains(&&*path) && EXCEPTIONS.iter().all(|(exception, _)| *exception != path) {
                faults.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    assert!(faults.is_empty(), "these belong in {}:\n{}", HOMES.join(", "), faults.join("\n"));
    for file in HOMES.iter().chain(EXCEPTIONS.iter().map(|(file, _)| file)) {
        assert!(holders.contains(*file), "{file} names no engine: remove it from the list");
    }
}

#[test]
fn the_check_sees_code_and_neither_comments_nor_tests() {
    let code =
        "//! For docker.\nlet a = \"Dockerd\"; // and podman\nlet b = 1; // podman\n#[cfg(test)]\nmod tests { podman }";
    assert_eq!(lines_with_words(code), [(2, "let a = \"Dockerd\";")]);
}
