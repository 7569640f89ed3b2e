//! Only a few files may name an architecture or an engine. The differences between architectures are rows in `contract/src/arch.rs`. The
//! differences between engines are rows in `contract/src/engine.rs` and clients in `engine/`.
//!
//! The check reads the product's Rust sources: `src/` of every crate, without items under `#[cfg(test)]`. It examines identifiers and
//! string literals. Comments are ignored, so they may name an architecture as an example.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Words that only some files may contain. A word is also found as a part of a longer word, in upper and lower case.
struct Rule {
    /// The words, in lower case.
    words: &'static [&'static str],
    /// The files that the words belong in.
    homes: &'static [&'static str],
    /// Other files that may contain the words, each with the reason.
    exceptions: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        words: &["x86", "x64", "amd64", "aarch64", "arm64", "linux-gnu"],
        homes: &["contract/src/arch.rs"],
        exceptions: &[
            (
                "formats/src/verity/blocks.rs",
                "a fast path for the processor that runs this code, not for the image's architecture",
            ),
            ("builder/src/release/targets.rs", "calls the xz crate's functions, which are named after architectures"),
        ],
    },
    Rule {
        words: &["docker", "containerd", "podman"],
        homes: &[
            "contract/src/engine.rs",
            "engine/src/docker.rs",
            "engine/src/docker_arguments.rs",
            "engine/src/lib.rs",
        ],
        exceptions: &[
            ("contract/src/host_config.rs", "[docker] of host.toml is a contract with users"),
            ("init/src/config/apply.rs", "[docker] of host.toml"),
            ("init/src/config/change.rs", "[docker] of host.toml"),
            (
                "init/src/config/docker.rs",
                "[docker] of host.toml: PID 1 writes docker's settings without talking to it",
            ),
            ("init/src/config/error.rs", "errors about the settings of [docker]"),
            ("init/src/config/mod.rs", "the module for the settings of [docker]"),
            ("hostctl/src/command/engine.rs", "environment variables for this computer's client of the engine"),
            ("hostctl/src/main.rs", "the verb `hostctl docker`"),
            ("qemu/src/pki.rs", "certificates for [docker.tls] of host.toml"),
            ("qemu/src/run.rs", "this computer's docker client, which connects to docker in the virtual machine"),
            ("builder/src/cli/run.rs", "environment variables for this computer's docker client"),
            ("builder/src/source/oci/error.rs", "programs that write image archives"),
            ("builder/src/source/oci/reference.rs", "the default registry of image names"),
            ("builder/src/source/oci/schema.rs", "media types and annotations of images"),
        ],
    },
];

/// The code of one file.
struct Code {
    /// Path from the root of the repository.
    path: String,
    /// Identifiers and string literals, with their line numbers.
    words: Vec<(usize, String)>,
}

/// One message for each place that breaks `rule`, and for each exception that is not needed.
fn faults(rule: &Rule, files: &[Code]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for Code { path, words } in files.iter().filter(|file| !rule.homes.contains(&&*file.path)) {
        let lower = words.iter().map(|(line, word)| (line, word, word.to_lowercase()));
        let found = lower.filter(|(_, _, lower)| rule.words.iter().any(|word| lower.contains(word)));
        for (line, word, _) in found {
            match rule.exceptions.iter().find(|(file, _)| file == path) {
                Some((file, _)) => _ = needed.insert(*file),
                None => faults.push(format!("{path}:{line}: {word} belongs in {}", rule.homes.join(", "))),
            }
        }
    }
    let idle = rule.exceptions.iter().filter(|(file, _)| !needed.contains(file));
    faults.extend(
        idle.map(|(file, _)| format!("{file}: the file contains none of {:?}: remove the exception", rule.words)),
    );
    faults
}

/// Reads the tokens of a file. Returns its words with line numbers, and the names or paths of its test modules that are in other files.
fn read(code: TokenStream) -> (Vec<(usize, String)>, Vec<String>) {
    let (mut words, mut test_modules) = (Vec::new(), Vec::new());
    let mut tokens = code.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!'));
                let Some(TokenTree::Group(attribute)) = tokens.next() else { continue };
                let mut inside = attribute.stream().into_iter();
                let name = inside.next().map(|name| name.to_string()).unwrap_or_default();
                if name == "cfg" && inside.next().is_some_and(|condition| condition.to_string() == "(test)") {
                    let item: Vec<_> = until_end_of_item(&mut tokens);
                    test_modules.extend(module_in_its_own_file(&item));
                } else if name != "doc" {
                    words.extend(read(attribute.stream()).0);
                }
            }
            TokenTree::Group(group) => {
                let (inner, modules) = read(group.stream());
                words.extend(inner);
                test_modules.extend(modules);
            }
            TokenTree::Ident(name) => words.push((name.span().start().line, name.to_string())),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                if text.contains('"') {
                    words.push((literal.span().start().line, text));
                }
            }
            TokenTree::Punct(_) => {}
        }
    }
    (words, test_modules)
}

