use super::{running::number_of, *};
use berth_formats::tmpfiles::{Argument, LineType};
use berth_judge::tmpfiles as judge;
use rustix::fs::{Mode, OFlags};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn lines_of_real_packages_are_parsed() {
    let directory = parse("d /run/sshd 0755 root root").unwrap();
    assert_eq!((directory.line_type, directory.mode_of_new()), (LineType::Directory, 0o755));
    let spool = parse("D! /var/spool/x :1733 - crontab 10d -").unwrap();
    assert_eq!((spool.mode_of_new(), spool.group.unwrap().name.as_str()), (0o1733, "crontab"));
    let factory = Argument::Target(b"/usr/share/factory/var/x".to_vec());
    assert_eq!(parse("L /var/x").unwrap().argument, factory);
    assert_eq!(parse("d /var/run/x").unwrap().path, b"/run/x");
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    assert_eq!(parse("d /run/%v/%%x").unwrap().path, format!("/run/{release}/%x").into_bytes());
}

#[test]
fn lines_that_init_does_not_apply_are_skipped() {
    for line in [
        "",
        "# d /run/x",
        "d",
        "d /etc/x",
        "d /run",
        "d /run/../etc/x",
        "d /run/user/%w",
        "d /var/lib/%H",
        "d /var/lib/%m",
        "d? /run/x",
        "d \"/run/open",
        "\u{feff}d /run/x",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn users_are_found_by_name() {
    let passwd = "root:x:0:0::/:/bin/sh\nsomebody:x:17:1::/:/\n";
    assert_eq!(number_of("somebody", passwd), Some(17));
    assert_eq!(number_of("nobody", passwd), None);
}

/// A service cannot make PID 1 change a file elsewhere: its own symbolic link in a path is not followed, a link of root is.
#[test]
fn a_pattern_does_not_lead_through_a_link_of_a_service() {
    // Only root can give a link to another user.
    if berth_judge::missing_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (target, link, owner) in [("secret", "theirs", 1000), ("shared", "ours", 0)] {
        fs::create_dir_all(root.join("var/lib/foo")).unwrap();
        let file = root.join("var").join(target).join("file");
        fs::create_dir_all(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let link = root.join("var/lib/foo").join(link);
        symlink(root.join("var").join(target), &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(owner), Some(owner)).unwrap();
    }
    let lines = "z /var/lib/foo/theirs/file 0700\nz /var/lib/foo/ours/file 0700\nf /var/lib/foo/theirs/made\nf /var/lib/foo/ours/made";
    let errors = apply_in(root, lines);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().all(|error| error.contains("/var/lib/foo/theirs/")), "{errors:?}");
    assert!(!root.join("var/secret/made").exists() && root.join("var/shared/made").exists());
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("var/secret/file"), mode("var/shared/file")), (0o755, 0o700));
    // Nor does a copy into a directory that is there.
    for name in ["ours", "theirs"] {
        let folder = root.join("var/source").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("copied"), "x").unwrap();
    }
    let errors = apply_in(root, "C+ /var/lib/foo - - - - /var/source");
    assert!(errors.len() == 1 && errors[0].contains("/var/lib/foo/theirs/copied"), "{errors:?}");
    assert!(!root.join("var/secret/copied").exists() && root.join("var/shared/copied").exists());
    // A wildcard does not lead through any link.
    assert_eq!(apply_in(root, "Z /var/lib/foo/*/* 0711"), Vec::<String>::new());
    assert_eq!((mode("var/secret/file"), mode("var/shared/file")), (0o755, 0o700));
}

