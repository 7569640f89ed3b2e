//! The stored metadata of each repository.

use crate::kit::{
    self,
    keys::Key,
    repo::{Host, Repo},
};
use hostctl::trust::TrustError;
use std::{fs, path::PathBuf};

#[test]
fn reading_another_repository_of_the_same_keys_does_no_harm() {
    let (mut own, mut other) = (Repo::new(), Repo::new());
    own.version = 3;
    own.add_release("2");
    own.publish();
    other.version = 300;
    other.add_release("9");
    other.publish();
    let host = Host::of(&own);
    host.open_folder(own.dir.path()).unwrap();
    host.open_folder(other.dir.path()).unwrap();
    own.publish();
    host.open_folder(own.dir.path()).unwrap();
    // Versions of each repository may only rise.
    for repo in [&mut own, &mut other] {
        repo.version -= 3;
        repo.publish();
        let error = host.open_folder(repo.dir.path()).unwrap_err();
        assert!(matches!(&error, TrustError::RolledBack { .. }), "{error}");
        let hint = error.hint().unwrap();
        let TrustError::RolledBack { kept, .. } = error else { panic!("{error}") };
        assert!(hint.contains(kept.to_str().unwrap()) && kept.exists(), "{hint}");
        // With a slash at the end of its name it is the same source.
        let error = host.open_folder(&repo.dir.path().join("")).unwrap_err();
        assert!(matches!(error, TrustError::RolledBack { .. }), "{error}");
        fs::remove_file(kept).unwrap();
        host.open_folder(repo.dir.path()).unwrap();
    }
}

/// The files of the datastore: the keys, and the metadata seen in one source.
fn stored_files(host: &Host) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(host.datastore.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn damaged_stored_metadata_do_not_cut_a_host_off() {
    let mut repo = Repo::with_release();
    let host = Host::of(&repo);
    host.open_folder(repo.dir.path()).unwrap();
    let files = stored_files(&host);
    assert_eq!(files.len(), 2, "{files:?}");
    for path in &files {
        let bytes = fs::read(path).unwrap();
        for len in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(path, &bytes[..len]).unwrap();
            host.open_folder(repo.dir.path()).unwrap();
            assert!(fs::read(path).unwrap() == bytes, "the file is written again");
        }
        for at in (0..bytes.len()).step_by(11) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            fs::write(path, &flipped).unwrap();
            host.open_folder(repo.dir.path()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        }
        fs::write(path, vec![0; bytes.len()]).unwrap();
        host.open_folder(repo.dir.path()).unwrap();
        // An incomplete replacement file that a power cut left behind.
        fs::write(berth_file::temporary(path), &bytes[..10]).unwrap();
    }
    let old_timestamp = fs::read(&files[0]).unwrap();
    repo.keys.insert("timestamp", vec![Key(32)]);
    repo.write_root(2, &[]);
    repo.publish();
    host.open_folder(repo.dir.path()).unwrap();
    assert!(fs::read(&files[0]).unwrap() != old_timestamp);
    assert_eq!(stored_files(&host), files, "the incomplete files were removed");
    // A file instead of the folder is an error, and is not ignored.
    let host = Host::of(&repo);
    fs::write(host.datastore.path().join("file"), "").unwrap();
    let source = kit::folder(repo.dir.path());
    let inside = host.datastore.path().join("file");
    let trust = hostctl::trust::Trust { root: &host.root, datastore: &inside, clock: host.clock };
    let error = trust.open(&source).unwrap_err();
    assert!(matches!(error, TrustError::Datastore { .. }) && error.hint().unwrap().contains("/var"), "{error}");
}
