//! Directories, files and links that packages want at boot: the part of tmpfiles.d(5) that a host without systemd needs.
//!
//! Obeyed are `d`, `D` (made, not emptied: /run and /tmp start empty), `f`, `f+`, `L`, `L+`, for paths below /run, /var
//! and /tmp; ages, specifiers and all other types are passed over.

use crate::drop_in;
use berth_contract::fault::{At, Failure, Failures, PathError};
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

const DIRECTORIES: [&str; 2] = ["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d"];
/// Where lines may make things; all else in the image is read-only or comes from overlays.
const BELOW: [&str; 3] = ["/run", "/var", "/tmp"];

/// What a line makes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    /// Made with this text; `f+` replaces what is there.
    File {
        text: String,
        replace: bool,
    },
    /// `L+` replaces what is there.
    Link {
        target: PathBuf,
        replace: bool,
    },
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    kind: Kind,
    path: PathBuf,
    mode: Option<u32>,
    user: Option<String>,
    group: Option<String>,
}

/// Makes everything that the image's tmpfiles.d asks for.
///
/// # Errors
/// What could not be made; the rest is made.
pub fn apply() -> Result<(), Failure> {
    let mut failures = Failures::none();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    for file in drop_in::files(&DIRECTORIES, ".conf") {
        if let Some(text) = failures.keep(fs::read_to_string(&file).at("read", &file)) {
            for item in text.lines().filter_map(parse) {
                failures.keep(make(&item, &passwd, &group));
            }
        }
    }
    failures.end()
}

fn parse(line: &str) -> Option<Item> {
    let mut words = Words(line);
    let kind = words.next()?;
    // `!`: at boot only, which is now; `-`: errors may be passed over; `=`, `~`, `^`, `$`: not needed here.
    let mut modifiers = kind.chars();
    let (letter, modifiers) = (modifiers.next()?, modifiers.as_str());
    if !modifiers.chars().all(|c| "!-+".contains(c)) {
        return None;
    }
    let replace = modifiers.contains('+');
    let path = PathBuf::from(words.next()?);
    let mut given = || words.next().filter(|word| word != "-");
    let (mode, user, group, _age) = (given(), given(), given(), given());
    let argument = words.rest();
    let kind = match letter {
        'd' | 'D' => Kind::Directory,
        'f' => Kind::File { text: argument.to_owned(), replace },
        // Without an argument the link goes to the factory copy of the path.
        'L' if argument.is_empty() => {
            Kind::Link { target: Path::new("/usr/share/factory").join(path.strip_prefix("/").ok()?), replace }
        }
        'L' => Kind::Link { target: argument.into(), replace },
        _ => return None,
    };
    let specifiers = line.replace("%%", "").contains('%');
    let climbs = path.components().any(|part| part.as_os_str() == "..");
    if specifiers || climbs || !BELOW.iter().any(|below| path.starts_with(below) && path != Path::new(below)) {
        return None;
    }
    // `:` before mode or owner: only for what is new, which everything is.
    let mode = mode.and_then(|mode| u32::from_str_radix(mode.trim_start_matches([':', '~']), 8).ok());
    let owner = |name: Option<String>| name.map(|name| name.trim_start_matches(':').to_owned());
    Some(Item { kind, path, mode, user: owner(user), group: owner(group) })
}

/// Fields are separated by blanks; quotes keep blanks in.
struct Words<'a>(&'a str);

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        self.0 = self.0.trim_start();
        if self.0.is_empty() || self.0.starts_with('#') {
            return None;
        }
        if let Some(quote) = self.0.chars().next().filter(|c| *c == '"' || *c == '\'') {
            let (word, rest) = self.0[1..].split_once(quote)?;
            self.0 = rest;
            return Some(word.to_owned());
        }
        let (word, rest) = self.0.split_at(self.0.find(char::is_whitespace).unwrap_or(self.0.len()));
        self.0 = rest;
        Some(word.to_owned())
    }

    fn rest(&self) -> &str {
        let text = self.0.trim();
        if text == "-" { "" } else { text }
    }
}

