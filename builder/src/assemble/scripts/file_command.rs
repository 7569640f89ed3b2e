//! Commands that change files.

use super::system::{FileKind, System};
use crate::assemble::{
    capability,
    change::{FileChange, ModeChange},
};

/// The changes of a command. `None` if they are not known, or if the command would fail.
pub(super) fn changes(name: &str, arguments: &[&str], system: &System<'_>) -> Option<Vec<FileChange>> {
    match name {
        "chmod" => Options::parse(arguments, "fcvR", &[])?.chmod(system),
        "chown" | "chgrp" => Options::parse(arguments, "fcvRh", &[])?.chown(name == "chgrp", system),
        "mkdir" => Options::parse(arguments, "pvZ", &["-m", "--mode"])?.mkdir(system),
        "touch" => Options::parse(arguments, "acm", &[])?.touch(system),
        "rm" | "rmdir" | "unlink" => Options::parse(arguments, "rRfvd", &[])?.remove(system),
        "mv" => Options::parse(arguments, "fnvZ", &[])?.rename(system),
        "cp" => Options::parse(arguments, "apfvnrRdZu", &[])?.copy(system),
        "ucf" => Options::parse(arguments, "", &["--sum-file", "--src-dir"])?.copy(system),
        "ln" => Options::parse(arguments, "sfnvT", &[])?.link(system),
        "install" => {
            Options::parse(arguments, "dDpvcT", &["-m", "--mode", "-o", "--owner", "-g", "--group"])?.install(system)
        }
        "dpkg-statoverride" => statoverride(arguments, system),
        "setcap" => capabilities(arguments, system),
        _ => None,
    }
}

/// The arguments of a command.
struct Options<'a> {
    /// Letters of options without a value.
    flags: String,
    /// Options with a value.
    values: Vec<(&'a str, &'a str)>,
    names: Vec<&'a str>,
}

/// Long options without a value that change nothing here, and the letter of the others.
const LONG: &[(&str, char)] = &[
    ("--parents", 'p'),
    ("--recursive", 'R'),
    ("--force", 'f'),
    ("--verbose", 'v'),
    ("--symbolic", 's'),
    ("--no-clobber", 'n'),
    ("--directory", 'd'),
    ("--archive", 'a'),
    ("--preserve", 'p'),
    ("--no-dereference", 'h'),
    ("--quiet", 'f'),
    ("--silent", 'f'),
    ("--ignore-fail-on-non-empty", 'f'),
    // ucf
    ("--three-way", 'w'),
    ("--debconf-ok", 'w'),
];

impl<'a> Options<'a> {
    /// `letters` are the known options without a value, `valued` those with a value.
    fn parse(arguments: &[&'a str], letters: &str, valued: &[&str]) -> Option<Self> {
        let (mut flags, mut values, mut names) = (String::new(), Vec::new(), Vec::new());
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            match argument {
                "--" => names.extend(rest.by_ref()),
                option if valued.contains(&option) => values.push((option, rest.next()?)),
                option if option.starts_with("--") => match option.split_once('=') {
                    Some((option, value)) if valued.contains(&option) => values.push((option, value)),
                    _ => flags.push(LONG.iter().find(|(long, _)| *long == option)?.1),
                },
                // `chmod -x` is a mode.
                option
                    if option.len() > 1
                        && option.starts_with('-')
                        && option[1..].chars().all(|c| letters.contains(c)) =>
                {
                    flags.push_str(&option[1..]);
                }
                option if option.len() > 2 && valued.contains(&&option[..2]) => {
                    values.push((&option[..2], &option[2..]))
                }
                option
                    if option.starts_with('-')
                        && option.len() > 1
                        && !option[1..].chars().all(|c| "rwxst".contains(c)) =>
                {
                    return None;
                }
                name => names.push(name),
            }
        }
        Some(Self { flags, values, names })
    }

    fn has(&self, letters: &str) -> bool {
        self.flags.contains(|c| letters.contains(c))
    }

