//! Whether the host can start a file of the image, and scripts.

use super::{
    content::{Content, Contents},
    finding::{Finding, Topic},
};
use crate::tree::{Kind, Node, Tree, TreePath};
use berth_contract::paths::HEALTH_CHECKS;
use std::{collections::BTreeMap, fmt};

/// Where the host mounts other file systems. The image does not know what is there.
const MOUNTED: [&str; 6] = ["/dev/", "/proc/", "/run/", "/sys/", "/tmp/", "/var/"];
/// The folders that env(1) searches.
const PATH: [&str; 6] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

/// Why a program cannot be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Absent,
    NotFile(&'static str),
    NotExecutable(u16),
    /// The script's interpreter cannot be started.
    Interpreter(String, Box<Unusable>),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("is not in the image"),
            Self::NotFile(kind) => write!(f, "is a {kind}"),
            Self::NotExecutable(mode) => write!(f, "is not executable, its mode is {mode:04o}"),
            Self::Interpreter(name, why) => write!(f, "is a script for {name}, which {why}"),
        }
    }
}

/// Checks that the host can start the program at an absolute path.
pub(super) fn check(tree: &Tree, contents: &Contents, path: &str) -> Result<(), Unusable> {
    if is_mounted(path.as_bytes()) {
        return Ok(());
    }
    let below_root = path.trim_start_matches('/').as_bytes();
    let Some((real, node)) = file(tree, below_root) else {
        // A link may lead to a folder whose content only the host has.
        let real = tree.real_dir(below_root).ok();
        let found = real.is_some_and(|real| is_mounted(&[b"/", &real[..]].concat()));
        return if found { Ok(()) } else { Err(Unusable::Absent) };
    };
    match &node.kind {
        Kind::File(_) if node.meta.mode & 0o111 == 0 => return Err(Unusable::NotExecutable(node.meta.mode)),
        Kind::File(_) => {}
        kind => return Err(Unusable::NotFile(kind.word())),
    }
    match contents.get(&real) {
        Some(Content::Script(words)) => interpreter(tree, words),
        _ => Ok(()),
    }
}

/// Whether an absolute path is where the host mounts other file systems.
fn is_mounted(path: &[u8]) -> bool {
    MOUNTED.iter().any(|folder| path.starts_with(folder.as_bytes()))
}

/// The node that a path leads to. Links and hard links are followed.
pub(super) fn file<'a>(tree: &'a Tree, path: &[u8]) -> Option<(TreePath, &'a Node)> {
    let (real, node) = tree.lookup(path)?;
    match &node.kind {
        Kind::HardLink(target) => Some((target.clone(), tree.get(target)?)),
        _ => Some((real, node)),
    }
}

/// Checks the first line of a script: its interpreter, and the program that env(1) looks for.
fn interpreter(tree: &Tree, words: &[String]) -> Result<(), Unusable> {
    let Some(name) = words.first() else { return Ok(()) };
    // Only the file itself: a script that is the interpreter of a script is rare, and a circle of them would have no end.
    let usable = |path: &str| check(tree, &Contents::new(), path);
    usable(name).map_err(|why| Unusable::Interpreter(name.clone(), Box::new(why)))?;
    if name.rsplit('/').next() != Some("env") {
        return Ok(());
    }
    let words = words[1..].iter().map(|word| word.strip_prefix("-S").unwrap_or(word));
    let program = words.into_iter().find(|word| !word.is_empty() && !word.contains('='));
    match program.filter(|word| !word.starts_with('-') && !word.contains('/')) {
        Some(program) if !PATH.iter().any(|folder| usable(&format!("/{folder}/{program}")).is_ok()) => {
            Err(Unusable::Interpreter(program.to_owned(), Box::new(Unusable::Absent)))
        }
        _ => Ok(()),
    }
}

/// Scripts whose interpreter is missing. Those of packages are returned as warnings: a Debian package does not depend on the interpreter
/// of every script in it, and a host uses few of them. A script that the host itself starts is a fault in any case.
pub(super) fn scripts(tree: &Tree, contents: &Contents) -> (Vec<Finding>, Vec<String>) {
    let mut faults: BTreeMap<(String, bool), Vec<TreePath>> = BTreeMap::new();
    for (path, content) in contents {
        let (Content::Script(words), Some(node)) = (content, tree.get(path)) else { continue };
        if node.meta.mode & 0o111 == 0 {
            continue;
        }
        if let Err(Unusable::Interpreter(name, _)) = interpreter(tree, words) {
            let is_check = path.starts_with(HEALTH_CHECKS.trim_start_matches('/').as_bytes());
            let is_warning = node.origin.starts_with("package ") && !is_check;
            // Examples and tools for the installation of other hosts.
            if !is_warning || !path.starts_with(b"usr/share/") {
                faults.entry((name, is_warning)).or_default().push(path.clone());
            }
        }
    }
    let (mut findings, mut warnings) = (Vec::new(), Vec::new());
    for ((name, is_warning), places) in faults {
        let finding = Finding {
            topic: Topic::Scripts,
            fault: format!(
                "{name} is not in the image, but {} it",
                count(places.len(), "script needs", "scripts need")
            ),
            places,
            fix: format!("add the package of {name} to debian.packages, or remove the scripts"),
        };
        if is_warning {
            warnings.push(format!("{finding} (add the package of {name}, or leave the scripts out with debian.drop)"));
        } else {
            findings.push(finding);
        }
    }
    (findings, warnings)
}

/// A number with the singular or plural.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Files for health checks that the host would not start.
pub(super) fn health_checks(tree: &Tree, contents: &Contents) -> Vec<Finding> {
    let folder = HEALTH_CHECKS.trim_start_matches('/');
    let mut findings = Vec::new();
    for (_, path, _) in tree.children(folder.as_bytes()) {
        // A script without its interpreter is a fault of scripts.
        if let Err(why @ (Unusable::NotExecutable(_) | Unusable::NotFile(_) | Unusable::Absent)) =
            check(tree, contents, &format!("/{}", String::from_utf8_lossy(path)))
        {
            findings.push(Finding {
                topic: Topic::Services,
                fault: format!("a health check {why}"),
                places: vec![path.clone()],
                fix: "make the file executable, or remove it".to_owned(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Verdict;
    use std::sync::Arc;

    #[test]
    fn a_program_below_a_link_into_a_mounted_folder_is_not_looked_for() {
        let origin: Arc<str> = Arc::from("overlay own");
        let mut tree = Tree::default();
        for (at, target) in [("opt", "var/opt"), ("srv", "/usr/none")] {
            tree.insert(at.as_bytes(), Node::symlink(target, &origin), |_, _| Verdict::Refuse).unwrap();
        }
        let usable = |path| check(&tree, &Contents::new(), path);
        assert_eq!((usable("/var/x"), usable("/opt/app/bin/app")), (Ok(()), Ok(())));
        assert_eq!(interpreter(&tree, &["/opt/venv/bin/python".to_owned()]), Ok(()));
        for path in ["/srv/app", "/usr/bin/none", "/../x"] {
            assert_eq!(usable(path), Err(Unusable::Absent), "{path}");
        }
    }
}