fn make(item: &Item, passwd: &str, group: &str) -> Result<(), PathError> {
    let path = &item.path;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).at("create", parent)?;
    }
    let default_mode = match &item.kind {
        Kind::Directory => {
            if !path.is_dir() {
                fs::create_dir(path).at("create", path)?;
            }
            0o755
        }
        Kind::File { text, replace } => {
            if *replace || !path.exists() {
                fs::write(path, text).at("write", path)?;
            }
            0o644
        }
        Kind::Link { target, replace } => return link(path, target, *replace),
    };
    let id = |name: &Option<String>, file: &str| name.as_deref().map_or(Some(0), |name| number_of(name, file));
    // A user or group that the image does not have: the superuser's, which opens nothing to anybody.
    let (uid, gid) = (id(&item.user, passwd).unwrap_or(0), id(&item.group, group).unwrap_or(0));
    chown(path, Some(uid), Some(gid)).at("set owner of", path)?;
    let mode = item.mode.unwrap_or(default_mode);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set mode of", path)
}

fn link(path: &Path, target: &Path, replace: bool) -> Result<(), PathError> {
    match symlink(target, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // `L` leaves what is there; `L+` replaces all but directories, which hold somebody's data.
            if !replace || fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) {
                return Ok(());
            }
            fs::remove_file(path).at("remove", path)?;
            symlink(target, path).at("link", path)
        }
        result => result.at("link", path),
    }
}

/// A number, or the one that passwd(5) or group(5) gives to the name.
fn number_of(name: &str, file: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let mut rows = file.lines().map(|line| line.split(':'));
    rows.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_real_packages() {
        let directory = parse("d /run/sshd 0755 root root").unwrap();
        assert_eq!(
            (directory.kind, directory.mode, directory.user.as_deref()),
            (Kind::Directory, Some(0o755), Some("root"))
        );
        let spool = parse("D! /var/spool/x :1733 - crontab 10d -").unwrap();
        assert_eq!((spool.kind, spool.mode, spool.group.as_deref()), (Kind::Directory, Some(0o1733), Some("crontab")));
        assert_eq!(
            parse("L+ /run/x - - - - ../usr/share/x").unwrap().kind,
            Kind::Link { target: "../usr/share/x".into(), replace: true }
        );
        assert_eq!(
            parse("f+ \"/run/a b\" 0600 - - - two words").unwrap().kind,
            Kind::File { text: "two words".into(), replace: true }
        );
        assert_eq!(
            parse("L /var/x").unwrap().kind,
            Kind::Link { target: "/usr/share/factory/var/x".into(), replace: false }
        );
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        for line in [
            "",
            "# d /run/x",
            "d",
            "d /etc/x",
            "d /run",
            "d /run/../etc/x",
            "d /run/user/%U",
            "z /run/x 0755",
            "r! /var/lock",
            "f= /run/x",
            "d \"/run/open",
            "\u{feff}d /run/x",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn items_are_made_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let me = rustix::process::getuid().as_raw();
        let passwd = format!("root:x:0:0::/:/bin/sh\nsomebody:x:{me}:1::/:/\n");
        let group = format!("somegroup:x:{}:\n", rustix::process::getgid().as_raw());
        let item = |kind, name: &str, mode| Item {
            kind,
            path: dir.path().join(name),
            mode,
            user: Some("somebody".into()),
            group: Some("somegroup".into()),
        };
        make(&item(Kind::Directory, "a/b", Some(0o1777)), &passwd, &group).unwrap();
        let mode = |name: &str| fs::symlink_metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("a/b"), 0o1777);
        for (replace, expected) in [(false, "one"), (false, "one"), (true, "two")] {
            let text = if replace { "two" } else { "one" }.to_owned();
            make(&item(Kind::File { text, replace }, "f", None), &passwd, &group).unwrap();
            assert_eq!((fs::read_to_string(dir.path().join("f")).unwrap().as_str(), mode("f")), (expected, 0o644));
        }
        for (replace, target, expected) in [(false, "x", "x"), (false, "y", "x"), (true, "y", "y")] {
            make(&item(Kind::Link { target: target.into(), replace }, "l", None), &passwd, &group).unwrap();
            assert_eq!(fs::read_link(dir.path().join("l")).unwrap(), Path::new(expected));
        }
        assert_eq!(number_of("somebody", &passwd), Some(me));
        assert_eq!((number_of("42", ""), number_of("nobody", &passwd)), (Some(42), None));
    }
}
