//! The system that a script finds: files of packages, and what the scripts of the package have made before.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Directory,
    File,
    /// A symbolic link, wherever it points to.
    Link,
    /// A device, or a named pipe.
    Special,
}

/// The files of all packages of the image.
#[derive(Clone, Debug, Default)]
pub struct PackageFiles {
    /// Path without leading slash → its kind, and the package, unless several packages ship the path.
    paths: BTreeMap<Box<str>, (FileKind, Option<usize>)>,
    packages: Vec<String>,
}

impl PackageFiles {
    /// Adds the files of a package. Paths have no leading slash.
    pub fn add<'a>(&mut self, package: &str, files: impl Iterator<Item = (&'a str, FileKind)>) {
        let number = self.packages.len();
        self.packages.push(package.to_owned());
        for (path, kind) in files {
            let entry = self.paths.entry(merged(path).into()).or_insert((kind, Some(number)));
            if entry.1 != Some(number) {
                entry.1 = None;
            }
        }
    }

    fn get(&self, path: &str) -> Option<(FileKind, Option<&str>)> {
        let (kind, package) = self.paths.get(path)?;
        Some((*kind, package.and_then(|number| self.packages.get(number)).map(String::as_str)))
    }

    /// Whether a package other than `package` ships a file below `folder`.
    pub(super) fn others_below(&self, folder: &str, package: &str) -> bool {
        let start = format!("{}/", merged(folder));
        let number = self.packages.iter().position(|name| name == package);
        let inside = self.paths.range::<str, _>(from(&start)).take_while(|(path, _)| path.starts_with(&start));
        inside.into_iter().any(|(_, (kind, owner))| *kind != FileKind::Directory && *owner != number)
    }
}

/// The path with the links of a merged /usr and of /var resolved, without slashes at its ends.
fn merged(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let path = parts.join("/");
    match parts[..] {
        ["bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32", _, ..] => format!("usr/{path}"),
        ["var", "run", _, ..] => path["var/".len()..].to_owned(),
        ["var", "lock", _, ..] => format!("run{}", &path["var".len()..]),
        _ => path,
    }
}

/// All keys from `start` on.
fn from(start: &str) -> (Bound<&str>, Bound<&str>) {
    (Bound::Included(start), Bound::Unbounded)
}

/// Links of every image.
const LINKS: [&str; 6] = ["bin", "lib", "lib64", "sbin", "var/lock", "var/run"];
/// Folders whose content only a running system has.
const KERNEL: [&str; 3] = ["dev", "proc", "sys"];
/// Folders in which a script finds its programs.
const PATH: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
/// Accounts that every Debian system has.
const USERS: [&str; 3] = ["root", "www-data", "nobody"];
const GROUPS: [&str; 12] =
    ["root", "adm", "tty", "disk", "mail", "kmem", "www-data", "utmp", "video", "staff", "users", "nogroup"];

/// The system that the scripts of a package see: files, accounts and answers of debconf.
#[derive(Clone, Debug)]
pub(super) struct System<'a> {
    pub(super) files: &'a PackageFiles,
    pub(super) package: &'a str,
    /// Whether the files of the package itself are unpacked: not yet for its preinst.
    pub(super) unpacked: bool,
    /// `None`: a script has removed the file.
    made: BTreeMap<String, Option<FileKind>>,
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// Question → the answer of debconf.
    answers: &'a BTreeMap<String, String>,
    /// Questions whose answer a script may have changed. `None` stands for all questions.
    forgotten: BTreeSet<Option<String>>,
    /// The working directory. `None` if it is not known.
    pub(super) folder: Option<String>,
    /// umask(2). `None` if it is not known.
    pub(super) umask: Option<u16>,
    temporary: usize,
}

impl<'a> System<'a> {
    pub(super) fn new(package: &'a str, files: &'a PackageFiles, answers: &'a BTreeMap<String, String>) -> Self {
        Self {
            files,
            package,
            unpacked: false,
            made: BTreeMap::new(),
            users: BTreeSet::new(),
            groups: BTreeSet::new(),
            answers,
            forgotten: BTreeSet::new(),
            folder: Some("/".to_owned()),
            umask: Some(0o022),
            temporary: 0,
        }
    }

