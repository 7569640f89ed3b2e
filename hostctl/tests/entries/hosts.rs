//! The installed versions of a host, found by its files.

use super::kit::{Esp, hash, uki};
use crate::tiny_efi;
use berth_formats::{data::Data, verity};
use hostctl::{
    entries::{Blessing, Destination, Installed},
    file::FileError,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
};

/// Writes the files of a host: version 2 runs from slot A, and the disk has these partitions.
fn host(root: &Path, partitions: &[(&str, &Path)]) -> Installed {
    let put = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let report = format!(r#"{{"phases":[],"root_hash":"{}","slot":"a","disk":"/dev/sda"}}"#, hash("2"));
    put("run/berth/initrd.json", &report);
    put(
        "usr/lib/berth/image.json",
        r#"{"id":"a","version":"2","arch":"x86_64","kernel":"6","modules":[],"images":[],"containers":[],"packages":{}}"#,
    );
    fs::create_dir_all(root.join("dev")).unwrap();
    for (number, (label, path)) in (1..).zip(partitions) {
        put(&format!("sys/block/sda/sda{number}/uevent"), &format!("PARTNAME={label}\n"));
        symlink(path, root.join(format!("dev/sda{number}"))).unwrap();
    }
    Installed::find(root).unwrap()
}

#[test]
fn a_slot_that_cannot_be_read_does_not_prevent_a_blessing() {
    // Not on a tmpfs, where seeking to the end of a folder does not fail.
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let esp = Esp::new(&["a_2+2-1.efi"]);
    let empty = root.path().join("empty");
    fs::write(&empty, "").unwrap();
    // A folder can be opened, but every read fails.
    let bad = root.path();
    let partitions = [
        ("esp", &*esp.path),
        ("root-a", &empty),
        ("root-a-verity", &empty),
        ("root-b", &empty),
        ("root-b-verity", bad),
    ];
    let host = host(root.path(), &partitions);
    assert!(host.slots().iter().all(|slot| slot.root_hash.is_none()) && !host.is_blessed().unwrap());
    assert_eq!(host.entries().unwrap().bless(host.running()).unwrap(), Blessing::Given);
    assert!(host.is_blessed().unwrap());
}

#[test]
fn a_rollback_is_prepared_before_any_change_and_only_if_it_is_allowed() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::write(path("b"), [0; 8192]).unwrap();
    let tree = File::options().read(true).write(true).create_new(true).open(path("b-verity")).unwrap();
    let tree = verity::build(&File::open(path("b")).unwrap(), 8192, [0; 16], &tree).unwrap();
    fs::write(path("empty"), "").unwrap();
    let one = Data::from(tiny_efi::version("a", "1", &tree.root_hash.to_string()));
    let file = |name: &str| format!("EFI/Linux/{name}");
    let esp = Esp::with(&BTreeMap::from([(file("a_1.efi"), one), (file("a_2.efi"), Data::from(uki("2")))]));
    let (b, b_verity, empty) = (path("b"), path("b-verity"), path("empty"));
    let partitions = [
        ("esp", &*esp.path),
        ("root-a", &empty),
        ("root-a-verity", &empty),
        ("root-b", &b),
        ("root-b-verity", &b_verity),
    ];
    let host = host(root.path(), &partitions);
    let seven = "7".parse().unwrap();
    host.rollback(Destination::Named(&seven), |_| panic!("this rollback is not allowed")).unwrap_err();
    let cannot = FileError::Write { path: empty.clone(), source: std::io::ErrorKind::StorageFull.into() };
    host.rollback(Destination::Other, |_| Err(cannot)).unwrap_err();
    assert_eq!(esp.names(), ["a_1.efi", "a_2.efi"]);
    let mut prepared = None;
    host.rollback(Destination::Other, |to| {
        prepared = Some((to.to_string(), esp.names()));
        Ok(())
    })
    .unwrap();
    assert_eq!(prepared, Some(("1".to_owned(), vec!["a_1.efi".to_owned(), "a_2.efi".to_owned()])));
    assert_eq!(esp.names(), ["a_1+3.efi", "a_2+0.efi"]);
    let two = "2".parse().unwrap();
    host.rollback(Destination::Named(&two), |_| panic!("staying needs no preparation")).unwrap();
    assert_eq!(esp.names(), ["a_1+0.efi", "a_2.efi"]);
}