    fn value(&self, names: [&str; 2]) -> Option<&'a str> {
        self.values.iter().find(|(name, _)| names.contains(name)).map(|(_, value)| *value)
    }

    fn chmod(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let (mode, paths) = self.names.split_first()?;
        let mode = ModeChange::parse(mode)?;
        let recursive = self.has("R");
        let change = |path: &&str| FileChange::Mode { path: (*path).to_owned(), mode: mode.clone(), recursive };
        existing(paths, system)?.then(|| paths.iter().map(change).collect())
    }

    fn chown(&self, only_group: bool, system: &System<'_>) -> Option<Vec<FileChange>> {
        let (owner, paths) = self.names.split_first()?;
        let (user, group) = owners(owner, only_group)?;
        let recursive = self.has("R");
        let change = |path: &&str| FileChange::Owner {
            path: (*path).to_owned(),
            user: user.clone(),
            group: group.clone(),
            recursive,
        };
        existing(paths, system)?.then(|| paths.iter().map(change).collect())
    }

    fn mkdir(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let mode = match self.value(["-m", "--mode"]) {
            Some(text) => ModeChange::parse(text)?.applied(0o777, false),
            None => 0o777 & !system.umask?,
        };
        let mut changes = Vec::new();
        for path in &self.names {
            match system.kind(path) {
                // It is there once all packages are unpacked, and this command does not fail if it is there before.
                None if self.has("p") && self.values.is_empty() && system.is_shared_folder(path) => {}
                None => return None,
                Some(None) => changes.push(FileChange::Directory { path: (*path).to_owned(), mode }),
                Some(Some(FileKind::Directory | FileKind::Link)) => {}
                Some(Some(_)) => return None,
            }
        }
        Some(changes)
    }

    fn touch(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let mut changes = Vec::new();
        for path in &self.names {
            if system.kind(path)?.is_none() && !self.has("c") {
                changes.push(FileChange::Empty { path: (*path).to_owned(), mode: 0o666 & !system.umask? });
            }
        }
        Some(changes)
    }

    /// A file that nobody has made need not be removed. A file of a package must stay: `None`.
    fn remove(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let mut changes = Vec::new();
        for path in &self.names {
            match system.kind(path)? {
                None => {}
                Some(FileKind::File | FileKind::Link) if system.is_made(path) => {
                    changes.push(FileChange::Remove { path: (*path).to_owned() });
                }
                Some(_) => return None,
            }
        }
        Some(changes)
    }

    fn copy(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let [from, to] = self.names[..] else { return None };
        let to = inside(from, to, system)?;
        // Another umask would change the mode of the copy.
        if system.umask != Some(0o022) {
            return None;
        }
        match (system.kind(from)?, system.kind(&to)?) {
            // A file of a package would be replaced.
            (_, Some(_)) if !self.has("nw") && !system.is_made(&to) => None,
            (Some(FileKind::File | FileKind::Link), _) => Some(vec![FileChange::Copy { from: from.to_owned(), to }]),
            _ => None,
        }
    }

    /// Moves a file that the script has made.
    fn rename(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let [from, to] = self.names[..] else { return None };
        let to = inside(from, to, system)?;
        let free = system.kind(&to)?.is_none() || system.is_made(&to);
        (free && system.is_made(from)).then(|| vec![FileChange::Move { from: from.to_owned(), to }])
    }

    fn link(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let [target, path] = self.names[..] else { return None };
        let path = inside(target, path, system)?;
        let there = system.kind(&path)?;
        let link = FileChange::Link { path: path.clone(), target: target.to_owned() };
        match there {
            _ if !self.has("s") => None,
            None => Some(vec![link]),
            Some(FileKind::Link) if self.has("f") && system.is_made(&path) => {
                Some(vec![FileChange::Remove { path }, link])
            }
            Some(_) => None,
        }
    }

    fn install(&self, system: &System<'_>) -> Option<Vec<FileChange>> {
        let mode = self.value(["-m", "--mode"]).map_or(Some(ModeChange::Set(0o755)), ModeChange::parse)?;
        let user = self.value(["-o", "--owner"]).map(str::to_owned);
        let group = self.value(["-g", "--group"]).map(str::to_owned);
        let mut changes = Vec::new();
        let paths: Vec<String> = if self.has("d") {
            self.names.iter().map(|path| (*path).to_owned()).collect()
        } else {
            let [from, to] = self.names[..] else { return None };
            vec![inside(from, to, system)?]
        };
        for path in &paths {
            match (system.kind(path)?, self.names[0]) {
                (None, _) if self.has("d") => {
                    changes.push(FileChange::Directory { path: path.clone(), mode: 0o755 });
                }
                (Some(FileKind::Directory), _) if self.has("d") => {}
                (None, "/dev/null") => changes.push(FileChange::Empty { path: path.clone(), mode: 0o644 }),
                (None, from) if system.kind(from)? == Some(FileKind::File) => {
                    changes.push(FileChange::Copy { from: from.to_owned(), to: path.clone() });
                }
                _ => return None,
            }
            let owner = |path: &String| FileChange::Owner {
                path: path.clone(),
                user: user.clone(),
                group: group.clone(),
                recursive: false,
            };
            changes.extend(Some(path).filter(|_| user.is_some() || group.is_some()).map(owner));
            changes.push(FileChange::Mode { path: path.clone(), mode: mode.clone(), recursive: false });
        }
        Some(changes)
    }
}

/// The path of a copy or link: in a folder it has the name of its source.
fn inside(from: &str, to: &str, system: &System<'_>) -> Option<String> {
    match system.kind(to.trim_end_matches('/'))? {
        Some(FileKind::Directory) => Some(format!("{}/{}", to.trim_end_matches('/'), from.rsplit('/').next()?)),
        // The link may point to a folder.
        Some(FileKind::Link) if !system.is_made(to) => None,
        _ => Some(to.to_owned()),
    }
}

/// Whether there are paths, and all of them exist.
fn existing(paths: &[&str], system: &System<'_>) -> Option<bool> {
    Some(!paths.is_empty() && paths.iter().all(|path| system.exists(path)))
}

