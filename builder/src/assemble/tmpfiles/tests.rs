use super::*;
use crate::{
    assemble::{
        account::{Group, User},
        declaration,
    },
    tree::{Kind, Meta, Node, TreePath, Verdict},
};
use berth_judge::tmpfiles as judge;
use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
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
    let mut warnings = Vec::new();
    apply(&mut tree, &lines, &accounts, &origin, &mut warnings).unwrap();
    let text =
        |path: &str| String::from_utf8(tree.data(path.as_bytes()).unwrap().to_bytes().unwrap().to_vec()).unwrap();
    let meta = |path: &str| (tree.get(path.as_bytes()).unwrap().meta.mode, tree.get(path.as_bytes()).unwrap().meta.gid);
    assert_eq!((meta("etc/dir"), meta("etc/dir/deep")), ((0o750, 7), (0o755, 0)));
    assert_eq!((text("etc/file"), meta("etc/file")), ("one\ttwo\n".to_owned(), (0o640, 7)));
    assert_eq!((text("etc/there"), meta("etc/there")), ("new".to_owned(), (0o444, 0)));
    // If two lines create the same path, the first line counts.
    assert_eq!((text("etc/forced"), text("etc/conf"), text("etc/y/z")), ("a".into(), "conf".into(), "zz".into()));
    assert_eq!(tree.get(b"etc/link").unwrap().kind, Kind::Symlink(b"../usr/x".to_vec()));
    assert_eq!(tree.get(b"etc/factory").unwrap().kind, Kind::Symlink(b"/usr/share/factory/etc/factory".to_vec()));
    assert!(tree.get(b"run").is_none() && tree.get(b"var").is_none());
    for (line, reason) in [
        ("d etc/x", "expected an absolute path"),
        ("d /etc/../x", "it has a component \"..\""),
        ("d /etc/x 0999", "expected a mode of up to four octal digits"),
        ("d /etc/x 0755 nobody-here", "the image has no user \"nobody-here\""),
        ("d", "expected a type and a path"),
    ] {
        let error = apply(&mut tree, &declaration::lines("x.conf", line), &accounts, &origin, &mut warnings)
            .unwrap_err()
            .to_string();
        assert_eq!(error, format!("x.conf:1: {line:?}: {reason}"));
    }
}

/// Lines that init applies are checked, and all faults are shown.
#[test]
fn lines_for_the_host_are_checked() {
    let (mut tree, origin, mut warnings) = (Tree::default(), Arc::from("test"), Vec::new());
    let lines = "d /run/a 0755 nobody-here\nd /run/%b/%v - root\nd- /run/b - nobody-here\nd /var/c - - 12\nd /var/d - - none\n\
        y /run/x\nd /run/%m - nobody-here\nd /run/e 0999\nd /etc/%b\na+ /var/f - - - - g:root:r,d:g:adm:r\nh /usr/x - - - - +i\nh /var/x - - - - +i\n";
    let accounts = Accounts {
        users: vec![User {
            name: "root".into(),
            uid: 0,
            gid: 0,
            comment: String::new(),
            home: "/".into(),
            shell: "/".into(),
            expired: false,
        }],
        groups: vec![],
    };
    let error = apply(&mut tree, &declaration::lines("x.conf", lines), &accounts, &origin, &mut warnings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.conf:1: \"d /run/a 0755 nobody-here\": the image has no user \"nobody-here\"\n\
         x.conf:5: \"d /var/d - - none\": the image has no group \"none\"\n\
         x.conf:8: \"d /run/e 0999\": expected a mode of up to four octal digits\n\
         x.conf:10: \"a+ /var/f - - - - g:root:r,d:g:adm:r\": the image has no group \"root\""
    );
    assert_eq!(
        warnings,
        [
            "x.conf:6: \"y /run/x\": unknown type 'y'; the line has no effect",
            "x.conf:11: \"h /usr/x - - - - +i\": the file system of the image has no such attributes; the line has no effect"
        ]
    );
    assert_eq!(tree.iter().count(), 1);
}

/// The target of `L?` is looked up where the link is.
#[test]
fn a_link_is_only_made_for_a_target_that_exists() {
    let (mut tree, origin) = (Tree::default(), Arc::from("test"));
    tree.insert(b"etc/a/here", Node::file(0o600, "".to_owned(), &origin), |_, _| Verdict::Refuse).unwrap();
    let lines = "L? /etc/a/one - - - - here\nL? /etc/two - - - - here\nL? /etc/b/three - - - - ../a/here\nL? /etc/f - - - - /etc/a/here";
    apply(&mut tree, &declaration::lines("x.conf", lines), &Accounts::default(), &origin, &mut Vec::new()).unwrap();
    let made: Vec<bool> =
        ["etc/a/one", "etc/two", "etc/b/three", "etc/f"].map(|path| tree.get(path.as_bytes()).is_some()).into();
    assert_eq!(made, [true, false, true, true]);
}

