use super::*;
use crate::{
    assemble::declaration,
    tree::{Node, Verdict},
};
use std::{fs, os::unix::fs::chown, process::Command, sync::Arc};

/// Lines, on a system with the users root and u (1000) and the groups root, u (1000), g (2000) and adm (4).
const ROWS: &[&str] = &[
    "u a 1000",
    "u a 2000",
    "u a 4",
    "g a 4",
    "g a 1000",
    "u a",
    "u a -:g",
    "u a 300:g",
    "u a 300:2000",
    "u a 1000:g",
    "u a /srv/f",
    "u a /srv/root",
    "u a /srv/none",
    "g a /srv/f",
    "m a g",
    "m a newgroup",
    "m u g\nm u adm",
    "r - 500-510\nu a\nu b",
    "r - 0-10\nu a",
    "u! a 300 \"Comment here\" /home/a /bin/sh",
    "u! a\nu a 350",
    "u a 350\nu a 360",
    "g a 350\nu a",
    "g a 350\nu a 360",
    "u a 360\ng a 350",
    "u a 360\ng b 360",
    "g b 360\nu a 360",
    "g root 5",
    "u root 5 x",
    "u u 7",
    "u a 300:u",
    "u a -:2000",
    "g b 300\nu a 300:b",
    "u a 300\nu b 300:a",
];

const PASSWD: &str = "root:x:0:0::/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nu:x:1000:\ng:x:2000:\nadm:x:4:\n";

/// The accounts as text. A number that no line asks for is left out: Berth derives it from the name, systemd does not.
fn shown(passwd: &str, group: &str) -> (Vec<String>, Vec<String>) {
    let number = |text: &str| {
        let known = ["0", "4", "5", "7", "300", "350", "360", "701", "702", "1000", "2000"].contains(&text);
        if known { text.to_owned() } else { "any".to_owned() }
    };
    let row = |line: &str, ids: &[usize]| {
        let fields = line.split(':').enumerate();
        fields
            .map(|(at, field)| if ids.contains(&at) { number(field) } else { field.to_owned() })
            .collect::<Vec<_>>()
            .join(":")
    };
    let rows = |text: &str, ids: &[usize]| {
        let mut rows: Vec<String> = text.lines().map(|line| row(line, ids)).collect();
        rows.sort();
        rows
    };
    (rows(passwd, &[2, 3]), rows(group, &[2]))
}

/// The same users and groups as systemd-sysusers 257 makes, with the same numbers where a line asks for one.
#[test]
fn accounts_are_those_of_systemd() {
    let judge = berth_judge::newer("systemd-sysusers");
    berth_judge::needs!(judge);
    if berth_judge::missing_root() {
        return;
    }
    let origin = Arc::from("test");
    for lines in ROWS {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in ["etc", "srv"] {
            fs::create_dir(at(folder)).unwrap();
        }
        for (path, text) in [("etc/passwd", PASSWD), ("etc/group", GROUP), ("srv/f", ""), ("srv/root", "")] {
            fs::write(at(path), text).unwrap();
        }
        chown(at("srv/f"), Some(701), Some(702)).unwrap();
        let mut tree = Tree::default();
        let mut file = Node::file(0o600, String::new(), &origin);
        tree.insert(b"srv/root", file.clone(), |_, _| Verdict::Refuse).unwrap();
        (file.meta.uid, file.meta.gid) = (701, 702);
        tree.insert(b"srv/f", file, |_, _| Verdict::Refuse).unwrap();

        let mut accounts = crate::assemble::accounts::parse(("passwd", PASSWD), ("group", GROUP)).unwrap();
        apply(&mut accounts, &declaration::lines("x.conf", lines), &tree).unwrap();
        fs::write(at("x.conf"), format!("{lines}\n")).unwrap();
        let output = Command::new(&judge).arg("--root").arg(dir.path()).arg(at("x.conf")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let passwd = crate::assemble::accounts::passwd_text(&accounts);
        let group = crate::assemble::accounts::group_text(&accounts);
        let theirs = ["etc/passwd", "etc/group"].map(|path| fs::read_to_string(at(path)).unwrap());
        assert_eq!(shown(&passwd, &group), shown(&theirs[0], &theirs[1]), "{lines}\n{said}");
    }
}

/// systemd-sysusers makes no such user either; the build says it.
#[test]
fn a_primary_group_must_exist() {
    for (line, reason) in
        [("u a 300:400", "there is no group with the id 400"), ("u a -:nogroup", "there is no group \"nogroup\"")]
    {
        let lines = declaration::lines("x.conf", line);
        let error = apply(&mut Accounts::default(), &lines, &Tree::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("x.conf:1: {line:?}: {reason}"));
    }
}