/// The tokens of an item, up to and including its `;` or its block.
fn until_end_of_item(tokens: &mut impl Iterator<Item = TokenTree>) -> Vec<TokenTree> {
    let mut item = Vec::new();
    for token in tokens {
        let ends = match &token {
            TokenTree::Punct(mark) => mark.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        item.push(token);
        if ends {
            break;
        }
    }
    item
}

/// `NAME` of an item `mod NAME;`, or the path in its attribute `path`. `None` for other items.
fn module_in_its_own_file(item: &[TokenTree]) -> Option<String> {
    let [attributes @ .., TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(_)] = item else {
        return None;
    };
    let path = attributes.iter().find_map(|token| {
        let TokenTree::Group(attribute) = token else { return None };
        attribute.stream().to_string().strip_prefix("path = \"")?.strip_suffix('"').map(str::to_owned)
    });
    (keyword == "mod").then(|| path.unwrap_or_else(|| name.to_string()))
}

/// All product code below `root`.
fn product(root: &Path) -> Vec<Code> {
    let mut files = Vec::new();
    for krate in fs::read_dir(root).unwrap() {
        let src = krate.unwrap().path().join("src");
        if src.is_dir() {
            rust_files(&src, &mut files);
        }
    }
    let (mut all, mut for_tests) = (Vec::new(), BTreeSet::new());
    for file in files {
        let code = fs::read_to_string(&file).unwrap().parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let (words, test_modules) = read(code);
        let inside = match file.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs" | "lib.rs" | "main.rs") => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        for module in test_modules {
            if module.ends_with(".rs") {
                for_tests.insert(file.with_file_name(module));
            } else {
                for_tests.extend([inside.join(format!("{module}.rs")), inside.join(module)]);
            }
        }
        all.push((file, words));
    }
    let product = all.into_iter().filter(|(file, _)| !file.ancestors().any(|folder| for_tests.contains(folder)));
    product.map(|(file, words)| Code { path: file.strip_prefix(root).unwrap().display().to_string(), words }).collect()
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
fn architectures_and_engines_are_named_only_in_their_files() {
    let files = product(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    for crate_of_ours in ["contract", "builder", "init", "hostctl"] {
        assert!(
            files.iter().any(|file| file.path.starts_with(crate_of_ours)),
            "no source file of {crate_of_ours} was read"
        );
    }
    for rule in RULES {
        for home in rule.homes {
            assert!(files.iter().any(|file| file.path == *home), "{home} does not exist");
        }
        let faults = faults(rule, &files);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}

#[test]
fn the_check_finds_words_in_code_but_not_in_comments_or_tests() {
    let code = r##"
        //! For x86_64.
        /// Debian's amd64.
        #[cfg(target_arch = "x86_64")]
        fn name() -> &'static str { /* x64 */ r#"bootX64.efi"# }
        #[cfg(test)]
        mod unit { const NAME: &str = "amd64"; }
        #[cfg(test)]
        #[expect(dead_code, reason = "x86")]
        pub(crate) mod fixture;
        #[cfg(test)]
        #[path = "x86_tests.rs"]
        mod tests;
        const X86_BYTES: u32 = 0x64;
    "##;
    let (words, test_modules) = read(code.parse().unwrap());
    assert_eq!(test_modules, ["fixture", "x86_tests.rs"]);
    let file = |path: &str| Code { path: path.to_owned(), words: words.clone() };
    let rule = Rule { words: &["x86", "x64", "amd64"], homes: &["home.rs"], exceptions: &[("other.rs", "a reason")] };
    let wanted = ["\"x86_64\"", "r#\"bootX64.efi\"#", "X86_BYTES"];
    let lines = [4, 5, 14];
    let wanted: Vec<_> =
        wanted.iter().zip(lines).map(|(word, line)| format!("a.rs:{line}: {word} belongs in home.rs")).collect();
    assert_eq!(faults(&rule, &[file("home.rs"), file("a.rs"), file("other.rs")]), wanted);
    assert_eq!(
        faults(&rule, &[file("home.rs")]),
        ["other.rs: the file contains none of [\"x86\", \"x64\", \"amd64\"]: remove the exception"]
    );
}
