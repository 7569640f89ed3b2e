//! The kinds of source: URL, folder and bundle file; and names that are not a source.

use super::reading::{read, whole};
use crate::kit::{
    http_options,
    repo::{Host, Repo, content},
    server::Server,
    source,
};
use berth_contract::release::Target;
use hostctl::source::Source;
use std::{fs, path::Path, process::Command};

fn tar(repo: &Path, format: &str, bundle: &Path) {
    let status = Command::new("tar")
        .args(["--format", format, "-cf"])
        .arg(bundle)
        .arg("-C")
        .arg(repo)
        .args(["./metadata", "targets"])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn url_folder_and_bundle_are_the_same_repository() {
    let mut repo = Repo::new();
    repo.add_release("2");
    // A name too long for a plain tar header.
    let long = "long-name-".repeat(6);
    repo.add_target(&long, b"long".to_vec(), None);
    repo.publish();
    let path = repo.dir.path();
    let server = Server::good(path.to_owned());
    let dir = tempfile::tempdir().unwrap();
    let mut names = vec![path.to_str().unwrap().to_owned(), format!("file://{}", path.display())];
    names.extend([server.base.clone(), format!("{}/", server.base)]);
    for format in ["pax", "gnu"] {
        let bundle = dir.path().join(format);
        tar(path, format, &bundle);
        names.push(bundle.to_str().unwrap().to_owned());
    }
    for name in names {
        let (host, source) = (Host::of(&repo), source(&name));
        let repository = host.open(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
        whole(&repository);
        let middle = read(&repository, 1_234_567, Some(89)).unwrap();
        assert!(middle == content(Target::Root)[1_234_567..][..89], "{name}");
        assert_eq!(repository.read_whole(&long, 4).unwrap(), b"long", "{name}");
        assert!(source.received() > 3_000_000, "{name}: {}", source.received());
    }
    // Each URL took two connections: the one that asked for the missing 2.root.json is not used again.
    assert_eq!(server.connections(), 4, "{:?}", server.requests());
}

#[test]
fn errors_tell_a_wrong_name_from_a_damaged_source() {
    let dir = tempfile::tempdir().unwrap();
    let said = |name: &str| Source::parse(name, &http_options()).map(|_| ()).unwrap_err().to_string();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert!(said("ftp://example.org/x").contains("expected http:, https: or file:"));
    assert!(said("https://example.org/x?token=1").contains("without `?`"));
    assert!(said("https://example.org/x#1").contains("fragment"));
    assert!(said("https://me:secret@example.org/").contains("no user name"));
    assert!(said(&at("nothing")).contains("expected a folder or a bundle file, found nothing"));
    assert!(said(&at("")).contains("there is no metadata/ in it"));
    fs::write(at("text"), "x".repeat(2000)).unwrap();
    assert!(said(&at("text")).contains("expected a tar header"));
    fs::write(at("empty"), "").unwrap();
    assert!(said(&at("empty")).contains("there is no metadata/ in it"));

    let repo = Repo::with_release();
    tar(repo.dir.path(), "pax", Path::new(&at("bundle")));
    let bytes = fs::read(at("bundle")).unwrap();
    for (len, word) in [(1100, "truncated"), (bytes.len() / 2, "truncated"), (0, "there is no metadata/")] {
        fs::write(at("cut"), &bytes[..len]).unwrap();
        assert!(said(&at("cut")).contains(word), "{len}: {}", said(&at("cut")));
    }
    let long = format!("metadata/{}", "folder-name/".repeat(86));
    fs::create_dir_all(repo.path(&long)).unwrap();
    fs::write(repo.path(&long).join("file"), "").unwrap();
    for format in ["pax", "gnu"] {
        tar(repo.dir.path(), format, Path::new(&at("long")));
        assert!(said(&at("long")).contains("a file name of more than 1024 bytes"), "{}", said(&at("long")));
    }
    // Damage in any header must not crash the program.
    for at_byte in (0..bytes.len().min(20_000)).step_by(29) {
        let mut damaged = bytes.clone();
        damaged[at_byte] ^= 0x21;
        fs::write(at("damaged"), &damaged[..20_480.min(damaged.len())]).unwrap();
        let _ = Source::parse(&at("damaged"), &http_options());
    }
}

/// A folder on a stick may come from a stranger. A link could lead to a file that never ends, or that only the superuser may read.
#[test]
fn links_and_other_special_files_in_a_folder_are_refused() {
    let repo = Repo::with_release();
    let (metadata, outside) = (repo.path("metadata/timestamp.json"), tempfile::tempdir().unwrap());
    let copy = outside.path().join("timestamp.json");
    fs::rename(&metadata, &copy).unwrap();
    let refused = || {
        let source = source(repo.dir.path().to_str().unwrap());
        source.read_small("metadata/timestamp.json", 1 << 20).unwrap_err().to_string()
    };
    for target in [copy.as_path(), Path::new("/proc/kmsg")] {
        std::os::unix::fs::symlink(target, &metadata).unwrap();
        assert!(refused().contains("symbolic link"), "{}", refused());
        fs::remove_file(&metadata).unwrap();
    }
    assert!(Command::new("mkfifo").arg(&metadata).status().unwrap().success());
    assert!(refused().contains("expected a regular file, found a FIFO"), "{}", refused());
}
