//! Applies lines of tmpfiles.d(5) to the tree of an image, for paths outside the file systems that are mounted at boot.
//!
//! init applies the lines for /run, /var and /tmp at every boot. Lines for /dev, /proc and /sys are never applied. These lines
//! are skipped: types that clean up, write to devices or need a running system; credentials; specifiers of the running host;
//! types and modifiers of later versions of systemd.

use super::{account::Accounts, declaration::Declaration, error::AssembleError};
use crate::tree::{Kind, Meta, Node, Tree, TreePath, Verdict};
use berth_formats::tmpfiles::{self, Argument, Line, LineError, LineType, Owner};
use std::sync::Arc;

/// First path components of the file systems that are mounted at boot.
const MOUNTED: [&[u8]; 6] = [b"dev", b"proc", b"run", b"sys", b"tmp", b"var"];

/// A line with the ids of its user and group.
struct Item {
    line: Line,
    /// Without the leading slash.
    path: TreePath,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Applies `lines` to `tree`.
pub(super) fn apply(
    tree: &mut Tree,
    lines: &[Declaration],
    accounts: &Accounts,
    origin: &Arc<str>,
) -> Result<(), AssembleError> {
    let mut parsed = Vec::new();
    for declaration in lines {
        parsed.extend(parse(declaration)?.map(|(line, path)| (line, (declaration, path))));
    }
    for (line, (declaration, path)) in tmpfiles::arrange(parsed) {
        let number = |owner: &Option<Owner>, find: &dyn Fn(&str) -> Option<u32>| match owner {
            None => Ok(None),
            Some(Owner { name, .. }) => {
                let known = name.parse().ok().or_else(|| find(name));
                known.map(Some).ok_or_else(|| declaration.error(format!("the image has no account {name:?}")))
            }
        };
        let uid = number(&line.user, &|name| accounts.user(name).map(|user| user.uid))?;
        let gid = number(&line.group, &|name| accounts.group(name).map(|group| group.gid))?;
        let item = Item { line, path, uid, gid };
        match make(tree, &item, origin) {
            Err(reason) if !item.line.modifiers.may_fail => return Err(declaration.error(reason)),
            _ => {}
        }
    }
    Ok(())
}

/// Parses a line. Returns the line and its path in the tree, or `None` if the line is not for the image.
fn parse(declaration: &Declaration) -> Result<Option<(Line, TreePath)>, AssembleError> {
    let line = match Line::parse(&declaration.text, &|_| None) {
        Ok(line) => line,
        Err(LineError::Type { .. } | LineError::Modifier { .. } | LineError::Specifier { .. }) => return Ok(None),
        Err(error) => return Err(declaration.error(error.to_string())),
    };
    if !line.line_type.is_applied() || line.modifiers.credential {
        return Ok(None);
    }
    let path = crate::tree::clean(&line.path[1..]).map_err(|fault| declaration.error(fault.to_string()))?;
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    Ok((!first.is_empty() && !MOUNTED.contains(&first)).then_some((line, path)))
}

impl Item {
    /// Owner, mode and attributes of an existing path after the line is applied.
    fn changed(&self, found: &Node) -> Meta {
        let id = |id: Option<u32>, owner: &Option<Owner>, found: u32| {
            id.filter(|_| Owner::wanted(owner.as_ref(), false).is_some()).unwrap_or(found)
        };
        let mode = match found.kind {
            Kind::Symlink(_) => found.meta.mode,
            _ => self.line.mode_of_existing(found.meta.mode, found.is_dir()),
        };
        let (uid, gid) =
            (id(self.uid, &self.line.user, found.meta.uid), id(self.gid, &self.line.group, found.meta.gid));
        Meta { mode, uid, gid, xattrs: found.meta.xattrs.clone() }
    }