    /// Records `cd`.
    pub(super) fn change_folder(&mut self, to: &str) {
        let is_plain = !to.starts_with(['-', '~']) && !to.split('/').any(|part| part == "..");
        self.folder = match &self.folder {
            _ if to.starts_with('/') && is_plain => Some(to.to_owned()),
            Some(folder) if is_plain => Some(format!("{}/{to}", folder.trim_end_matches('/'))),
            _ => None,
        };
    }

    /// Records a file that a script has made.
    pub(super) fn make(&mut self, path: &str, kind: FileKind) {
        let path = merged(path);
        for (at, _) in path.match_indices('/') {
            self.made.entry(path[..at].to_owned()).or_insert(Some(FileKind::Directory));
        }
        self.made.insert(path, Some(kind));
    }

    /// Records that a script has removed a file.
    pub(super) fn remove(&mut self, path: &str) {
        self.made.insert(merged(path), None);
    }

    /// Whether a script of the package has made the file.
    pub(super) fn is_made(&self, path: &str) -> bool {
        matches!(self.made.get(&merged(path)), Some(Some(_)))
    }

    /// Records a user that a script has made, and its group.
    pub(super) fn make_user(&mut self, name: &str) {
        self.users.insert(name.to_owned());
        self.groups.insert(name.to_owned());
    }

    /// Records a group that a script has made.
    pub(super) fn make_group(&mut self, name: &str) {
        self.groups.insert(name.to_owned());
    }

    /// The answer of debconf to a question, if it is known.
    pub(super) fn answer(&self, question: &str) -> Option<&str> {
        let is_forgotten = self.forgotten.contains(&None) || self.forgotten.contains(&Some(question.to_owned()));
        self.answers.get(question).filter(|_| !is_forgotten).map(String::as_str)
    }

    /// Records that a script may have changed the answer to a question, or to any question.
    pub(super) fn forget_answer(&mut self, question: Option<&str>) {
        self.forgotten.insert(question.map(str::to_owned));
    }

    /// The path of a new temporary file.
    pub(super) fn temporary(&mut self) -> String {
        self.temporary += 1;
        format!("/tmp/{}.{}", self.package, self.temporary)
    }