/// Two folders have the same content. init applies the lines to the first, systemd-tmpfiles 257 to the second.
#[test]
fn lines_have_the_same_effect_as_with_systemd() {
    berth_judge::needs!(berth_judge::newer("systemd-tmpfiles"));
    if berth_judge::missing_root() {
        return;
    }
    let mut wrong = Vec::new();
    for (script, lines) in judge::ROWS {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = dirs.each_ref().map(tempfile::TempDir::path);
        judge::prepare(ours, script);
        judge::prepare(theirs, script);
        let errors = apply_in(ours, lines);
        let said = judge::apply(theirs, lines);
        let (ours, theirs) = (judge::listing(ours), judge::listing(theirs));
        if ours != theirs {
            wrong.push(format!("{script} | {lines}\nours: {ours:#?} {errors:?}\nsystemd: {theirs:#?} {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The same for access control lists and file attributes.
#[test]
fn lists_and_attributes_are_those_of_systemd() {
    berth_judge::needs!(berth_judge::newer("systemd-tmpfiles"), "python3", "chattr");
    if berth_judge::missing_root() {
        return;
    }
    let mut wrong = Vec::new();
    for (script, lines) in judge::ATTRIBUTE_ROWS {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = dirs.each_ref().map(tempfile::TempDir::path);
        judge::prepare(ours, script);
        judge::prepare(theirs, script);
        let errors = apply_in(ours, lines);
        let said = judge::apply(theirs, lines);
        let (ours, theirs) = (judge::attributes(ours), judge::attributes(theirs));
        if ours != theirs {
            wrong.push(format!("{script} | {lines}\nours: {ours:#?} {errors:?}\nsystemd: {theirs:#?} {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Applies lines to a root, and returns what was not applied.
fn apply_in(root: &Path, lines: &str) -> Vec<String> {
    let [passwd, group] =
        ["etc/passwd", "etc/group"].map(|path| fs::read_to_string(root.join(path)).unwrap_or_default());
    let mut running = Running { root, passwd: &passwd, group: &group };
    let lines = lines.lines().filter_map(|text| Line::parse(text, &value_of).ok()).map(|line| (line, ())).collect();
    tmpfiles::apply(&mut running, lines).into_iter().map(|((), error)| error.to_string()).collect()
}

/// A tree that is deeper than the number of files that a process may open, with a path that is longer than a system call takes.
#[test]
fn a_deep_tree_needs_few_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let (root, name) = (dir.path(), "level0");
    fs::create_dir_all(root.join("var/deep")).unwrap();
    let mut at = rustix::fs::open(root.join("var/deep"), OFlags::PATH, Mode::empty()).unwrap();
    for _ in 0..1500 {
        rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o700)).unwrap();
        at = rustix::fs::openat(&at, name, OFlags::PATH, Mode::empty()).unwrap();
    }
    assert_eq!(apply_in(root, "Z /var/deep 0750\nz /var/deep/* 0711"), Vec::<String>::new());
    let mode = |mode: u32| mode & 0o777;
    assert_eq!(mode(rustix::fs::statat(&at, "", rustix::fs::AtFlags::EMPTY_PATH).unwrap().st_mode), 0o750);
    assert_eq!(mode(fs::metadata(root.join("var/deep/level0")).unwrap().mode()), 0o711);
    assert_eq!(apply_in(root, "R /var/deep"), Vec::<String>::new());
    assert!(!root.join("var/deep").exists());
}

/// Extended attributes, of one path and of a tree.
#[test]
fn attributes_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("var/d/e")).unwrap();
    let errors = apply_in(root, "t /var/d - - - - user.a=1 \"user.b=two words\"\nT /var/d - - - - user.c=3");
    let value = |path: &str, name: &str| {
        let mut value = [0; 32];
        rustix::fs::lgetxattr(root.join(path), name, &mut value[..]).map(|len| value[..len].to_vec())
    };
    if errors.iter().any(|error| error.contains("not supported")) {
        eprintln!("skipped: the file system of the test has no extended attributes");
        return;
    }
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!(
        (value("var/d", "user.a").unwrap(), value("var/d", "user.b").unwrap()),
        (b"1".to_vec(), b"two words".to_vec())
    );
    assert_eq!(value("var/d/e", "user.c").unwrap(), b"3");
    assert!(value("var/d/e", "user.a").is_err());
}

/// What packages ship below /var: made if it is missing, never changed.
#[test]
fn shipped_files_are_made_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let factory = root.join("usr/share/factory/var/lib/kit/seed");
    fs::create_dir_all(factory.parent().unwrap()).unwrap();
    fs::write(&factory, "seed").unwrap();
    fs::set_permissions(&factory, fs::Permissions::from_mode(0o640)).unwrap();
    let owner = fs::metadata(&factory).unwrap();
    let lines = format!("d /var/lib/kit :0750 :{} :{} -\nC /var/lib/kit/seed", owner.uid(), owner.gid());
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().mode() & 0o7777;
    assert_eq!(apply_in(root, &lines), Vec::<String>::new());
    assert_eq!((mode("var/lib/kit"), mode("var/lib/kit/seed")), (0o750, 0o640));
    for path in ["var/lib/kit", "var/lib/kit/seed"] {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::write(root.join("var/lib/kit/seed"), "changed").unwrap();
    assert_eq!(apply_in(root, &lines), Vec::<String>::new());
    assert_eq!((mode("var/lib/kit"), mode("var/lib/kit/seed")), (0o700, 0o700));
    assert_eq!(fs::read(root.join("var/lib/kit/seed")).unwrap(), b"changed");
}