/// `USER`, `USER:GROUP`, `USER:`, `:GROUP` of chown(1). `USER:` means the group of the user, which has the user's name.
fn owners(text: &str, only_group: bool) -> Option<(Option<String>, Option<String>)> {
    let name = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    match text.split_once([':', '.']) {
        _ if text.is_empty() => None,
        _ if only_group => Some((None, name(text))),
        None => Some((name(text), None)),
        Some((user, "")) => Some((name(user), name(user))),
        Some((user, group)) => Some((name(user), name(group))),
    }
}

/// dpkg-statoverride(1): `--add USER GROUP MODE PATH`.
fn statoverride(arguments: &[&str], system: &System<'_>) -> Option<Vec<FileChange>> {
    let words: Vec<&str> = arguments
        .iter()
        .copied()
        .filter(|word| !["--update", "--quiet", "--force", "--force-all"].contains(word))
        .collect();
    match words[..] {
        ["--add", user, group, mode, path] => {
            let id = |name: &str| name.trim_start_matches('#').to_owned();
            let path = path.to_owned();
            let owner = FileChange::Owner {
                path: path.clone(),
                user: Some(id(user)),
                group: Some(id(group)),
                recursive: false,
            };
            let mode = FileChange::Mode { path: path.clone(), mode: ModeChange::parse(mode)?, recursive: false };
            system.exists(&path).then(|| vec![owner, mode])
        }
        // Nobody has added one.
        ["--remove", _] => Some(Vec::new()),
        _ => None,
    }
}

/// setcap(8): pairs of capabilities and path.
fn capabilities(arguments: &[&str], system: &System<'_>) -> Option<Vec<FileChange>> {
    let words: Vec<&str> = arguments.iter().copied().filter(|word| *word != "-q").collect();
    let pairs = words.chunks_exact(2);
    if words.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    let change = |pair: &[&str]| {
        let value = if pair[0] == "-r" { Some(Vec::new()) } else { capability::parse(pair[0]) }?;
        let path = pair[1].to_owned();
        (system.kind(&path)? == Some(FileKind::File)).then_some(FileChange::Capabilities { path, value })
    };
    pairs.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::scripts::PackageFiles;

    fn of(text: &str) -> Option<String> {
        let mut files = PackageFiles::default();
        let shipped = [
            ("etc", FileKind::Directory),
            ("etc/x.conf", FileKind::File),
            ("usr/bin/tool", FileKind::File),
            ("usr/share/x/x.conf", FileKind::File),
        ];
        files.add("p", shipped.into_iter());
        let answers = std::collections::BTreeMap::new();
        let mut system = System::new("p", &files, &answers);
        system.unpacked = true;
        system.make("/run/made", FileKind::File);
        let words = crate::assemble::scripts::words::literals(text).unwrap();
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let changes = changes(&words[0], &arguments, &system)?;
        Some(changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn commands_that_change_files_become_changes() {
        for (text, changes) in [
            ("chmod 4755 /usr/bin/tool", "chmod /usr/bin/tool"),
            ("chmod -x /usr/bin/tool", "chmod /usr/bin/tool"),
            ("chown -R root:adm /etc /bin/tool", "chown root:adm /etc\nchown root:adm /bin/tool"),
            ("chown x: /etc/x.conf", "chown x:x /etc/x.conf"),
            ("chgrp adm /etc/x.conf", "chown :adm /etc/x.conf"),
            ("mkdir -p -m 700 /etc /etc/new", "mkdir -m 0700 /etc/new"),
            ("touch /etc/x.conf /var/log/x", "touch /var/log/x"),
            ("rm -rf /nowhere", ""),
            ("rm -f /run/made", "rm /run/made"),
            ("mv -f /run/made /etc/moved", "mv /run/made /etc/moved"),
            ("cp -p /usr/share/x/x.conf /etc/y.conf", "cp /usr/share/x/x.conf /etc/y.conf"),
            ("ucf --three-way --sum-file /s /usr/share/x/x.conf /etc/z", "cp /usr/share/x/x.conf /etc/z"),
            ("ln -s tool /usr/bin/too", "ln -s tool /usr/bin/too"),
            ("install -d -m0750 -o root -g adm /var/x", "mkdir -m 0755 /var/x\nchown root:adm /var/x\nchmod /var/x"),
            ("install --mode 644 /dev/null /etc/new", "touch /etc/new\nchmod /etc/new"),
            (
                "dpkg-statoverride --update --add root adm 4750 /usr/bin/tool",
                "chown root:adm /usr/bin/tool\nchmod /usr/bin/tool",
            ),
            ("setcap cap_net_raw+ep /usr/bin/tool", "setcap /usr/bin/tool"),
        ] {
            assert_eq!(of(text).as_deref(), Some(changes), "{text}");
        }
        for text in [
            "chmod 4755 /usr/bin/other",
            "chmod 0755",
            "rm -f /etc/x.conf",
            "rm -r etc",
            "cp /usr/share/x/x.conf /etc",
            "cp /nowhere /etc/y",
            "ln /usr/bin/tool /usr/bin/too",
            "ln -s tool /usr/bin/tool",
            "touch /proc/x",
            "chmod --reference=/etc /etc/x.conf",
            "setcap cap_unheard_of+ep /usr/bin/tool",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
