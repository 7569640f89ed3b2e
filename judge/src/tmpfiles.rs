//! systemd-tmpfiles as a judge: what it makes of a folder with some lines of tmpfiles.d(5), compared with what Berth's code makes of it.

#![expect(clippy::unwrap_used, reason = "only tests call this module")]

use crate::newer;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    process::Command,
};

/// A case: a shell script that makes files in a folder, and lines. They use the user `u` (1000) and the group `g` (2000).
pub type Row = (&'static str, &'static str);

/// The cases of the table. Each is about one rule.
pub const ROWS: &[Row] = &[
    // An omitted mode or owner is a default for what is made, and leaves what is there.
    ("mkdir -m 700 d; chown 1000:2000 d; touch f; chmod 400 f", "d /v/d\nf /v/f\nd /v/new\nf /v/newfile"),
    ("mkdir -m 700 d; chown 1000:2000 d; touch f", "d /v/d - u\nz /v/f - - g\nz /v/d 0711"),
    ("mkdir -m 700 -p d/e; touch d/f; chown -R 1000:2000 d", "Z /v/d\nz /v/d/*"),
    ("mkdir d a; chmod 500 d", "d /v/d :0700 :u :g\nd /v/new :0700 :u :g\nd /v/a ~1777\nd /v/b ~1777\nf /v/c ~4711"),
    ("touch f; chmod 4755 f; mkdir d; chmod 6755 d", "z /v/f - u\nz /v/d - u g"),
    ("", "d /v/a/b 1750\nf /v/x/y/z 0600 u g - content\nL /v/p/q - - - - t\nC /v/m/n - - - - /etc/passwd\np /v/i/j"),
    // What is there is of another type.
    ("echo x > f", "d /v/f 0700"),
    ("echo x > f", "d= /v/f 0700"),
    ("mkdir d; ln -s d l", "d /v/l 0700 u"),
    ("mkdir d; ln -s d l", "d= /v/l 0700"),
    ("ln -s none l", "d /v/l 0700"),
    ("mkdir d; touch d/x", "f= /v/d 0700 - - - x"),
    ("echo x > f", "d /v/f/x"),
    (
        "echo x > p; echo x > q; echo x > r; echo x > c; echo x > b",
        "p /v/p 0600\np+ /v/q\np= /v/r\nc+ /v/c 0600 - - - 1:3\nb /v/b 0600 - - - 7:9",
    ),
    ("mknod c c 1 3; mkfifo p; mknod e c 1 3", "c /v/c 0600 - - - 1:5\np /v/p 0600 u\nc= /v/e 0600 - - - 1:5"),
    ("mknod c c 1 3; mkdir d; touch d/x", "c+ /v/c 0600 - - - 1:5\nb+ /v/d 0600 - - - 1:5"),
    ("", "p /v/p\np /v/q 0600 u g\nc /v/c 0600 - - - 1:3\nb /v/b - - - - 7:9"),
    // Content.
    (
        "echo abcdef > f; echo old > g",
        "f /v/f 0600 - - - new\nf+ /v/g - - - - n\nF /v/h - - - - F\nf~ /v/b - - - - YQpi",
    ),
    ("echo abcdef > g", "f+ /v/g"),
    ("", "f /v/f - - - - a\\nb \\x41 %% %%m %T\nf \"/v/a b\" 0600 - - - two  words"),
    ("echo abcdef > f; ln -s f l", "w /v/l 0700 - - - x"),
    ("echo abcdef > f; echo y > g", "w /v/[fg] 0600 u - - x\nw+ /v/g - - - - more\nw /v/none - - - - x"),
    ("touch a", "w /v/a - - - - 1\nw /v/a - - - - 22"),
    ("", "f /v/a - - - - x\nw /v/a - - - - 22\nz /v/a 0600"),
    // Links.
    (
        "mkdir d; touch d/f; touch f; ln -s a l; ln -s a same",
        "L+ /v/d - u - - t\nL+ /v/f - - - - t\nL /v/l - u - - t\nL /v/same - u g - a",
    ),
    ("mkdir d; touch d/f; touch f; ln -s a l", "L= /v/d - u - - t\nL= /v/f - - - - t\nL= /v/l - - - - t"),
    ("ln -s old l; touch kept", "L+ /v/l - - - - new\nL /v/kept - - - - new\nL /v/factory\nL /v/x - - - - ../x\\x20y"),
    ("", "L? /v/a - - - - none\nL? /v/b - - - - /etc/passwd\nL? /v/d - - - - /none"),
    // Copies.
    (
        "mkdir -p s/a; echo x > s/f; chmod 640 s/f; ln -s f s/l; mkfifo s/p; mknod s/c c 1 3; ln s/f s/h; chown 5:6 s/f",
        "C /v/c 0700 u - - /v/s\nC /v/x - - - - /v/s/f\nC /v/l - - - - /v/s/l\nC /v/p - - - - /v/s/p\nC /v/none - - - - /v/none2",
    ),
    ("mkdir -p c s/a; echo x > s/f; echo old > c/f; echo x > s/a/b", "C /v/c 0700 u - - /v/s"),
    ("mkdir -p c s/a; echo x > s/f; echo old > c/f; echo x > s/a/b", "C+ /v/c 0700 u - - /v/s"),
    ("mkdir -p c s/a; echo x > s/f", "C /v/c - - - - /v/s"),
    ("echo x > c; mkdir s; echo x > s/f", "C /v/c 0700 u - - /v/s"),
    ("echo x > c; mkdir s; echo x > s/f", "C= /v/c 0700 u - - /v/s"),
    ("mkdir c; mkdir s; echo x > s/f", "C /v/c 0600 u - - /v/s/f"),
    ("echo old > c; mkdir s; echo x > s/f", "C /v/c 0600 u - - /v/s/f"),
    ("echo old > c; mkdir s; echo x > s/f", "C+ /v/c :0600 :u - - /v/s/f"),
    // Patterns.
    ("touch .a a b c", "z /v/* 0600\nz /v/.* 0640\nz /v/{b,c} 0644 u\nz /v/[!a] - - g"),
    ("touch a b 'c*' cd", "z /v/\\\\a 0777\nz '/v/c\\\\*' 0700"),
    ("mkdir -p t/a t/.b; touch t/a/b t/.b/c; chmod 444 t/a/b", "Z /v/t ~0750 u g"),
    ("mkdir -p d/s; touch d/f; ln -s f d/l; ln -s s d/k", "Z /v/d 0750 u g"),
    ("mkdir -p d/s; touch d/f; ln -s f d/l; ln -s s d/k", "z /v/d/l 0600 u\nz /v/d/k 0700 u\nm /v/d/f 0600"),
    ("mkdir -p e1/x e2; touch e3; ln -s e2 l", "e /v/e[12] 0711\ne /v/l 0700"),
    ("mkdir d; touch d/f; ln -s d l", "z /v/l/f 0600\nz /v/l/* - u"),
    // Removing.
    ("mkdir -p d e; touch e/x g h", "r /v/d\nR /v/e*\nr! /v/g\nr /v/none\nR /v/none"),
    ("mkdir -p d/s", "r /v/d\nr /v/d/s"),
    ("mkdir -p d/s; touch d/s/f d/g", "D /v/d 0700"),
    ("mkdir -p d/s; touch d/s/f d/g", "D! /v/d 0700\nx /v/d/g"),
    ("mkdir -p d/s; touch d/s/f d/s/g d/h", "D /v/d 0700\nx /v/d/s/f"),
    ("mkdir -p d/s; touch d/s/f d/g", "D /v/d 0700\nd /v/d/s 0711"),
    ("mkdir -p d/s; touch d/s/f d/g", "D /v/d 0700\nz /v/d/* 0711"),
    ("mkdir -p d/s; echo old > d/g", "D! /v/d 0700\nf /v/d/g 0600 - - - new"),
    ("mkdir -p d/s; touch d/s/f d/g d/s/h", "R /v/d\nx /v/d/s/f\nX /v/d/g"),
    ("mkdir -p d/s; touch d/s/f; ln -s d l; ln -s d k", "R /v/l\nR /v/k/*\nD /v/k"),
    ("mkdir -p d/s", "R /v/d\nd /v/d/s 0700"),
    // Order, and lines for one path.
    ("mkdir d", "z /v/d 0700 u\nz /v/d 0750\nd /v/d 0711"),
    ("touch a", "f /v/a - u\nf /v/a 0600\nd /v/twice 0700\nd /v/twice 0711"),
    ("", "d /v/later/x\nd /v/later 0700\nd /v//y/./z/"),
    ("", "d /v/../w 0700\nd- /v/x 0700 unknown\nd /v/run 0700\nd /var/run/x"),
    ("", "d /v/x 0700 unknown\nd /v/y 0700 - unknown\nd /v/z 0700 1234 5678\nf^ /v/f - - - - none\nd? /v/q"),
    ("mkdir D v q Q", "v /v/v\nq /v/q 0700\nQ /v/Q 0711 u\nv /v/new\nv= /v/D"),
];

