//! File systems that we write, as kernels and foreign programs see them: every path, in everything that can be told of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod guest;
mod listing;
mod machine;
mod tree;

use berth_formats::{
    erofs::FileSystem,
    ext4,
    node::{Kind, Node},
    range::Range,
};
use common::judge;
use listing::{Holes, assert_same, digest, found, text};
use rustix::process::{getegid, geteuid};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
};
use tree::{EPOCH, everything, ordinary, planned, planned_var, var};

/// Not a test: the program of the virtual machine.
#[test]
fn guest_of_the_others() {
    if std::process::id() == 1 {
        guest::main();
    }
}

#[test]
fn linux_6_1_sees_what_was_planned() {
    as_planned_by("bookworm");
}

#[test]
fn linux_6_12_sees_what_was_planned() {
    as_planned_by("trixie");
}

/// What anybody may have made for himself is extracted by erofs-utils 1.5 and 1.8 (where this is Debian 12).
#[test]
fn erofs_utils_extract_what_was_planned() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("erofs");
    let maker = ordinary();
    write_erofs(&maker.0, &image);
    let mut planned = planned(&maker.0);
    let own = (geteuid().as_raw(), getegid().as_raw());
    planned.values_mut().for_each(|entry| entry.owner = own);
    for program in ["fsck.erofs", &young("fsck.erofs")] {
        let folder = scratch.path().join("extracted");
        let to = format!("--extract={}", folder.display());
        judge(program, &[&to, "--preserve-perms", "--no-preserve-owner", image.to_str().unwrap()]).unwrap();
        let mut wanted = planned.clone();
        if judge(program, &["-V"]).unwrap().contains(" 1.5") {
            // It makes a copy for every hard link.
            let files = wanted.values_mut().filter(|entry| entry.mode >> 12 == 0o10);
            files.for_each(|entry| (entry.nlink, entry.same_as) = (1, String::new()));
        }
        assert_same(&text(&wanted), &text(&found(&folder, Holes::Trust).unwrap()));
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// fsck.erofs 1.5 and 1.8 do not extract holes, not even those of their own mkfs.erofs; dump.erofs 1.8 reads them.
#[test]
fn erofs_utils_read_everything() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("erofs");
    let maker = everything(scratch.path());
    write_erofs(&maker.0, &path);
    assert!(path.metadata().unwrap().len() < 64 * MIB, "holes are not stored");
    let image = path.to_str().unwrap();
    for program in ["fsck.erofs", &young("fsck.erofs")] {
        judge(program, &["--extract", image]).unwrap();
    }
    for program in ["dump.erofs", &young("dump.erofs")] {
        for (path, wanted) in [
            ("/popular", "Links: 66001 "),
            ("/owners/4294967294 100000", "Uid: 4294967294   Gid: 100000 "),
            ("/dev/far", "block dev"),
            ("/dev/null", "Access: 0666"),
            ("/dev/socket", "SOCK file"),
            ("/sparse", "Size: 5368709120 "),
        ] {
            let told = judge(program, &[&format!("--path={path}"), image]).unwrap();
            assert!(told.contains(wanted), "{program} {path}: {wanted}: {told}");
        }
    }
    let mut cat = Command::new(young("dump.erofs"));
    let mut cat = cat.args(["--cat", "--path=/sparse", image]).stdout(Stdio::piped()).spawn().unwrap();
    let mut bytes = cat.stdout.take().unwrap();
    let found = digest(5 << 30, |_, piece| bytes.read_exact(piece)).unwrap();
    assert!(cat.wait().unwrap().success());
    assert_eq!(found, planned(&maker.0)[b"sparse".as_slice()].content);
}

/// A program of Debian 13.
fn young(program: &str) -> String {
    machine::judges().join("bin").join(program).to_str().unwrap().to_owned()
}

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

fn as_planned_by(suite: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let (erofs, ext4) = (scratch.path().join("erofs"), scratch.path().join("ext4"));
    let maker = everything(scratch.path());
    write_erofs(&maker.0, &erofs);
    let mut nodes = var();
    let file = create(&ext4);
    file.set_len(512 * MIB).unwrap();
    ext4::write(&Range::new(&file, 0, 512 * MIB), [7; 16], "var", EPOCH, &nodes).unwrap();
    judge("e2fsck", &["-fn", ext4.to_str().unwrap()]).unwrap();
    file.set_len(TIB).unwrap();

    let report = machine::report(suite, &erofs, &ext4);
    assert_same(&text(&planned(&maker.0)), &report[0]);
    assert_same(&text(&planned_var(&nodes)), &report[1]);
    let (name, len) = guest::AFTER;
    let content = Kind::File(vec![b'a'; len].into());
    nodes.insert(name.to_owned(), Node::root(0o644, content));
    assert_same(&text(&planned_var(&nodes)), &report[2]);
    let path = ext4.to_str().unwrap();
    judge("e2fsck", &["-fn", path]).unwrap();
    let told = judge("dumpe2fs", &["-h", path]).unwrap();
    assert!(told.contains(&format!("Block count:              {}\n", TIB / 4096)), "{told}");
}

fn create(path: &Path) -> File {
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

fn write_erofs(fs: &FileSystem, path: &Path) {
    berth_formats::erofs::write(fs, &create(path)).unwrap();
}
