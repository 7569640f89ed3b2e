//! Invalid trees, missing sources, damaged images.

use super::kit::{Maker, ROOT, every_kind, noise, written};
use berth_formats::{
    data::Data,
    erofs::{
        Body, Error, InodeIndex, Plan, Wrong,
        read::{Image, ReadError},
        write,
    },
};
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
};
use tempfile::TempDir;

#[test]
fn invalid_trees_are_refused_by_name() {
    type Make<'a> = &'a dyn Fn(&mut Maker) -> Wrong;
    let try_one = |make: Make<'_>| {
        let mut maker = Maker::new();
        let usr = maker.dir(ROOT, "usr");
        maker.file(usr, "file", noise(3));
        let wanted = make(&mut maker);
        match Plan::new(&maker.0) {
            Err(Error::Tree { path, wrong }) if wrong == wanted => path,
            other => panic!("{wanted:?}: {other:?}"),
        }
    };
    let usr = InodeIndex(1);
    for name in ["", ".", "..", "a/b", "a\0", &"n".repeat(256)] {
        let path = try_one(&|maker| {
            maker.file(usr, name, vec![]);
            Wrong::Name { name: name.to_owned() }
        });
        assert_eq!(path, "/usr");
    }
    let cases: [(&str, Make<'_>); 7] = [
        ("/usr", &|maker| {
            maker.link(usr, b"ghost", InodeIndex(9));
            Wrong::NoInode { name: "ghost".into(), index: 9, count: 3 }
        }),
        ("/usr", &|maker| {
            maker.link(usr, b"up", usr);
            Wrong::SecondName { name: "up".into(), second: "/usr".into() }
        }),
        ("/", &|maker| {
            maker.link(usr, b"up", ROOT);
            Wrong::SecondName { name: "up".into(), second: "/usr".into() }
        }),
        ("/usr/link", &|maker| {
            maker.add(usr, "link", 0o777, Body::Symlink(vec![b'x'; 4096]));
            Wrong::Symlink { len: 4096 }
        }),
        ("/usr/dev", &|maker| {
            maker.add(usr, "dev", 0o600, Body::CharDevice { major: 4096, minor: 0 });
            Wrong::Device { major: 4096, minor: 0 }
        }),
        ("/usr/file", &|maker| {
            maker.0.inodes[2].meta.mode = 0o10_0644;
            Wrong::Mode { mode: 0o10_0644 }
        }),
        ("/", &|maker| {
            maker.0.root = InodeIndex(2);
            Wrong::Root
        }),
    ];
    for (path, make) in cases {
        assert_eq!(try_one(make), path);
    }
    let mut maker = Maker::new();
    maker.0.label = "seventeen bytes..".into();
    assert!(matches!(Plan::new(&maker.0), Err(Error::Label { .. })));
}

#[test]
fn a_source_that_is_missing_or_short_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("source");
    let out = tempfile::tempfile().unwrap();
    for len in [100, 10_000, 10 << 20] {
        let mut maker = Maker::new();
        maker.add(ROOT, "file", 0o644, Body::File(Data::File { path: path.clone().into(), offset: 5, len }));
        for prepare in [false, true] {
            if prepare {
                File::create(&path).unwrap().write_all(&vec![0; usize::try_from(len).unwrap() + 4]).unwrap();
            }
            let error = write(&maker.0, &out).unwrap_err();
            assert!(matches!(&error, Error::Source { path: found, .. } if *found == path), "{error:?}");
        }
        fs::remove_file(&path).unwrap();
    }
}

/// Reads everything, but not the terabytes that a damaged inode may claim.
fn look_around(file: File) -> Result<(), ReadError> {
    let image = Image::open(file, 0)?;
    for (_, node) in image.walk()? {
        image.xattrs(&node)?;
        let mut piece = [0; 20_000];
        image.read_at(&node, 0, &mut piece)?;
        image.read_at(&node, node.size().saturating_sub(5000), &mut piece)?;
    }
    Ok(())
}

#[test]
fn damaged_images_are_errors_or_other_data_but_never_a_panic() {
    let folder = TempDir::new().unwrap();
    let maker = every_kind(folder.path(), true);
    let path = folder.path().join("image");
    let file = written(&maker.0, &path);
    let metadata = 60 * 4096;
    look_around(file.try_clone().unwrap()).unwrap();
    let mut flipped = 0;
    for (step, bit) in noise(3000).chunks(3).zip((0..8).cycle()) {
        let mut byte = [0];
        let at = (u64::from(step[0]) << 16 | u64::from(step[1]) << 8 | u64::from(step[2])) % metadata;
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
        flipped += usize::from(look_around(file.try_clone().unwrap()).is_err());
        file.write_all_at(&byte, at).unwrap();
    }
    assert!(flipped > 20, "{flipped}");
    // Without the checksum every field of the superblock counts.
    file.write_all_at(&[0], 1024 + 8).unwrap();
    look_around(file.try_clone().unwrap()).unwrap();
    for at in 1024..1024 + 128 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[value], at).unwrap();
            let _ = look_around(file.try_clone().unwrap());
            file.write_all_at(&byte, at).unwrap();
        }
    }
    for len in (0..metadata).rev().step_by(1009) {
        file.set_len(len).unwrap();
        assert!(look_around(file.try_clone().unwrap()).is_err(), "cut to {len}");
    }
}

#[test]
fn a_directory_that_holds_itself_ends_the_walk() {
    let folder = TempDir::new().unwrap();
    let mut maker = Maker::new();
    maker.dir(ROOT, "loop");
    let file = written(&maker.0, &folder.path().join("image"));
    let image = Image::open(file.try_clone().unwrap(), 0).unwrap();
    let (root, child) = (image.root().unwrap(), image.walk().unwrap()[1].1.nid());
    // The third dirent after the root's inode names the child.
    let dirent = root.nid() * 32 + 32 + 2 * 12;
    let mut nid = [0; 8];
    file.read_exact_at(&mut nid, dirent).unwrap();
    assert_eq!(u64::from_le_bytes(nid), child);
    file.write_all_at(&root.nid().to_le_bytes(), dirent).unwrap();
    assert!(matches!(image.walk(), Err(ReadError::Damaged { what: "directory with two names", .. })));
}
