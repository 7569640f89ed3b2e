//! File systems that we write, as kernels and foreign programs see them: every path, in everything that can be told of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod guest;
mod listing;
mod machine;
mod tree;

use berth_formats::{erofs::FileSystem, ext4, range::Range};
use common::judge;
use listing::{assert_same, text};
use std::{fs::File, path::Path};
use tree::{EPOCH, everything, planned, planned_var, var};

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
    let content = ext4::Kind::File(vec![b'a'; len].into());
    nodes.insert(name.to_owned(), ext4::Node { mode: 0o644, uid: 0, gid: 0, kind: content });
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
    let written = berth_formats::erofs::write(fs, &create(path)).unwrap();
    println!("{written:?}");
}
