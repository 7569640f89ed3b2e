//! tmpfiles.d(5), as far as it concerns the image: lines for paths outside of what is mounted at boot.
//!
//! Lines for /run, /var and /tmp are init's, at every boot; those for /dev, /proc and /sys nobody's. Types that clean up,
//! write to devices or need a running system are passed over, and so are lines with specifiers.

use super::{
    account::Accounts,
    declaration::{Declaration, unescape},
    error::AssembleError,
};
use crate::tree::{Kind, Meta, Node, Tree, TreePath, Verdict};
use std::sync::Arc;

/// First components of what is mounted at boot.
const MOUNTED: [&[u8]; 6] = [b"dev", b"proc", b"run", b"sys", b"tmp", b"var"];

/// One line that makes or changes something.
struct Item {
    letter: char,
    /// `+`: replaces what is there.
    replace: bool,
    path: TreePath,
    mode: Option<u16>,
    uid: u32,
    gid: u32,
    argument: String,
}

/// Applies `lines` to `tree`.
pub(super) fn apply(
    tree: &mut Tree,
    lines: &[Declaration],
    accounts: &Accounts,
    origin: &Arc<str>,
) -> Result<(), AssembleError> {
    for line in lines {
        if let Some(item) = parse(line, accounts)? {
            make(tree, item, origin).map_err(|reason| line.error(reason))?;
        }
    }
    Ok(())
}

fn parse(line: &Declaration, accounts: &Accounts) -> Result<Option<Item>, AssembleError> {
    let fields = line.fields(7)?;
    let field = |at: usize| fields.get(at).map(String::as_str).filter(|field| !field.is_empty() && *field != "-");
    let (Some(kind), Some(path)) = (field(0), field(1)) else {
        return Err(line.error("expected a type and a path"));
    };
    let mut letters = kind.chars();
    let letter = letters.next().unwrap_or_default();
    let modifiers = letters.as_str();
    let ours = "dDvqQfFLCzZm".contains(letter) && !modifiers.contains(['^', '$']);
    if !ours || line.text.replace("%%", "").contains('%') {
        return Ok(None);
    }
    let Some(relative) = path.strip_prefix('/') else { return Err(line.error("expected an absolute path")) };
    let path = crate::tree::clean(relative.as_bytes()).map_err(|fault| line.error(fault.to_string()))?;
    if path.split(|&byte| byte == b'/').next().is_none_or(|first| first.is_empty() || MOUNTED.contains(&first)) {
        return Ok(None);
    }
    let mode = field(2).map(|mode| mode.trim_start_matches([':', '~']));
    let mode = mode.map(|mode| u16::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777));
    let mode =
        mode.map(|mode| mode.ok_or_else(|| line.error("expected a mode of up to four octal digits"))).transpose()?;
    let id = |at: usize, find: &dyn Fn(&str) -> Option<u32>| match field(at).map(|name| name.trim_start_matches(':')) {
        None => Ok(0),
        Some(name) => {
            let known = name.parse().ok().or_else(|| find(name));
            known.ok_or_else(|| line.error(format!("the image has no account {name:?}")))
        }
    };
    let uid = id(3, &|name| accounts.user(name).map(|user| user.uid))?;
    let gid = id(4, &|name| accounts.group(name).map(|group| group.gid))?;
    let argument = field(6).unwrap_or_default().replace("%%", "%");
    Ok(Some(Item { letter, replace: modifiers.contains('+'), path, mode, uid, gid, argument }))
}

fn make(tree: &mut Tree, item: Item, origin: &Arc<str>) -> Result<(), String> {
    let Item { letter, replace, path, mode, uid, gid, argument } = item;
    let meta = |default: u16| Meta { mode: mode.unwrap_or(default), uid, gid, ..Meta::default() };
    let node = |kind: Kind, default: u16| Node { meta: meta(default), kind, origin: Arc::clone(origin) };
    let new = match letter {
        'd' | 'D' | 'v' | 'q' | 'Q' => node(Kind::Dir, 0o755),
        'f' | 'F' => node(Kind::File(unescape(&argument).into()), 0o644),
        'L' if argument.is_empty() => Node::symlink([b"/usr/share/factory/", &*path].concat(), origin),
        'L' => Node::symlink(argument, origin),
        'C' => {
            let from = if argument.is_empty() {
                [b"usr/share/factory/", &*path].concat()
            } else {
                argument.trim_start_matches('/').as_bytes().to_vec()
            };
            return copy(tree, &from, &path, origin);
        }
        // z, Z, m: only what is there changes.
        _ => {
            let Some((real, _)) = tree.lookup(&path) else { return Ok(()) };
            if let Some(node) = tree.get_mut(&real) {
                node.meta.mode = mode.unwrap_or(node.meta.mode);
                (node.meta.uid, node.meta.gid) = (uid, gid);
            }
            return Ok(());
        }
    };
    // What is there stays, but a folder gets what the line says about it, as systemd-tmpfiles has it.
    if let Some((real, there)) = tree.lookup(&path) {
        if there.is_dir() != new.is_dir() {
            return if replace { Err(format!("there is a {}", there.kind.word())) } else { Ok(()) };
        }
        if there.is_dir() {
            if let Some(there) = tree.get_mut(&real) {
                there.meta = new.meta;
            }
            return Ok(());
        }
    }
    let verdict = if replace || letter == 'F' { Verdict::TakeNew } else { Verdict::KeepOld };
    tree.insert(&path, new, |_, _| verdict).map(drop).map_err(|error| error.to_string())
}