/// What lies in a folder: path → kind, mode, owner, and content, target or device number.
pub type Listing = BTreeMap<String, String>;

/// Runs a script that makes files in the folder `v` of a root. The script's files have no surprise from the umask.
///
/// # Panics
/// If a file cannot be made.
pub fn prepare(root: &Path, script: &str) {
    fs::create_dir_all(root.join("v")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\ng:x:2000:\n").unwrap();
    let script = format!("set -e; umask 022; cd v; {script}");
    assert!(Command::new("sh").args(["-c", &script]).current_dir(root).status().unwrap().success(), "{script}");
}

/// Applies lines with systemd-tmpfiles, as at boot, and returns what it says.
///
/// # Panics
/// If it cannot be run.
#[must_use]
pub fn apply(root: &Path, lines: &str) -> String {
    let conf = root.join("etc/judge.conf");
    fs::write(&conf, format!("{lines}\n")).unwrap();
    let mut judge = Command::new(newer("systemd-tmpfiles"));
    judge.args(["--create", "--remove", "--boot", "--root"]).arg(root).arg(&conf);
    let output = judge.output().unwrap();
    fs::remove_file(conf).unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Lists a root, without /etc.
///
/// # Panics
/// If something cannot be read.
#[must_use]
pub fn listing(root: &Path) -> Listing {
    let (mut all, mut open) = (Listing::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let kind = found.file_type();
            let content = match kind {
                _ if kind.is_dir() => {
                    open.push(path.clone());
                    String::new()
                }
                _ if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                _ if kind.is_file() => String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned(),
                // Numbers up to 255: the first byte is the minor, the second the major number.
                _ if kind.is_char_device() || kind.is_block_device() => {
                    format!("{}:{}", found.rdev() >> 8, found.rdev() & 0xff)
                }
                _ => String::new(),
            };
            let word = match kind {
                _ if kind.is_dir() => "folder",
                _ if kind.is_symlink() => "symbolic link",
                _ if kind.is_file() => "file",
                _ if kind.is_char_device() => "character device",
                _ if kind.is_block_device() => "block device",
                _ => "named pipe",
            };
            let name = path.strip_prefix(root).unwrap().display().to_string();
            all.insert(name, row(word, found.mode() & 0o7777, (found.uid(), found.gid()), &content));
        }
    }
    all.retain(|path, _| path != "etc" && !path.starts_with("etc/"));
    all
}

/// One entry of a listing.
#[must_use]
pub fn row(kind: &str, mode: u32, (uid, gid): (u32, u32), content: &str) -> String {
    format!("{kind} {mode:04o} {uid}:{gid} {content:?}")
}

/// Cases of access control lists and file attributes, compared by [`attributes`].
pub const ATTRIBUTE_ROWS: &[Row] = &[
    ("touch f; chmod 640 f; mkdir d", "a /v/f - - - - u:1000:rw,g:4:r\na /v/d - - - - u:1000:rwx,m::rx"),
    ("touch f; chmod 640 f", "a /v/f - - - - user::rwx,group::r-x,other::---"),
    ("touch f; chmod 640 f", "a /v/f - - - - g::rw,o::r\na /v/f - - - - o:r"),
    ("mkdir d", "a /v/d - - - - d:u:1000:rwx,default:group:4:r-x,u:5:rx"),
    ("mkdir -m 750 d; touch d/f", "a+ /v/d - - - - d:group::r-x,d:group:4:r-x\na+ /v/d/f - - - - d:group:4:r"),
    ("touch f", "a /v/f - - - - u:1000:rw\na+ /v/f - - - - u:1001:rwx,u:1000:r"),
    ("touch f; chmod 600 f", "a /v/f - - - - u:1000:rw\na /v/f - - - - u:1001:r"),
    ("mkdir d", "a /v/d - - - - d:u:1000:rw\na+ /v/d - - - - d:u:1001:rwx"),
    ("touch f g; chmod 750 g; mkdir d", "a /v/f - - - - u:1000:rwX\na /v/g - - - - u:1000:rX\na+ /v/d - - - - g:4:X"),
    ("touch f; chmod 711 f", "a /v/f - - - - u:1000:rX,u:1001:w\na+ /v/f - - - - g:4:rX"),
    ("mkdir -p d/e; touch d/f d/e/g; chmod 700 d/e/g; ln -s f d/l", "A /v/d - - - - u:1000:rX,d:u:1000:rwx"),
    ("mkdir -p d/e; touch d/f d/e/g; chmod 755 d/e/g", "A+ /v/d - - - - g:4:rX,d:g:4:rx"),
    ("touch f; chmod 640 f", "a /v/f - - - - u:1000:rw\nz /v/f 0700"),
    ("touch f; chmod 640 f", "z /v/f 0604\na /v/f - - - - g:4:r"),
    ("touch f", "a /v/f - - - - root:rw\na /v/f - - - - u:1000:rq\na /v/f"),
    ("touch f; mkdir d; mkfifo p", "h /v/f - - - - +A\nh /v/d - - - - =dS\nh /v/p - - - - +A\nh /v/none - - - - +A"),
    ("mkdir -p d/e; touch d/f; chattr +d d/f", "H /v/d - - - - A\nh /v/d/f - - - - -d\nh /v/d - - - - +D"),
    ("touch f", "h /v/f - - - - +C\nh /v/f - - - - +q"),
];

/// Mode, access control lists and file attributes of all paths below a root, without /etc.
///
/// # Panics
/// If something cannot be read.
#[must_use]
pub fn attributes(root: &Path) -> Listing {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/attributes.py");
    let output = Command::new("python3").arg(script).arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(|line| line.split_once('\t').unwrap()).map(|(path, row)| (path.into(), row.into()));
    rows.filter(|(path, _): &(String, String)| path != "etc" && !path.starts_with("etc/")).collect()
}