    /// The kind of the file at an absolute path. The outer `None`: it is not known whether there is one.
    pub(super) fn kind(&self, path: &str) -> Option<Option<FileKind>> {
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return None;
        }
        let path = merged(path);
        let first = path.split('/').next().unwrap_or_default();
        if KERNEL.contains(&first) && path != first {
            return None;
        }
        if path.is_empty() || LINKS.contains(&path.as_str()) {
            return Some(Some(if path.is_empty() { FileKind::Directory } else { FileKind::Link }));
        }
        if let Some(kind) = self.made.get(&path) {
            return Some(*kind);
        }
        match self.files.get(&path) {
            Some((_, Some(package))) if !self.unpacked && package == self.package => Some(None),
            // The folder may be there before the package is unpacked.
            Some((FileKind::Directory, None)) if !self.unpacked => None,
            Some((kind, _)) => Some(Some(kind)),
            None => Some(None),
        }
    }

    /// Whether several packages ship a folder at `path`.
    pub(super) fn is_shared_folder(&self, path: &str) -> bool {
        self.files.get(&merged(path)) == Some((FileKind::Directory, None))
    }

    /// Whether there is a file at `path`, a link counts.
    pub(super) fn exists(&self, path: &str) -> bool {
        matches!(self.kind(path), Some(Some(_)))
    }

    /// The path of a program. The outer `None`: it is not known whether the script finds it.
    pub(super) fn program(&self, name: &str) -> Option<Option<String>> {
        if name.starts_with('/') {
            return self.kind(name).map(|kind| kind.map(|_| name.to_owned()));
        }
        let found = PATH.iter().map(|folder| format!("/{folder}/{name}")).find(|path| self.exists(path));
        Some(found)
    }

    /// Whether it is known that there is such a user. A dependency may have made others.
    pub(super) fn has_user(&self, name: &str) -> bool {
        self.users.contains(name) || USERS.contains(&name)
    }

    /// The same as [`Self::has_user`] for a group.
    pub(super) fn has_group(&self, name: &str) -> bool {
        self.groups.contains(name) || GROUPS.contains(&name)
    }

    /// The paths that a pattern matches, whose last component may have a `*`.
    pub(super) fn matching(&self, pattern: &str) -> Option<Vec<String>> {
        let whole = if pattern.starts_with('/') {
            pattern.to_owned()
        } else {
            format!("{}/{pattern}", self.folder.as_deref()?)
        };
        let (folder, name) = whole.rsplit_once('/')?;
        let (start, end) = name.split_once('*')?;
        if folder.contains(['*', '?']) || name.contains('?') || end.contains('*') {
            return None;
        }
        let prefix = format!("{}/", merged(folder));
        let shipped = self.files.paths.range::<str, _>(from(&prefix)).map(|(path, _)| &**path);
        let made =
            self.made.range::<str, _>(from(&prefix)).filter(|(_, kind)| kind.is_some()).map(|(path, _)| path.as_str());
        let names = |path: &str| {
            let name = path.strip_prefix(&prefix).filter(|name| !name.contains('/') && !name.starts_with('.'))?;
            let rest = name.strip_prefix(start)?;
            rest.ends_with(end).then(|| format!("{}{name}", &pattern[..pattern.rfind('/').map_or(0, |at| at + 1)]))
        };
        let mut found: Vec<String> = shipped
            .take_while(|path| path.starts_with(&prefix))
            .chain(made.take_while(|path| path.starts_with(&prefix)))
            .filter_map(names)
            .collect();
        found.sort();
        found.dedup();
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_finds_files_of_packages_and_what_it_has_made() {
        let mut files = PackageFiles::default();
        files.add("a", [("etc", FileKind::Directory), ("bin/tool", FileKind::File)].into_iter());
        files.add("b", [("etc", FileKind::Directory), ("etc/b.conf", FileKind::File)].into_iter());
        let answers = BTreeMap::new();
        let mut system = System::new("b", &files, &answers);
        assert_eq!(system.kind("/etc/b.conf"), Some(None), "before its package is unpacked");
        system.unpacked = true;
        assert_eq!(system.kind("/etc/b.conf"), Some(Some(FileKind::File)));
        assert_eq!(system.kind("/sbin/../etc"), None);
        assert_eq!(system.kind("/proc/mdstat"), None);
        assert_eq!(system.kind("/var/run/x"), Some(None));
        assert_eq!(system.program("tool"), Some(Some("/usr/bin/tool".to_owned())));
        assert_eq!(system.program("other"), Some(None));
        system.make("/run/x/y", FileKind::File);
        assert_eq!(system.kind("/var/run/x"), Some(Some(FileKind::Directory)));
        assert_eq!(system.matching("/run/x/*"), Some(vec!["/run/x/y".to_owned()]));
        assert_eq!(system.matching("/etc/b*.conf"), Some(vec!["/etc/b.conf".to_owned()]));
        assert!(!system.has_user("b") && system.has_user("root"));
        system.make_group("b");
        assert!(!system.has_user("b") && system.has_group("b"));
        assert_eq!(system.kind("/var/run"), Some(Some(FileKind::Link)));
        system.change_folder("/run");
        system.change_folder("x");
        assert_eq!(system.matching("*"), Some(vec!["y".to_owned()]));
        system.change_folder("-");
        assert_eq!((system.matching("*"), system.matching("/run/x/*")), (None, Some(vec!["/run/x/y".to_owned()])));
        assert!(files.others_below("/etc", "a") && !files.others_below("/etc", "b"));
    }
}
