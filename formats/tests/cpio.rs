//! cpio archives, judged by GNU cpio.

mod judge;

use berth_formats::{
    cpio::{self, CpioError},
    data::Data,
    node::{Kind, Meta, Node},
};
use judge::judge;
use std::{collections::BTreeMap, fs};

fn node(mode: u16, uid: u32, kind: Kind) -> Node {
    Node { meta: Meta::new(mode, uid, uid + 1), kind }
}

fn tree() -> BTreeMap<String, Node> {
    BTreeMap::from([
        ("init".to_owned(), node(0o755, 0, Kind::File(Data::from(vec![b'i'; 1001])))),
        ("dev".to_owned(), node(0o755, 0, Kind::Directory)),
        ("dev/console".to_owned(), node(0o600, 0, Kind::CharDevice { major: 5, minor: 1 })),
        ("dev/loop7".to_owned(), node(0o660, 0, Kind::BlockDevice { major: 7, minor: 300 })),
        ("bin".to_owned(), node(0o777, 0, Kind::Symlink(b"usr/bin".to_vec()))),
        ("usr".to_owned(), node(0o755, 0, Kind::Directory)),
        ("usr-x".to_owned(), node(0o644, 70_000, Kind::File(Data::empty()))),
        ("usr/bin".to_owned(), node(0o1777, 0, Kind::Directory)),
        ("usr/bin/\u{e4} b".to_owned(), node(0o4711, 0, Kind::File(Data::from(b"abc".to_vec())))),
    ])
}

#[test]
fn gnu_cpio_lists_and_extracts_archives() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, out) = (dir.path().join("archive"), dir.path().join("out"));
    let mut bytes = Vec::new();
    cpio::write(&mut bytes, 1_000_000_000, &tree()).unwrap();
    fs::write(&archive, &bytes).unwrap();
    let list = judge("sh", &["-c", &format!("cpio -itvn --quiet < {}", archive.display())]);
    let list: Vec<_> = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        list,
        [
            "lrwxrwxrwx 1 0 1 7 Sep 9 2001 bin -> usr/bin",
            "drwxr-xr-x 2 0 1 0 Sep 9 2001 dev",
            "crw------- 1 0 1 5, 1 Sep 9 2001 dev/console",
            "brw-rw---- 1 0 1 7, 300 Sep 9 2001 dev/loop7",
            "-rwxr-xr-x 1 0 1 1001 Sep 9 2001 init",
            "drwxr-xr-x 2 0 1 0 Sep 9 2001 usr",
            "-rw-r--r-- 1 70000 70001 0 Sep 9 2001 usr-x",
            "drwxrwxrwt 2 0 1 0 Sep 9 2001 usr/bin",
            "-rws--x--x 1 0 1 3 Sep 9 2001 usr/bin/\u{e4} b",
        ]
    );
    fs::create_dir(&out).unwrap();
    let extract =
        format!("cd {} && cpio -id --quiet --no-preserve-owner 'usr*' init bin < {}", out.display(), archive.display());
    judge("sh", &["-c", &extract]);
    assert_eq!(fs::read(out.join("init")).unwrap(), vec![b'i'; 1001]);
    assert_eq!(fs::read(out.join("bin/\u{e4} b")).unwrap(), b"abc");

    let mut again = Vec::new();
    cpio::write(&mut again, 1_000_000_000, &tree()).unwrap();
    assert!(bytes == again && bytes.len() % 4 == 0);
}

#[test]
fn invalid_nodes_are_refused_with_the_reason() {
    let write = |path: &str, kind: Kind| {
        let mut nodes = tree();
        nodes.insert(path.to_owned(), node(0o644, 0, kind));
        cpio::write(&mut Vec::new(), 0, &nodes)
    };
    let long = "x".repeat(4096);
    for path in ["", "/x", "x/", "./x", "../x", "usr/../x", "x\0", "none/x", "init/x", "bin/x", "TRAILER!!!", &long] {
        assert!(matches!(write(path, Kind::Directory), Err(CpioError::Path { .. })), "{path}");
    }
    let large = Data::File { path: std::path::Path::new("/dev/zero").into(), offset: 0, len: 1 << 32 };
    for kind in [Kind::Fifo, Kind::HardLink(b"init".to_vec())] {
        assert!(matches!(write("other", kind), Err(CpioError::Path { .. })));
    }
    assert!(matches!(write("large", Kind::File(large)), Err(CpioError::Path { .. })));
    let short = Data::File { path: std::path::Path::new("/dev/null").into(), offset: 0, len: 1 };
    assert!(matches!(write("short", Kind::File(short)), Err(CpioError::Content { .. })));
}
