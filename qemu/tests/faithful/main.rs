//! Kernels and independent programs read the file systems that our code writes. Every path must have all its planned attributes.
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
use common::tool;
use listing::{Holes, assert_same, digest, found, text};
use rustix::process::{getegid, geteuid};
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
};
use tree::{EPOCH, SPARSE, everything, ordinary, planned, planned_var, var};

/// Not a test, except in the virtual machine, where this program runs as PID 1.
#[test]
fn guest_program() {
    if std::process::id() == 1 {
        guest::main();
    }
}

#[test]
fn linux_6_1_reads_every_planned_attribute() {
    check_with_kernel_of("bookworm");
}

#[test]
fn linux_6_12_reads_every_planned_attribute() {
    check_with_kernel_of("trixie");
}

/// erofs-utils 1.5 and 1.8 extract a tree. The tree has only files that an ordinary user can make.
#[test]
fn erofs_utils_extract_every_planned_attribute() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("erofs");
    let maker = ordinary();
    write_erofs(&maker.0, &image);
    let mut planned = planned(&maker.0);
    let own = (geteuid().as_raw(), getegid().as_raw());
    planned.values_mut().for_each(|entry| entry.owner = own);
    for program in ["fsck.erofs", &newer("fsck.erofs")] {
        let folder = scratch.path().join("extracted");
        let to = format!("--extract={}", folder.display());
        tool(program, &[&to, "--preserve-perms", "--no-preserve-owner", image.to_str().unwrap()]).unwrap();
        let mut wanted = planned.clone();
        if tool(program, &["-V"]).unwrap().contains(" 1.5") {
            // Version 1.5 extracts every hard link as a copy.
            let files = wanted.values_mut().filter(|entry| entry.mode >> 12 == 0o10);
            files.for_each(|entry| (entry.nlink, entry.same_as) = (1, String::new()));
        }
        assert_same(&text(&wanted), &text(&found(&folder, Holes::Trust).unwrap()));
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// A tree with everything, including a sparse file. fsck.erofs 1.5 and 1.8 cannot extract holes, not even in a file system of mkfs.erofs.
/// So dump.erofs 1.8 reads the sparse file.
#[test]
fn erofs_utils_read_devices_owners_and_holes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("erofs");
    let maker = everything(scratch.path());
    write_erofs(&maker.0, &path);
    assert!(path.metadata().unwrap().len() < 64 * MIB, "holes must not be stored");
    let image = path.to_str().unwrap();
    for program in ["fsck.erofs", &newer("fsck.erofs")] {
        tool(program, &["--extract", image]).unwrap();
    }
    let size = format!("Size: {SPARSE} ");
    for program in ["dump.erofs", &newer("dump.erofs")] {
        for (path, wanted) in [
            ("/popular", "Links: 66001 "),
            ("/owners/4294967294 100000", "Uid: 4294967294   Gid: 100000 "),
            ("/dev/far", "block dev"),
            ("/dev/null", "Access: 0666"),
            ("/dev/socket", "SOCK file"),
            ("/sparse", size.as_str()),
        ] {
            let told = tool(program, &[&format!("--path={path}"), image]).unwrap();
            assert!(told.contains(wanted), "{program} {path}: {wanted}: {told}");
        }
    }
    let mut cat = Command::new(newer("dump.erofs"));
    let mut cat = cat.args(["--cat", "--path=/sparse", image]).stdout(Stdio::piped()).spawn().unwrap();
    let mut bytes = cat.stdout.take().unwrap();
    let found = digest(SPARSE, |_, piece| bytes.read_exact(piece)).unwrap();
    assert!(cat.wait().unwrap().success());
    assert_eq!(found, planned(&maker.0)[b"sparse".as_slice()].content);
}

/// Path of a program from Debian 13.
fn newer(program: &str) -> String {
    common::initrd::judges().join("bin").join(program).to_str().unwrap().to_owned()
}

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

fn check_with_kernel_of(suite: &str) {
    let scratch = tempfile::tempdir().unwrap();
    let (erofs, ext4) = (scratch.path().join("erofs"), scratch.path().join("ext4"));
    let maker = everything(scratch.path());
    write_erofs(&maker.0, &erofs);
    let mut nodes = var();
    let file = create(&ext4);
    file.set_len(512 * MIB).unwrap();
    ext4::write(&Range::new(&file, 0, 512 * MIB), [7; 16], "var", EPOCH, &nodes).unwrap();
    tool("e2fsck", &["-fn", ext4.to_str().unwrap()]).unwrap();
    file.set_len(TIB).unwrap();

    let report = machine::report(suite, &erofs, &ext4);
    assert_same(&text(&planned(&maker.0)), &report[0]);
    assert_same(&text(&planned_var(&nodes)), &report[1]);
    let (name, len) = guest::AFTER;
    let content = Kind::File(vec![b'a'; len].into());
    nodes.insert(name.to_owned(), Node::root(0o644, content));
    assert_same(&text(&planned_var(&nodes)), &report[2]);
    let path = ext4.to_str().unwrap();
    tool("e2fsck", &["-fn", path]).unwrap();
    let told = tool("dumpe2fs", &["-h", path]).unwrap();
    assert!(told.contains(&format!("Block count:              {}\n", TIB / 4096)), "{told}");
}

fn create(path: &Path) -> File {
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

fn write_erofs(fs: &FileSystem, path: &Path) {
    berth_formats::erofs::write(fs, &create(path)).unwrap();
}
