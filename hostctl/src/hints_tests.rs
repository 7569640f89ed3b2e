//! Hints of the host's programs name only commands that a host has: hostctl, with verbs and options that exist. A host has no shell.

use super::Arguments;
use clap::{Command, CommandFactory};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folders with the sources of the host's programs.
const PROGRAMS: [&str; 8] = ["control", "engine", "file", "hostctl", "init", "logd", "netd", "workload"];
/// First words between back-ticks that are commands of another computer: each text must say whose they are.
const ELSEWHERE: [&str; 1] = ["berth"];
/// Programs that hints like to name, and that no host has.
const MISSING: [&str; 24] = [
    "apt",
    "cat",
    "chmod",
    "cp",
    "date",
    "dd",
    "dpkg",
    "e2fsck",
    "fsck",
    "ip",
    "journalctl",
    "ls",
    "lsblk",
    "mkfs",
    "mount",
    "mv",
    "reboot",
    "rm",
    "sh",
    "sudo",
    "systemctl",
    "touch",
    "umount",
    "vi",
];

/// The product's string literals with back-ticks, and their files. Comments and tests are left out.
fn texts() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<PathBuf> = PROGRAMS.iter().map(|program| root.join(program).join("src")).collect();
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let product = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                let lines = product.lines().filter(|line| !line.trim_start().starts_with("//"));
                texts.push((path, lines.map(str::trim_start).collect::<Vec<_>>().join("\n").replace("\\\n", "")));
            }
        }
    }
    texts
}

/// The words between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(|inside| inside.split_whitespace().collect())
}

/// Why hostctl does not understand these words, if it does not. Words in capitals or braces stand for values.
fn fault(command: &Command, words: &[&str]) -> Option<String> {
    let (word, rest) = words.split_first()?;
    if let Some(option) = word.strip_prefix("--") {
        let name = option.split('=').next().unwrap_or(option);
        let known = command.get_arguments().any(|argument| argument.get_long() == Some(name)) || name == "connect";
        return if known {
            fault(command, rest)
        } else {
            Some(format!("{} has no option --{name}", command.get_name()))
        };
    }
    match command.find_subcommand(word) {
        Some(found) => fault(found, rest),
        None if command.has_subcommands() => Some(format!("{} has no command {word}", command.get_name())),
        None => fault(command, rest),
    }
}

#[test]
fn hints_name_only_commands_that_a_host_has() {
    let command = Arguments::command();
    let (mut faults, mut found) = (Vec::new(), 0);
    for (path, text) in texts() {
        for words in quoted(&text) {
            let say = |what: String| format!("{}: `{}`: {what}", path.display(), words.join(" "));
            match words.first().copied().unwrap_or_default() {
                "hostctl" => {
                    found += 1;
                    faults.extend(fault(&command, &words[1..]).map(say));
                }
                word if ELSEWHERE.contains(&word) => {}
                word if MISSING.contains(&word.split('.').next().unwrap_or(word)) => {
                    faults.push(say("no host has this program".to_owned()));
                }
                _ => {}
            }
        }
        // A file of the host that a user is told to remove.
        faults.extend(
            text.lines()
                .filter(|line| line.contains("\"remove {") || line.contains(" remove {"))
                // What a program itself could not do.
                .filter(|line| !line.contains("cannot remove {") && !line.contains("let doing = "))
                .map(|line| format!("{}: {line}: no user can remove files of a host", path.display())),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 10, "the search finds hints");
}

#[test]
fn the_search_finds_faults() {
    let command = Arguments::command();
    let fault = |text: &str| fault(&command, &quoted(text).next().unwrap()[1..]);
    assert_eq!(fault("run `hostctl upgrade --retry {version}` now"), None);
    assert_eq!(fault("`hostctl update forget --repositories`"), None);
    assert!(fault("`hostctl quarantine`").is_some() && fault("`hostctl upgrade --force`").is_some());
}
