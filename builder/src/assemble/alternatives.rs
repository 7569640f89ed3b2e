//! Alternatives, update-alternatives(1): several programs offer one name, and the name links to the best of them.

use crate::tree::{Kind, Node, Tree, TreeError, TreePath, Verdict};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The folder of the names, as a path in the tree.
const FOLDER: &[u8] = b"etc/alternatives/";

/// One choice, as `update-alternatives --install` declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    master: Choice,
    priority: i64,
    slaves: Vec<Choice>,
}

/// `LINK NAME PATH` of update-alternatives(1). Link and path are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    link: String,
    name: String,
    path: String,
}

impl Choice {
    fn new(link: &str, name: &str, path: &str) -> Option<Self> {
        let good = link.starts_with('/') && path.starts_with('/') && !name.is_empty() && !name.contains('/');
        good.then(|| Self { link: link.to_owned(), name: name.to_owned(), path: path.to_owned() })
    }
}

impl Alternative {
    /// Reads the arguments of `update-alternatives`. `None` if they are not exactly one `--install`.
    #[must_use]
    pub fn parse(arguments: &[&str]) -> Option<Self> {
        let mut rest = arguments;
        while let ["--quiet" | "--force", tail @ ..] = rest {
            rest = tail;
        }
        let ["--install", link, name, path, priority, tail @ ..] = rest else { return None };
        let (mut slaves, mut rest) = (Vec::new(), tail);
        while let ["--slave", link, name, path, tail @ ..] = rest {
            slaves.push(Choice::new(link, name, path)?);
            rest = tail;
        }
        let master = Choice::new(link, name, path)?;
        rest.is_empty().then_some(Self { master, priority: priority.parse().ok()?, slaves })
    }
}

/// Links each name to its best choice among the programs that are in the tree: the link of NAME points to
/// /etc/alternatives/NAME, which points to the program. A file that a package ships at the path of a link stays.
///
/// # Errors
/// If a link cannot be put into the tree.
pub fn apply(tree: &mut Tree, alternatives: &[Alternative], origin: &Arc<str>) -> Result<(), TreeError> {
    let mut best: BTreeMap<&str, &Alternative> = BTreeMap::new();
    for candidate in alternatives.iter().filter(|alternative| exists(tree, &alternative.master.path)) {
        let entry = best.entry(&candidate.master.name).or_insert(candidate);
        // Equal priorities: the first by path, so that the order of packages does not matter.
        let rank = |alternative: &Alternative| (-alternative.priority, alternative.master.path.clone());
        if rank(candidate) < rank(entry) {
            *entry = candidate;
        }
    }
    for alternative in best.values() {
        let slaves: Vec<&Choice> = alternative.slaves.iter().filter(|slave| exists(tree, &slave.path)).collect();
        for choice in std::iter::once(&alternative.master).chain(slaves) {
            let through = format!("etc/alternatives/{}", choice.name);
            link(tree, through.as_bytes(), &choice.path, origin)?;
            link(tree, choice.link.trim_start_matches('/').as_bytes(), &format!("/{through}"), origin)?;
        }
    }
    Ok(())
}

/// Removes the names whose program is not in the tree, because the recipe drops it. Such names come from reviewed scripts, which declare
/// links. Links of overlays stay: their program may be on another file system of the host.
pub fn remove_dangling(tree: &mut Tree) {
    let names: BTreeSet<Vec<u8>> = tree
        .iter()
        .filter(|(path, node)| path.starts_with(FOLDER) && matches!(node.kind, Kind::Symlink(_)) && !is_overlay(node))
        .filter(|(path, _)| tree.lookup(path).is_none())
        .map(|(path, _)| path.to_vec())
        .collect();
    let is_name = |target: &[u8]| target.strip_prefix(b"/").is_some_and(|path| names.contains(path));
    tree.remove_if(|path, node| match &node.kind {
        Kind::Symlink(target) => (names.contains(path) || is_name(target)) && !is_overlay(node),
        _ => false,
    });
}

fn is_overlay(node: &Node) -> bool {
    node.origin.starts_with("overlay ")
}

