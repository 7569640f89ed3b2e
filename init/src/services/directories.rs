//! The directories of a service, which it finds in its environment.

use super::accounts::Account;
use berth_contract::{
    fault::{At, PathError},
    service::{Directories, ServiceSpec},
};
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

/// Permissions of the directories above those of a service.
const MODE: u32 = 0o755;

/// Makes the directories of a service below `root`, and gives them and their content to `account`. Directories that exist keep their content.
///
/// Returns the variables of the environment that name them.
///
/// # Errors
/// A directory cannot be made, or a symbolic link is in its place: a service that follows one would get a foreign directory.
pub fn make(spec: &ServiceSpec, account: &Account, root: &Path) -> Result<Vec<(&'static str, String)>, PathError> {
    let mut variables = Vec::new();
    for Directories { variable, base, names } in spec.directories().into_iter().filter(|all| !all.names.is_empty()) {
        let inside = root.join(base.trim_start_matches('/'));
        fs::create_dir_all(&inside).at("create", &inside)?;
        let mut paths = Vec::new();
        for name in names {
            let path = make_one(&inside, name)?;
            give(&path, account)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(spec.directory_mode())).at("set mode of", &path)?;
            paths.push(format!("{base}/{name}"));
        }
        variables.push((variable, paths.join(":")));
    }
    Ok(variables)
}

/// Makes each component of `name` below `base`. The components on the way belong to root.
fn make_one(base: &Path, name: &str) -> Result<PathBuf, PathError> {
    let mut path = base.to_owned();
    for part in name.split('/') {
        path.push(part);
        match fs::DirBuilder::new().mode(MODE).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).at("create", &path),
            _ => {}
        }
        if !fs::symlink_metadata(&path).at("read", &path)?.is_dir() {
            return Err(io::Error::from(ErrorKind::NotADirectory)).at("use", &path);
        }
    }
    Ok(path)
}

/// Gives a directory to an account. Its content changes the owner only with it: an image that numbers its users anew finds the files of its
/// services with the old numbers.
fn give(path: &Path, account: &Account) -> Result<(), PathError> {
    let found = fs::symlink_metadata(path).at("read", path)?;
    if (found.uid(), found.gid()) == (account.uid, account.gid) {
        return Ok(());
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).at("list", path)? {
            give(&entry.at("list", path)?.path(), account)?;
        }
    }
    // Last, so that an interrupted change is done again.
    lchown(path, Some(account.uid), Some(account.gid)).at("change owner of", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn account() -> Account {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Account { name: None, uid, gid, groups: Vec::new(), home: None }
    }

    fn spec(keys: &str) -> ServiceSpec {
        toml::from_str(&format!("exec = ['/bin/x']\n{keys}")).unwrap()
    }

    #[test]
    fn directories_are_made_and_named() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("var/lib/a")).unwrap();
        fs::write(at("var/lib/a/kept"), "x").unwrap();
        let spec = spec(
            "state_directory = ['a', 'b/c']\nruntime_directory = ['r']\nlogs_directory = ['l']\ndirectory_mode = '0750'",
        );
        let wanted = [
            ("RUNTIME_DIRECTORY", "/run/r"),
            ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b/c"),
            ("LOGS_DIRECTORY", "/var/log/l"),
        ];
        let made = make(&spec, &account(), root.path()).unwrap();
        assert_eq!(made, wanted.map(|(name, value)| (name, value.to_owned())));
        let mode = |path: &str| fs::metadata(at(path)).unwrap().mode() & 0o7777;
        assert_eq!(["run/r", "var/lib/a", "var/lib/b/c", "var/lib/b"].map(mode), [0o750, 0o750, 0o750, 0o755]);
        assert_eq!(fs::read_to_string(at("var/lib/a/kept")).unwrap(), "x");
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("run")).unwrap();
        symlink("/tmp", root.path().join("run/r")).unwrap();
        for text in ["runtime_directory = ['r']", "runtime_directory = ['r/s']"] {
            let error = make(&spec(text), &account(), root.path()).unwrap_err();
            assert!(error.to_string().contains("run/r"), "{error}");
        }
    }

    #[test]
    fn a_directory_of_another_user_changes_its_owner_with_its_content() {
        if !rustix::process::getuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("var/lib/a/sub")).unwrap();
        fs::write(at("var/lib/a/sub/file"), "x").unwrap();
        symlink("/etc/passwd", at("var/lib/a/link")).unwrap();
        let before = fs::metadata("/etc/passwd").unwrap().uid();
        make(&spec("state_directory = ['a']"), &Account { uid: 4321, gid: 4322, ..account() }, root.path()).unwrap();
        for path in ["var/lib/a", "var/lib/a/sub/file", "var/lib/a/link"] {
            let found = fs::symlink_metadata(at(path)).unwrap();
            assert_eq!((found.uid(), found.gid()), (4321, 4322), "{path}");
        }
        assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), before);
    }
}
