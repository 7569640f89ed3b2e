//! What maintainer scripts and owners in packages do to the tree.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::assemble_kit::{Bench, Deb, id, text};
use berth::tree::{Kind, Node, Tree};

fn linked(tree: &Tree, path: &str) -> String {
    match &tree.get(path.as_bytes()).unwrap().kind {
        Kind::Symlink(target) => String::from_utf8(target.clone()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_changes_of_scripts_are_made_in_the_image() {
    let script = "addgroup --system g\nadduser --system --no-create-home --home /nonexistent u\n\
                  chown u:g /usr/bin/tool\nchmod 6755 /usr/bin/tool\nsetcap cap_net_raw+ep /usr/bin/capable\n\
                  ucf /usr/share/t/t.conf /etc/t.conf\nucf /usr/share/t/t.conf /etc/own.conf\nchmod 0640 /etc/own.conf\n\
                  mkdir -p /var/lib/t/inner\nchown -R u: /var/lib/t\nln -s tool /usr/bin/link\nchgrp g /usr/bin/link\n\
                  cat > /etc/made <<EOF\n$1\nEOF\necho more >> /etc/made\ntmp=$(mktemp)\necho x > $tmp\nmv $tmp /etc/moved\n\
                  touch /etc/gone\nrm /etc/gone\nchmod u-x /usr/bin/hard";
    let mut bench = Bench::new();
    bench
        .add(
            Deb::new("t")
                .file("usr/bin/tool", "tool")
                .file("usr/bin/capable", "capable")
                .mode("usr/bin/tool", 0o755)
                .hard_link("usr/bin/also", "usr/bin/tool")
                .file("usr/bin/hard", "hard")
                .mode("usr/bin/hard", 0o755)
                .hard_link("usr/bin/hard-too", "usr/bin/hard")
                .file("usr/share/t/t.conf", "theirs")
                .copyright()
                .script("postinst", script),
        )
        .overlay("own", &[("etc/own.conf", "ours")]);
    let assembled = bench.assemble().unwrap();
    let tree = &assembled.tree;
    let (u, g) =
        (id(tree, "u"), text(tree, "etc/group").lines().find(|line| line.starts_with("g:")).unwrap().to_owned());
    let g: u32 = g.split(':').nth(2).unwrap().parse().unwrap();
    let meta = |path: &str| {
        let (real, node) = tree.lookup(path.as_bytes()).unwrap();
        let first = if let Kind::HardLink(first) = &node.kind { first.clone() } else { real };
        let meta = &tree.get(&first).unwrap().meta;
        (meta.mode, meta.uid, meta.gid)
    };
    assert_eq!(meta("usr/bin/tool"), (0o755, u, g), "a later chgrp takes the set-id bits away");
    assert_eq!(meta("usr/bin/hard-too"), (0o655, 0, 0));
    assert_eq!(meta("etc/own.conf"), (0o640, 0, 0));
    assert_eq!((text(tree, "etc/t.conf"), text(tree, "etc/own.conf")), ("theirs".into(), "ours".into()));
    assert_eq!((text(tree, "etc/made"), text(tree, "etc/moved")), ("configure\nmore\n".into(), "x\n".into()));
    assert!(tree.get(b"etc/gone").is_none() && tree.get(b"tmp").is_none_or(|_| tree.children(b"tmp").count() == 0));
    assert_eq!(linked(tree, "usr/bin/link"), "tool");
    let xattrs = &tree.get(b"usr/bin/capable").unwrap().meta.xattrs;
    assert_eq!(xattrs[&b"security.capability"[..]][..8], [1, 0, 0, 2, 0, 0x20, 0, 0]);
    assert_eq!(assembled.warnings, Vec::<String>::new());
    let declared = text(tree, "usr/lib/tmpfiles.d/00-packages.conf");
    assert!(declared.contains(&format!("d /var/lib/t/inner :0755 :{u} :{u} -")), "{declared}");
}

/// A copy that is made at boot has no capabilities.
#[test]
fn a_file_below_var_cannot_have_capabilities() {
    let mut bench = Bench::new();
    let script = "setcap cap_net_raw+ep /var/lib/t/capable";
    bench.add(Deb::new("t").file("var/lib/t/capable", "x").copyright().script("postinst", script));
    let fault = bench.fault();
    let (message, hint) = fault.split_once('\n').unwrap();
    assert_eq!(
        message,
        "/var/lib/t/capable of package t: has file capabilities, which a file below /var or /run would lose at boot"
    );
    assert!(hint.contains("put a file with capabilities below /usr"), "{hint}");
}

/// dpkg takes the names of owners first, and their numbers only if the system has no such account.
#[test]
fn owners_of_files_go_by_name_first() {
    let mut bench = Bench::new();
    let mut deb = Deb::new("owned").copyright().script("preinst", "addgroup --system --gid 432 later");
    for (path, owner) in [("one", "nobody:7:later:9"), ("two", "unheard:7:of:9"), ("three", "root:7:root:9")] {
        deb = deb.file(&format!("usr/share/owned/{path}"), path).owner(&format!("usr/share/owned/{path}"), owner);
    }
    bench.add(deb);
    let tree = bench.assemble().unwrap().tree;
    let meta = |path: &str| {
        let meta = &tree.get(format!("usr/share/owned/{path}").as_bytes()).unwrap().meta;
        (meta.uid, meta.gid)
    };
    assert_eq!((meta("one"), meta("two"), meta("three")), ((65534, 432), (7, 9), (0, 0)));
}

/// base-files makes /opt; an overlay may make it a link into /var.
#[test]
fn a_link_of_an_overlay_stays_where_a_script_makes_a_folder() {
    let mut bench = Bench::new();
    let script = "mkdir -p /opt/t\n[ -d /srv ] || mkdir /srv\nchown root:root /srv\nchmod 0755 /srv";
    bench.add(Deb::new("t").copyright().script("postinst", script));
    let node = Node::symlink("var/srv", &"overlay own".into());
    bench.overlays.push(vec![(b"srv".to_vec(), node)]);
    assert_eq!(linked(&bench.assemble().unwrap().tree, "srv"), "var/srv");
}