    /// Owner and mode of a new path.
    fn meta(&self) -> Meta {
        let (uid, gid) = (self.uid.unwrap_or(0), self.gid.unwrap_or(0));
        Meta { mode: self.line.mode_of_new(), uid, gid, ..Meta::default() }
    }
}

fn make(tree: &mut Tree, item: &Item, origin: &Arc<str>) -> Result<(), String> {
    let (line, path) = (&item.line, &item.path);
    if line.line_type.takes_pattern() {
        adjust(tree, item);
        return Ok(());
    }
    let node = |kind: Kind| Node { meta: item.meta(), kind, origin: Arc::clone(origin) };
    let new = match &line.argument {
        Argument::Target(target) => Node::symlink(target.clone(), origin),
        Argument::Source(source) => return copy(tree, source, item, origin),
        Argument::Content(content) => node(Kind::File(content.clone().into())),
        _ if line.line_type == LineType::File => node(Kind::File(berth_formats::data::Data::empty())),
        _ => node(Kind::Directory),
    };
    let plus = line.modifiers.plus;
    // An existing path stays, and gets mode and owner of the line. A link to a directory counts as the directory.
    if let Some((real, there)) = tree.lookup(path) {
        if there.is_dir() != new.is_dir() {
            match (line.modifiers.replace_other_type, plus) {
                (true, _) => tree.remove(&real),
                (false, true) => return Err(format!("the path is a {} already", there.kind.word())),
                (false, false) => return Ok(()),
            };
        } else if there.is_dir() || (!plus && !matches!(new.kind, Kind::Symlink(_))) {
            let meta = item.changed(there);
            if let Some(there) = tree.get_mut(&real) {
                there.meta = meta;
            }
            return Ok(());
        }
    }
    let verdict = if plus { Verdict::TakeNew } else { Verdict::KeepOld };
    tree.insert(path, new, |_, _| verdict).map(drop).map_err(|error| error.to_string())
}

/// `z`, `Z`, `e`: changes mode and owner of existing paths.
fn adjust(tree: &mut Tree, item: &Item) {
    let children = |directory: &[u8]| -> Vec<Vec<u8>> {
        let directory = directory.strip_prefix(b"/").unwrap_or(directory);
        tree.children(directory).map(|(name, _, _)| name.to_vec()).collect()
    };
    let found: Vec<TreePath> = tmpfiles::matching(&item.line.path, &children)
        .iter()
        .filter_map(|path| Some(tree.lookup(&path[1..])?.0))
        .collect();
    let inside: Vec<TreePath> = match item.line.line_type {
        LineType::AdjustAll => found.iter().flat_map(|path| tree.below(path)).map(|(path, _)| path.clone()).collect(),
        _ => Vec::new(),
    };
    let only_directories = item.line.line_type == LineType::ExistingDirectory;
    for path in found.iter().chain(&inside) {
        if let Some(node) = tree.get_mut(path)
            && (node.is_dir() || !only_directories)
        {
            node.meta = item.changed(node);
        }
    }
}

/// `C`: copies a file, or a directory with its content, to a path that does not exist or is an empty directory. If the line
/// gives an owner, all copies have this owner. If the line gives a mode, only the path itself has this mode.
fn copy(tree: &mut Tree, source: &[u8], item: &Item, origin: &Arc<str>) -> Result<(), String> {
    let path = &item.path;
    let Some((from, first)) = tree.lookup(source.strip_prefix(b"/").unwrap_or(source)) else { return Ok(()) };
    let has_content = match tree.lookup(path) {
        Some((_, there)) if there.is_dir() != first.is_dir() => return Ok(()),
        Some((real, there)) => !there.is_dir() || (!item.line.modifiers.plus && tree.children(&real).next().is_some()),
        None => false,
    };
    let found = std::iter::once((&from, first)).chain(tree.below(&from)).filter(|_| !has_content);
    let copies: Vec<(TreePath, Node)> = found
        .filter_map(|(found, node)| {
            let kind = match &node.kind {
                // The copy of a hard link is a separate file.
                Kind::HardLink(target) => Kind::File(tree.data(target)?.clone()),
                kind => kind.clone(),
            };
            let (uid, gid) = (item.uid.unwrap_or(node.meta.uid), item.gid.unwrap_or(node.meta.gid));
            let meta = Meta { uid, gid, ..node.meta.clone() };
            Some(([path, &found[from.len()..]].concat(), Node { meta, kind, origin: Arc::clone(origin) }))
        })
        .collect();
    for (path, node) in copies {
        tree.insert(&path, node, |_, _| Verdict::KeepOld).map_err(|error| error.to_string())?;
    }
    let Some((real, _)) = tree.lookup(path) else { return Ok(()) };
    if let Some(node) = tree.get_mut(&real) {
        let is_directory = node.is_dir();
        let Meta { mode, uid, gid, .. } = &mut node.meta;
        *mode = item.line.mode.map_or(*mode, |wanted| wanted.applied(*mode, is_directory));
        (*uid, *gid) = (item.uid.unwrap_or(*uid), item.gid.unwrap_or(*gid));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::{account::Group, declaration};
    use std::{
        collections::BTreeMap,
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    #[test]
    fn lines_for_the_image_are_applied() {
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
        // If two lines create the same path, the first line counts.
        assert_eq!((text("etc/forced"), text("etc/conf"), text("etc/y/z")), ("a".into(), "conf".into(), "zz".into()));
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

    /// Path → mode, kind, and content or target.
    type Listing = BTreeMap<String, (u16, &'static str, Vec<u8>)>;

    fn in_tree(tree: &Tree) -> Listing {
        let nodes = tree.iter().filter(|(path, _)| !path.is_empty());
        let row = |(path, node): (&TreePath, &Node)| {
            let content = match &node.kind {
                Kind::File(data) => data.to_bytes().unwrap().to_vec(),
                Kind::Symlink(target) => target.clone(),
                _ => Vec::new(),
            };
            (String::from_utf8(path.clone()).unwrap(), (node.meta.mode, node.kind.word(), content))
        };
        nodes.map(row).collect()
    }

    fn in_folder(root: &Path) -> Listing {
        let (mut all, mut open) = (Listing::new(), vec![root.to_owned()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let found = fs::symlink_metadata(&path).unwrap();
                let (word, content) = match found.file_type() {
                    kind if kind.is_dir() => {
                        open.push(path.clone());
                        ("folder", Vec::new())
                    }
                    kind if kind.is_symlink() => {
                        ("symbolic link", fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
                    }
                    _ => ("file", fs::read(&path).unwrap()),
                };
                let mode = u16::try_from(found.permissions().mode() & 0o7777).unwrap();
                all.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), (mode, word, content));
            }
        }
        all
    }

    /// Applies the same lines to a tree, and with systemd-tmpfiles to a folder with the same files, and compares the results.
    #[test]
    fn lines_do_what_systemd_does() {
        let lines = "d /etc/a/b 1750\nD /etc/emptied\nv /etc/v\nQ /etc/Q 0700\nf /etc/file - - - - a\\nb \\x41 %%m %T\n\
             f /etc/there 0640 - - - new\nf /etc/only :0640\nf+ /etc/forced - - - - new\nf~ /etc/base64 - - - - YQpi\n\
             L /etc/link - - - - ../x\\x20y\nL /etc/there2 - - - - new\nL+ /etc/linked - - - - new\n\
             L /etc/factory\nC /etc/copy - - - - /usr/share/from\nC /etc/mode 0600 - - - /usr/share/from/one\nC /etc/known\n\
             C /etc/full - - - - /usr/share/from\nC /etc/none - - - - /usr/share/none\nz /etc/z* 0700\nZ /etc/tree ~0750\n\
             m /etc/m 0600\ne /etc/e* 0711\nz /etc/absent 0755\nd= /etc/wrong\nd /etc/twice 0700\nd /etc/twice 0711\n\
             d /etc/later/x\nd /etc/later 0700\nd /opt//x/./y/\n";
        let files =
            ["etc/there", "etc/there2", "etc/only", "etc/forced", "etc/z1", "etc/.z", "etc/m", "etc/e1/x", "etc/e2"];
        let more = ["etc/wrong", "etc/tree/a/b", "etc/full/own", "usr/share/from/one"];
        let last = ["usr/share/from/below/two", "usr/share/factory/etc/known"];
        let origin: Arc<str> = "test".into();
        let (mut tree, dir) = (Tree::default(), tempfile::tempdir().unwrap());
        for path in files.iter().chain(&more).chain(&last) {
            let mode = if path.ends_with("a/b") { 0o444 } else { 0o644 };
            tree.insert(path.as_bytes(), Node::file(mode, (*path).to_owned(), &origin), |_, _| Verdict::Refuse)
                .unwrap();
            let there = dir.path().join(path);
            fs::create_dir_all(there.parent().unwrap()).unwrap();
            fs::write(&there, path).unwrap();
            fs::set_permissions(&there, fs::Permissions::from_mode(mode.into())).unwrap();
        }
        tree.insert(b"etc/linked", Node::symlink("old", &origin), |_, _| Verdict::Refuse).unwrap();
        symlink("old", dir.path().join("etc/linked")).unwrap();
        apply(&mut tree, &declaration::lines("x.conf", lines), &Accounts::default(), &origin).unwrap();

        let conf = dir.path().join("x.conf");
        fs::write(&conf, lines).unwrap();
        let mut judge = std::process::Command::new("systemd-tmpfiles");
        let output = judge.args(["--create", "--root"]).arg(dir.path()).arg(&conf).output();
        let output = output.unwrap_or_else(|error| panic!("systemd-tmpfiles: {error}: run ci/setup"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(conf).unwrap();
        let (ours, theirs) = (in_tree(&tree), in_folder(dir.path()));
        for path in ours.keys().chain(theirs.keys()) {
            assert_eq!(ours.get(path), theirs.get(path), "{path}");
        }
        assert_eq!(ours["etc/file"].2, b"a\nb A %m /tmp");
    }
}