/// `C`: a file, or a folder with all that is in it, where nothing is yet.
fn copy(tree: &mut Tree, from: &[u8], to: &[u8], origin: &Arc<str>) -> Result<(), String> {
    let Some((from, first)) = tree.lookup(from) else { return Ok(()) };
    let occupied =
        tree.lookup(to).is_some_and(|(real, there)| !there.is_dir() || tree.children(&real).next().is_some());
    if occupied {
        return Ok(());
    }
    let found = std::iter::once((&from, first)).chain(tree.below(&from));
    let copies: Vec<(TreePath, Node)> = found
        .map(|(path, node)| {
            let kind = match &node.kind {
                // The copy is a file of its own.
                Kind::HardLink(target) => tree.data(target).map_or(Kind::Fifo, |data| Kind::File(data.clone())),
                kind => kind.clone(),
            };
            let copy = Node { meta: node.meta.clone(), kind, origin: Arc::clone(origin) };
            ([to, &path[from.len()..]].concat(), copy)
        })
        .collect();
    for (path, node) in copies {
        tree.insert(&path, node, |_, _| Verdict::KeepOld).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::{account::Group, declaration};

    #[test]
    fn lines_for_the_image_are_obeyed() {
        let origin: Arc<str> = "test".into();
        let mut tree = Tree::default();
        for (path, text) in [("usr/share/x/conf", "conf"), ("usr/share/factory/etc/y/z", "zz"), ("etc/there", "old")] {
            tree.insert(path.as_bytes(), Node::file(0o600, text.to_owned(), &origin), |_, _| Verdict::Refuse).unwrap();
        }
        let accounts =
            Accounts { groups: vec![Group { name: "g".into(), gid: 7, members: vec![] }], ..Accounts::default() };
        let lines = declaration::lines(
            "x.conf",
            "d /etc/dir 0750 - g - -\nd /etc/dir/deep\nf /etc/file 0640 5 g - one\\ttwo\\n\nf /etc/there - - - - new\n\
             f+ /etc/forced - - - - a\nf+ /etc/forced - - - - b\nL /etc/link - - - - ../usr/x\nL /etc/factory\n\
             C /etc/conf - - - - /usr/share/x/conf\nC /etc/y\nz /etc/there 0444\nd /run/x\nd /var/x\nx /etc/gone\n\
             d /etc/%m\nr! /etc/there\nL /etc/there - - - - x\n",
        );
        apply(&mut tree, &lines, &accounts, &origin).unwrap();
        let text =
            |path: &str| String::from_utf8(tree.data(path.as_bytes()).unwrap().to_bytes().unwrap().to_vec()).unwrap();
        let meta =
            |path: &str| (tree.get(path.as_bytes()).unwrap().meta.mode, tree.get(path.as_bytes()).unwrap().meta.gid);
        assert_eq!((meta("etc/dir"), meta("etc/dir/deep")), ((0o750, 7), (0o755, 0)));
        assert_eq!((text("etc/file"), meta("etc/file")), ("one\ttwo\n".to_owned(), (0o640, 7)));
        assert_eq!((text("etc/there"), meta("etc/there")), ("old".to_owned(), (0o444, 0)));
        assert_eq!((text("etc/forced"), text("etc/conf"), text("etc/y/z")), ("b".into(), "conf".into(), "zz".into()));
        assert_eq!(tree.get(b"etc/link").unwrap().kind, Kind::Symlink(b"../usr/x".to_vec()));
        assert_eq!(tree.get(b"etc/factory").unwrap().kind, Kind::Symlink(b"/usr/share/factory/etc/factory".to_vec()));
        assert!(tree.get(b"run").is_none() && tree.get(b"var").is_none());
        for (line, reason) in [
            ("d etc/x", "expected an absolute path"),
            ("d /etc/../x", "it has a component \"..\""),
            ("d /etc/x 0999", "expected a mode of up to four octal digits"),
            ("d /etc/x 0755 nobody-here", "the image has no account \"nobody-here\""),
            ("d", "expected a type and a path"),
        ] {
            let error =
                apply(&mut tree, &declaration::lines("x.conf", line), &accounts, &origin).unwrap_err().to_string();
            assert_eq!(error, format!("x.conf:1: {line:?}: {reason}"));
        }
    }
}
