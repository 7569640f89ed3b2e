use super::*;

fn origin(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn file(text: &str, from: &str) -> Node {
    Node::file(0o644, text.to_owned(), &origin(from))
}

fn link(target: &str, from: &str) -> Node {
    Node::symlink(target, &origin(from))
}

fn dir(mode: u16, from: &str) -> Node {
    Node::dir(mode, &origin(from))
}

fn hard(target: &str, from: &str) -> Node {
    Node { kind: Kind::HardLink(target.into()), ..file("", from) }
}

fn put(tree: &mut Tree, path: &str, node: Node) -> Result<String, String> {
    let put = tree.insert(path.as_bytes(), node, |_, _| Verdict::Refuse);
    put.map(|path| String::from_utf8(path).unwrap()).map_err(|error| error.to_string())
}

/// A tree with a merged `/usr`, as in every image.
fn merged() -> Tree {
    let mut tree = Tree::default();
    put(&mut tree, "usr/lib", dir(0o755, "berth")).unwrap();
    put(&mut tree, "lib", link("usr/lib", "berth")).unwrap();
    tree
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.iter().map(|(path, _)| std::str::from_utf8(path).unwrap()).collect()
}

#[test]
fn parents_are_made_and_links_to_folders_followed() {
    let mut tree = merged();
    assert_eq!(put(&mut tree, "./lib/modules/1/a.ko", file("a", "package x")).unwrap(), "usr/lib/modules/1/a.ko");
    assert_eq!(put(&mut tree, "./lib/", dir(0o700, "package x")).unwrap(), "usr/lib");
    assert_eq!(tree.get(b"usr/lib").unwrap().meta.mode, 0o755, "the metadata of the first folder stays");
    assert_eq!(tree.get(b"usr/lib/modules").unwrap().origin.as_ref(), IMPLIED);
    put(&mut tree, "usr/lib/modules", dir(0o750, "package x")).unwrap();
    assert_eq!(tree.get(b"usr/lib/modules").unwrap().meta.mode, 0o750, "a declared folder replaces an implied one");
    assert_eq!(tree.lookup(b"lib/modules/1/a.ko").unwrap().0, b"usr/lib/modules/1/a.ko");
    assert_eq!(tree.data(b"lib/modules/1/a.ko").unwrap().to_bytes().unwrap().as_ref(), b"a");
    assert_eq!(
        paths(&tree),
        ["", "lib", "usr", "usr/lib", "usr/lib/modules", "usr/lib/modules/1", "usr/lib/modules/1/a.ko"]
    );
    let names: Vec<_> = tree.children(b"usr/lib").map(|(name, _, _)| name).collect();
    assert_eq!(names, [b"modules"]);
    assert_eq!(tree.below(b"usr/lib").count(), 3);
}

#[test]
fn siblings_that_sort_between_a_folder_and_its_children_are_not_its_children() {
    let mut tree = Tree::default();
    for path in ["a/x", "a-b", "a.c/y", "a0"] {
        put(&mut tree, path, file("", "package x")).unwrap();
    }
    assert_eq!(tree.children(b"a").map(|(name, _, _)| name).collect::<Vec<_>>(), [b"x"]);
    assert_eq!(tree.children(b"").count(), 4);
    // The folder `a` stays, because `a/x` is in it. `a-b` and `a.c` sort between the two.
    assert_eq!(tree.remove_if(|path, _| path.starts_with(b"a") && path != b"a/x"), 4);
    assert_eq!(paths(&tree), ["", "a", "a/x"]);
}

#[test]
fn errors_name_both_origins() {
    let mut tree = merged();
    put(&mut tree, "etc/a", file("1", "package one")).unwrap();
    put(&mut tree, "etc/l", link("a", "package one")).unwrap();
    for (path, node, message) in [
        ("etc/a", file("1", "package two"), "/etc/a: both package one and package two ship this path"),
        ("lib/../etc", dir(0, "package two"), "package two: path \"lib/../etc\": it has a component \"..\""),
        ("etc/a", dir(0o755, "package two"), "/etc/a: package two has a folder where package one has a file"),
        ("etc", file("", "package two"), "/etc: package two has a file where package one has a folder"),
        ("", file("", "package two"), "/: package two has a file where every image has a folder"),
        (
            "etc/a/b",
            file("", "package two"),
            "/etc/a/b: package two ships this path, but /etc/a of package one is a file",
        ),
        ("/etc/b", file("", "package two"), "package two: path \"/etc/b\": it is absolute"),
        ("etc/l", link("b", "package two"), "/etc/l: both package one and package two ship this path"),
        (
            "etc/s",
            link("../../x", "package two"),
            "package two: /etc/s is a symbolic link to ../../x, which leaves the image",
        ),
        (
            "etc/s",
            link("/../x", "package two"),
            "package two: /etc/s is a symbolic link to /../x, which leaves the image",
        ),
        (
            "etc/h",
            hard("etc/none", "package two"),
            "package two: /etc/h is a hard link to etc/none: the target does not exist yet",
        ),
        ("etc/h", hard("etc", "package two"), "package two: /etc/h is a hard link to etc: the target is a folder"),
        (
            "etc/h",
            hard("etc/h", "package two"),
            "package two: /etc/h is a hard link to etc/h: the target is the link itself",
        ),
        (
            "etc/h",
            hard("../x", "package two"),
            "package two: /etc/h is a hard link to ../x: package two: path \"../x\": it has a component \"..\"",
        ),
    ] {
        assert_eq!(put(&mut tree, path, node), Err(message.to_owned()), "{path}");
    }
    assert_eq!(
        put(&mut tree, "etc/l", link("a", "package two")),
        Ok("etc/l".to_owned()),
        "two equal links are one link"
    );
    assert_eq!(tree.get(b"etc/l").unwrap().origin.as_ref(), "package one");
}

#[test]
fn parents_with_link_loops_or_above_the_root_are_errors() {
    let mut tree = Tree::default();
    for (path, target) in [("loop", "loop"), ("a", "b"), ("b", "a"), ("deep/up", "../../..")] {
        let node = link(target, "package x");
        tree.nodes.insert(path.into(), node);
    }
    for (path, message) in [
        ("loop/x", "/loop leads through too many symbolic links"),
        ("a/x", "/b leads through too many symbolic links"),
        ("deep/up/x", "/deep/../../.. leads out of the image"),
    ] {
        let found = put(&mut tree, path, file("", "package y")).unwrap_err();
        assert!(found.ends_with(message.split_once(' ').unwrap().1), "{path}: {found}");
    }
}

#[test]
fn the_caller_decides_between_two_files_at_one_path() {
    let mut tree = Tree::default();
    put(&mut tree, "f", file("old", "package one")).unwrap();
    for (verdict, text) in [(Verdict::KeepOld, "old"), (Verdict::TakeNew, "new")] {
        tree.insert(b"f", file("new", "package two"), |_, _| verdict).unwrap();
        assert_eq!(tree.data(b"f").unwrap().to_bytes().unwrap().as_ref(), text.as_bytes());
    }
}

#[test]
fn a_hard_link_becomes_the_file_when_the_file_is_removed() {
    let mut tree = merged();
    put(&mut tree, "lib/one", file("text", "package x")).unwrap();
    put(&mut tree, "lib/two", hard("./lib/one", "package x")).unwrap();
    put(&mut tree, "lib/three", hard("lib/two", "package x")).unwrap();
    assert_eq!(tree.get(b"usr/lib/three").unwrap().kind, Kind::HardLink(b"usr/lib/one".to_vec()));
    tree.insert(b"usr/lib/one", file("other", "overlay o"), |_, _| Verdict::TakeNew).unwrap();
    assert_eq!(tree.data(b"usr/lib/two").unwrap().to_bytes().unwrap().as_ref(), b"text");
    assert_eq!(
        tree.get(b"usr/lib/two").unwrap().kind,
        Kind::HardLink(b"usr/lib/three".to_vec()),
        "the first hard link becomes the file"
    );
    tree.remove(b"usr/lib/three").unwrap();
    assert!(matches!(tree.get(b"usr/lib/two").unwrap().kind, Kind::File(_)));
    tree.remove(b"usr").unwrap();
    assert_eq!(paths(&tree), ["", "lib"]);
}