fn exists(tree: &Tree, path: &str) -> bool {
    tree.lookup(path.as_bytes()).is_some()
}

fn link(tree: &mut Tree, at: &[u8], target: &str, origin: &Arc<str>) -> Result<TreePath, TreeError> {
    tree.insert(at, Node::symlink(target, origin), |_, _| Verdict::KeepOld)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Alternative> {
        Alternative::parse(&text.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn a_name_links_to_the_best_program_in_the_tree() {
        let declared = [
            "--install /usr/sbin/iptables iptables /usr/sbin/iptables-legacy 10 --slave /usr/sbin/iptables-save iptables-save /usr/sbin/iptables-legacy-save",
            "--install /usr/sbin/iptables iptables /usr/sbin/iptables-nft 20 --slave /usr/sbin/iptables-save iptables-save /usr/sbin/iptables-nft-save --slave /usr/share/man/i.8.gz i.8.gz /usr/share/man/n.8.gz",
            "--install /usr/bin/editor editor /usr/bin/vim 50",
        ]
        .map(|text| parse(text).unwrap());
        let origin: Arc<str> = Arc::from("berth");
        for (programs, chosen) in [
            (vec!["iptables-legacy", "iptables-legacy-save", "iptables-nft", "iptables-nft-save"], "nft"),
            (vec!["iptables-legacy", "iptables-legacy-save"], "legacy"),
        ] {
            let mut tree = Tree::default();
            for program in programs {
                let path = format!("usr/sbin/{program}");
                tree.insert(path.as_bytes(), Node::file(0o755, Vec::new(), &origin), |_, _| Verdict::Refuse).unwrap();
            }
            apply(&mut tree, &declared, &origin).unwrap();
            for name in ["iptables", "iptables-save"] {
                let (real, _) = tree.lookup(format!("usr/sbin/{name}").as_bytes()).unwrap();
                assert_eq!(
                    real,
                    name.replace("tables", &format!("tables-{chosen}")).replacen("", "usr/sbin/", 1).into_bytes()
                );
            }
            assert_eq!(
                tree.get(b"usr/sbin/iptables").unwrap().kind,
                Kind::Symlink(b"/etc/alternatives/iptables".to_vec())
            );
            assert!(tree.get(b"usr/bin/editor").is_none(), "a name without a program gets no link");
            assert!(tree.get(b"etc/alternatives/i.8.gz").is_none(), "a slave without a file gets no link");
        }
    }

    #[test]
    fn a_name_whose_program_is_dropped_goes_with_all_its_links() {
        let origin: Arc<str> = Arc::from("berth");
        let mut tree = Tree::default();
        tree.insert(b"usr/bin/xz", Node::file(0o755, Vec::new(), &origin), |_, _| Verdict::Refuse).unwrap();
        for (at, target) in [
            ("usr/bin/lzma", "/etc/alternatives/lzma"),
            ("etc/alternatives/lzma", "/usr/bin/xz"),
            ("usr/bin/lzmore", "/etc/alternatives/lzmore"),
            ("etc/alternatives/lzmore", "/usr/bin/xzmore"),
            ("usr/bin/other", "/usr/bin/none"),
        ] {
            link(&mut tree, at.as_bytes(), target, &origin).unwrap();
        }
        let own: Arc<str> = Arc::from("overlay own");
        link(&mut tree, b"etc/alternatives/java", "/opt/jdk/bin/java", &own).unwrap();
        link(&mut tree, b"usr/bin/java", "/etc/alternatives/java", &own).unwrap();
        remove_dangling(&mut tree);
        let has = |path: &str| tree.get(path.as_bytes()).is_some();
        assert!(has("usr/bin/lzma") && has("etc/alternatives/lzma") && has("usr/bin/other"));
        assert!(has("usr/bin/java") && has("etc/alternatives/java"));
        assert!(!has("usr/bin/lzmore") && !has("etc/alternatives/lzmore"));
    }

    #[test]
    fn other_arguments_are_not_read() {
        for text in [
            "--remove editor /usr/bin/vim",
            "--install /a a /b",
            "--install /a a /b x",
            "--install a a /b 1",
            "--install /a a /b 1 --x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
