use super::*;
use std::{collections::BTreeMap, process::Command};

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
        "x /run/x 0755",
        "r! /var/lock",
        "f^ /run/x - - - - credential",
        "d? /run/x",
        "d \"/run/open",
        "\u{feff}d /run/x",
    ] {
        assert_eq!(parse(line), None, "{line}");
    }
}

#[test]
fn users_are_found_by_name_and_number() {
    let passwd = "root:x:0:0::/:/bin/sh\nsomebody:x:17:1::/:/\n";
    assert_eq!(number_of("somebody", passwd), Some(17));
    assert_eq!((number_of("42", ""), number_of("nobody", passwd)), (Some(42), None));
}

/// The content of a directory, by path: mode, and content or link target.
fn listing(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let (mut all, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let content = match found.file_type() {
                kind if kind.is_dir() => {
                    open.push(path.clone());
                    Vec::new()
                }
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_vec(),
                _ => fs::read(&path).unwrap(),
            };
            all.insert(path.strip_prefix(root).unwrap().to_owned(), (found.mode(), content));
        }
    }
    all
}

/// A service cannot make PID 1 change a file elsewhere: its own symbolic link in a path is not followed, a link of root is.
#[test]
fn a_pattern_does_not_lead_through_a_link_of_a_service() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a link to another user.
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "run this test as root");
        eprintln!("skipped: this test needs root");
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
    let host = Host { root, passwd: "", group: "" };
    host.apply(&parse("z /var/lib/foo/*/* 0700").unwrap()).unwrap();
    let mode = |path: &str| fs::metadata(root.join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("var/secret/file"), mode("var/shared/file")), (0o755, 0o700));
}

/// Two directories have the same content. init applies the lines to the first, systemd-tmpfiles to the second.
#[test]
fn lines_have_the_same_effect_as_with_systemd() {
    let lines = "\
        d /var/a 0750\nd /var/a/b 1777\nD /var/emptied\nv /var/v\nq /var/q\nQ /var/Q 0700\nd /var/lib/deep/er\n\
        f /var/file - - - - a\\nb \\x41 %% %%m %T\nf \"/var/a b\" 0600 - - - two  words\nf+ /var/forced - - - - new\n\
        f /var/there 0640 - - - new\nf /var/only :0640\nF /var/old - - - - F\nf~ /var/base64 - - - - YQpi\n\
        L /var/link - - - - ../x\\x20y\nL+ /var/linked - - - - new\nL /var/kept - - - - new\nL /var/factory\n\
        C /var/copy - - - - /usr/share/from\nC /var/mode 0600 - - - /usr/share/from/one\nC /var/known\n\
        C /var/full - - - - /usr/share/from\nC /var/void - - - - /usr/share/from\nC /var/none - - - - /usr/share/none\n\
        z /var/z* 0700\nZ /var/tree ~0750\nm /var/m 0600\ne /var/e* 0711\nz /var/absent 0755\nd= /var/wrong\n\
        d /var/twice 0700\nd /var/twice 0711\nd /var/later/x\nd /var/later 0700\nd /var/run/x\n";
    let dir = tempfile::tempdir().unwrap();
    let roots = [dir.path().join("ours"), dir.path().join("theirs")];
    for root in &roots {
        for (path, content) in [
            ("var/forced", "old"),
            ("var/there", "old"),
            ("var/only", "old"),
            ("var/old", "old"),
            ("var/kept", "old"),
            ("var/wrong", "old"),
            ("var/z1", ""),
            ("var/.z", ""),
            ("var/m", ""),
            ("var/e1/x", ""),
            ("var/e2", ""),
            ("var/tree/a/b", ""),
            ("var/full/own", ""),
            ("usr/share/from/one", "1"),
            ("usr/share/from/below/two", "2"),
            ("usr/share/factory/var/known", "known"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::create_dir(root.join("var/void")).unwrap();
        symlink("old", root.join("var/linked")).unwrap();
        symlink("one", root.join("usr/share/from/link")).unwrap();
        fs::set_permissions(root.join("var/tree/a/b"), fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(root.join("usr/share/from/one"), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let host = Host { root: &roots[0], passwd: "", group: "" };
    arranged(lines.lines().filter_map(parse).collect()).for_each(|line| host.apply(&line).unwrap());
    let conf = dir.path().join("x.conf");
    fs::write(&conf, lines).unwrap();
    let mut judge = Command::new("systemd-tmpfiles");
    judge.args(["--create", "--boot", "--root"]).arg(&roots[1]).arg(&conf);
    let output = judge.output().unwrap_or_else(|error| panic!("systemd-tmpfiles: {error}: run ci/setup"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, theirs) = (listing(&roots[0]), listing(&roots[1]));
    for path in ours.keys().chain(theirs.keys()) {
        assert_eq!(ours.get(path), theirs.get(path), "{}", path.display());
    }
    assert_eq!(ours[Path::new("var/file")].1, b"a\nb A % %m /tmp");
}

/// Only the superuser may change the owner of files, so most of this test only computes the owners.
#[test]
fn owners_are_set_for_new_paths_and_kept_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host { root: dir.path(), passwd: "somebody:x:7:1::/:/\n", group: "somegroup:x:8:\n" };
    let line = parse("d /var/x - :somebody somegroup").unwrap();
    assert_eq!(host.owner(&line, true), (Some(7), Some(8)));
    assert_eq!(host.owner(&line, false), (None, Some(8)));
    assert_eq!(host.owner(&parse("d /var/x").unwrap(), true), (None, None));
    assert_eq!(host.owner(&parse("d /var/x - unknown -").unwrap(), true), (Some(0), None));
    // A link to a directory is followed. The directory keeps its mode, which the line does not set.
    fs::create_dir_all(dir.path().join("var/real")).unwrap();
    fs::set_permissions(dir.path().join("var/real"), fs::Permissions::from_mode(0o710)).unwrap();
    symlink("real", dir.path().join("var/alias")).unwrap();
    host.apply(&parse("d /var/alias").unwrap()).unwrap();
    assert_eq!(fs::metadata(dir.path().join("var/real")).unwrap().mode() & 0o7777, 0o710);
    // A second application of a line changes nothing.
    let line = parse("f /var/f 0600 - - - text").unwrap();
    host.apply(&line).unwrap();
    fs::write(dir.path().join("var/f"), "changed").unwrap();
    host.apply(&line).unwrap();
    assert_eq!(fs::read(dir.path().join("var/f")).unwrap(), b"changed");
    assert_eq!(fs::metadata(dir.path().join("var/f")).unwrap().mode() & 0o7777, 0o600);
}
