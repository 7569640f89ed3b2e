//! Debian packages, made and judged by dpkg-deb.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{
    deb::{self, Deb, DebError, Entry, Span},
    node::Kind,
};
use judge::judge;
use std::{
    fs,
    io::{Cursor, Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

const CONTROL: &str =
    "Package: test\nVersion: 1.0-1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: test\n long\n";

/// A package that dpkg-deb builds with this compression.
fn package(dir: &Path, compression: &str) -> PathBuf {
    let tree = dir.join(format!("tree-{compression}"));
    let long = format!("usr/share/{}", "directory with a long name/".repeat(8));
    for directory in ["DEBIAN", "usr/bin", &long, "etc"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    fs::write(tree.join("DEBIAN/control"), CONTROL).unwrap();
    fs::write(tree.join("DEBIAN/postinst"), "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(tree.join("DEBIAN/postinst"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(tree.join("DEBIAN/conffiles"), "/etc/test.conf\n").unwrap();
    fs::write(tree.join("DEBIAN/triggers"), "interest-noawait /usr/lib/x\n").unwrap();
    fs::write(tree.join("DEBIAN/md5sums"), "0123456789abcdef0123456789abcdef  usr/bin/test\n").unwrap();
    fs::write(tree.join("etc/test.conf"), "").unwrap();
    fs::write(tree.join("usr/bin/test"), vec![b'x'; 100_001]).unwrap();
    fs::set_permissions(tree.join("usr/bin/test"), PermissionsExt::from_mode(0o4755)).unwrap();
    fs::hard_link(tree.join("usr/bin/test"), tree.join("usr/bin/test2")).unwrap();
    fs::write(tree.join(&long).join("\u{f6}"), "umlaut").unwrap();
    symlink("../../etc/test.conf", tree.join("usr/bin/link")).unwrap();
    let deb = dir.join(format!("{compression}.deb"));
    let (z, tree) = (format!("-Z{compression}"), tree.to_str().unwrap());
    judge("dpkg-deb", &["--build", "--root-owner-group", &z, tree, deb.to_str().unwrap()]);
    deb
}

#[test]
fn packages_of_every_compression_are_read_as_dpkg_deb_does() {
    let dir = tempfile::tempdir().unwrap();
    for compression in ["gzip", "xz", "zstd", "none"] {
        let path = package(dir.path(), compression);
        let package = Deb::open(fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(package.control.paragraph, CONTROL);
        let names: Vec<_> = package.control.members.keys().map(String::as_str).collect();
        assert_eq!(names, ["conffiles", "postinst", "triggers"]);
        assert_eq!(package.control.members["postinst"], b"#!/bin/sh\nexit 1\n");
        let mut data = Vec::new();
        package.into_data(1 << 20).read_to_end(&mut data).unwrap();

        let path = path.to_str().unwrap();
        let tar = dir.path().join("data.tar");
        judge("sh", &["-c", &format!("dpkg-deb --fsys-tarfile {path} > {}", tar.display())]);
        assert!(fs::read(&tar).unwrap() == data, "{compression}");

        let entries = deb::entries(data.as_slice()).unwrap();
        assert_eq!(entries, deb::entries_seekable(Cursor::new(&data)).unwrap());
        let listing: Vec<_> = entries.iter().map(|entry| listed(entry, &entries)).collect();
        let wanted = judge("dpkg-deb", &["-c", path]);
        let wanted: Vec<_> = wanted.lines().map(reduced).collect();
        assert_eq!(listing, wanted);

        let file = entries.iter().find(|it| it.path == "usr/bin/test" || it.path == "usr/bin/test2").unwrap();
        let Kind::File(Span { offset, size }) = file.kind else { panic!("{file:?}") };
        let at = usize::try_from(offset).unwrap();
        assert!(data[at..at + usize::try_from(size).unwrap()] == vec![b'x'; 100_001]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An entry as `dpkg-deb -c` lists it, without owner and time.
fn listed(entry: &Entry, all: &[Entry]) -> String {
    let of_file = |path: &str| all.iter().find(|it| it.path == path).map_or(0, |it| it.meta.mode);
    let (kind, mode, size, tail) = match &entry.kind {
        Kind::File(Span { size, .. }) => ('-', entry.meta.mode, *size, String::new()),
        Kind::Directory => ('d', entry.meta.mode, 0, if entry.path.is_empty() { "" } else { "/" }.to_owned()),
        Kind::Symlink(target) => ('l', entry.meta.mode, 0, format!(" -> {}", text(target))),
        Kind::HardLink(target) => ('h', of_file(&text(target)), 0, format!(" link to ./{}", text(target))),
        other => panic!("{other:?}"),
    };
    let mut bits: Vec<char> = "rwxrwxrwx".chars().collect();
    for (i, bit) in bits.iter_mut().enumerate() {
        if mode & (0o400 >> i) == 0 {
            *bit = '-';
        }
    }
    if mode & 0o4000 != 0 {
        bits[2] = 's';
    }
    assert_eq!((entry.meta.uid, entry.meta.gid), (0, 0));
    format!("{kind}{} {size} ./{}{tail}", bits.into_iter().collect::<String>(), entry.path)
}

fn reduced(line: &str) -> String {
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    let rest = words[2].trim_start();
    let (size, rest) = rest.split_once(' ').unwrap();
    // "2026-11-21 08:00 ./path"
    format!("{} {size} {}", words[0], &rest[17..])
}

fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, bytes.len()).unwrap();
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

fn tar(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn error(bytes: &[u8]) -> String {
    let error: Box<dyn std::error::Error> = match Deb::open(bytes) {
        Err(error) => Box::new(error),
        Ok(deb) => match deb::entries(deb.into_data(1 << 20)) {
            Err(error) => Box::new(error),
            Ok(_) => return String::new(),
        },
    };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn files_that_are_not_packages_are_refused_with_the_reason() {
    let control = tar(&[("./control", tar::EntryType::Regular, CONTROL.as_bytes())]);
    let data = tar(&[("./a", tar::EntryType::Regular, b"content")]);
    let v2: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let c: (&str, &[u8]) = ("control.tar", &control);
    let good = ar(&[v2, ("_x", b"odd"), c, ("data.tar/", &data)]);
    assert_eq!(error(&good), "");
    for (bytes, wanted) in [
        (b"PK\x03\x04....".to_vec(), "no Debian package: the magic number is \"PK"),
        (vec![], "cannot read the magic number"),
        (good[..8].to_vec(), "cannot read the header of a member"),
        (good[..good.len() - 1025].to_vec(), "the package ends 1025 bytes before data.tar does"),
        (ar(&[("debian-binary", b"3.0\n"), c]), "the format version is \"3.0\\n\", expected \"2.0\\n\""),
        (ar(&[c]), "member \"control.tar\" where debian-binary was expected"),
        (ar(&[v2, ("data.tar", &data), c]), "member \"data.tar\" where control.tar was expected"),
        (ar(&[v2, ("control.tar.bz2", b"")]), "\"control.tar.bz2\" is compressed in an unknown way"),
        (ar(&[v2, c, ("data.tar.lzma", b"")]), "\"data.tar.lzma\" is compressed in an unknown way"),
        (ar(&[v2, ("control.tar", &data)]), "control.tar holds no file `control`"),
        (ar(&[v2, c, ("data.tar.xz", b"no xz here")]), "cannot read data.tar"),
        (ar(&[v2, c, ("data.tar.zst", b"no zstd here")]), "cannot read data.tar"),
        (ar(&[v2, c, ("data.tar.gz", b"no gzip here")]), "cannot read data.tar"),
        (ar(&[v2, c, ("data.tar", &[b'x'; 1024])]), "cannot read data.tar"),
    ] {
        let found = error(&bytes);
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    let mut bad = good.clone();
    bad[8 + 48..8 + 58].copy_from_slice(b"-4        ");
    assert!(error(&bad).contains("the size of a member is \"-4\""));
    bad[8 + 58] = b'x';
    assert!(error(&bad).contains("the end of a member's header"));
}

#[test]
fn entries_that_lead_outside_or_have_another_type_are_refused_by_name() {
    use tar::EntryType;
    for (path, kind, wanted) in [
        ("./usr/../../etc/passwd", EntryType::Regular, "\"./usr/../../etc/passwd\": the path has a `..`"),
        ("/etc/passwd", EntryType::Regular, "\"/etc/passwd\": the path is absolute"),
        ("./link", EntryType::Link, "\"link\": a link without a target"),
        ("./contiguous", EntryType::Continuous, "\"contiguous\": type '7' does not belong into a package"),
        ("./vendor", EntryType::new(b'V'), "\"vendor\": type 'V' does not belong into a package"),
    ] {
        let found = deb::entries(tar(&[(path, kind, b"")]).as_slice()).unwrap_err().to_string();
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    let cut = tar(&[("./a", EntryType::Regular, &[1; 5000])]);
    assert!(deb::entries(&cut[..2048]).is_err());
    assert!(
        matches!(deb::entries_seekable(Cursor::new(&cut[..2048])), Err(DebError::Entry { path, .. }) if path == "a")
    );
}

#[test]
fn extended_attributes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (file, archive) = (dir.path().join("ping"), dir.path().join("tar"));
    fs::write(&file, "x").unwrap();
    let value = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0];
    // PAX records, as `tar --xattrs` writes them.
    let mut record = b"42 SCHILY.xattr.security.capability=".to_vec();
    record.extend(value);
    record.push(b'\n');
    let len = record.len().to_string();
    record.splice(..2, len.bytes());
    let bytes = tar(&[("x", tar::EntryType::XHeader, &record), ("./ping", tar::EntryType::Regular, b"x")]);
    fs::write(&archive, &bytes).unwrap();
    let listing = judge("tar", &["--xattrs", "--xattrs-include=*", "-tvvf", archive.to_str().unwrap()]);
    assert!(listing.contains("12 security.capability"), "{listing}");
    let entries = deb::entries(bytes.as_slice()).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].meta.xattrs[&b"security.capability"[..]], value);
    assert_eq!(entries[0].kind, Kind::File(Span { offset: 1536, size: 1 }));
}

#[test]
fn a_small_package_cannot_fill_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = package(dir.path(), "xz");
    let mut data = Deb::open(fs::File::open(&path).unwrap()).unwrap().into_data(100_000);
    let error = data.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "Debian package: data.tar, unpacked, is larger than 100000 bytes");
}