/// A folder as a tree.
fn tree_of(root: &Path, origin: &Arc<str>) -> Tree {
    let (mut tree, mut open) = (Tree::default(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let (major, minor) =
                (u32::try_from(found.rdev() >> 8).unwrap(), u32::try_from(found.rdev() & 0xff).unwrap());
            let kind = match found.file_type() {
                kind if kind.is_dir() => {
                    open.push(path.clone());
                    Kind::Directory
                }
                kind if kind.is_symlink() => {
                    Kind::Symlink(fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
                }
                kind if kind.is_file() => Kind::File(fs::read(&path).unwrap().into()),
                kind if kind.is_char_device() => Kind::CharDevice { major, minor },
                kind if kind.is_block_device() => Kind::BlockDevice { major, minor },
                _ => Kind::Fifo,
            };
            let mode = u16::try_from(found.mode() & 0o7777).unwrap();
            let meta = Meta { mode, uid: found.uid(), gid: found.gid(), ..Meta::default() };
            let path = path.strip_prefix(root).unwrap().as_os_str().as_encoded_bytes();
            tree.insert(path, Node { meta, kind, origin: Arc::clone(origin) }, |_, _| Verdict::TakeNew).unwrap();
        }
    }
    tree
}

fn listing(tree: &Tree) -> judge::Listing {
    let nodes = tree.iter().filter(|(path, _)| !path.is_empty() && !path.starts_with(b"etc"));
    let row = |(path, node): (&TreePath, &Node)| {
        let content = match &node.kind {
            Kind::File(data) => String::from_utf8_lossy(&data.to_bytes().unwrap()).into_owned(),
            Kind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => format!("{major}:{minor}"),
            _ => String::new(),
        };
        let owner = (node.meta.uid, node.meta.gid);
        let row = judge::row(node.kind.word(), node.meta.mode.into(), owner, &content);
        (String::from_utf8(path.clone()).unwrap(), row)
    };
    nodes.map(row).collect()
}

/// Modes and access control lists, as [`judge::attributes`] shows them.
fn lists_of(tree: &Tree) -> judge::Listing {
    let nodes = tree.iter().filter(|(path, _)| !path.is_empty() && !path.starts_with(b"etc"));
    let row = |(path, node): (&TreePath, &Node)| {
        let hex = |name: &str| {
            let value = node.meta.xattrs.get(name.as_bytes()).cloned().unwrap_or_default();
            value.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let (access, default) = (hex(tmpfiles::acl::ACCESS), hex(tmpfiles::acl::DEFAULT));
        let row = format!("{:04o} access={access} default={default} flags=0", node.meta.mode);
        (String::from_utf8(path.clone()).unwrap(), row)
    };
    nodes.map(row).collect()
}

/// Applies the same lines to a tree, and with systemd-tmpfiles 257 to a folder with the same files, and compares the results.
#[test]
fn lines_do_what_systemd_does() {
    berth_judge::needs!(berth_judge::newer("systemd-tmpfiles"));
    if berth_judge::missing_root() {
        return;
    }
    let (origin, mut wrong) = (Arc::from("test"), Vec::new());
    let user = User {
        name: "u".into(),
        uid: 1000,
        gid: 1000,
        comment: String::new(),
        home: "/".into(),
        shell: "/".into(),
        expired: false,
    };
    let group = Group { name: "g".into(), gid: 2000, members: vec![] };
    let accounts = Accounts { users: vec![user], groups: vec![group] };
    let lists = judge::ATTRIBUTE_ROWS.iter().filter(|(_, lines)| !lines.starts_with(['h', 'H']));
    for (script, lines) in judge::ROWS.iter().chain(lists) {
        let dir = tempfile::tempdir().unwrap();
        judge::prepare(dir.path(), script);
        let mut tree = tree_of(dir.path(), &origin);
        let parsed =
            lines.lines().filter_map(|text| Line::parse(text, &|_| None).ok()).map(|line| (line, ())).collect();
        let unapplied = tmpfiles::apply(&mut Image { tree: &mut tree, accounts: &accounts, origin: &origin }, parsed);
        let errors: Vec<String> = unapplied.into_iter().map(|((), error)| error.to_string()).collect();
        let said = judge::apply(dir.path(), lines);
        let (ours, theirs) = (listing(&tree), judge::listing(dir.path()));
        if ours != theirs || lists_of(&tree) != judge::attributes(dir.path()) {
            wrong.push(format!("{script} | {lines}\nours: {ours:#?} {errors:?}\nsystemd: {theirs:#?} {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
