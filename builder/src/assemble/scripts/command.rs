//! Single commands whose effect is known. Their variables are expanded.

use super::{
    Effect, account_command, file_command,
    ignored::is_ignored,
    line::quiet,
    system::{FileKind, System},
    words::{Word, is_simple, literals, split, words},
};
use crate::assemble::{alternatives::Alternative, change::FileChange};

/// The output of a command, for a substitution. `None` if it is not known.
pub(super) fn output(command: &str, system: &System<'_>) -> Option<String> {
    let words = literals(quiet(command))?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["command", "-v", name] | ["which", name] => system.program(name).map(Option::unwrap_or_default),
        ["dirname", path] => Some(path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned()),
        ["basename", path] => Some(path.rsplit('/').next()?.to_owned()),
        ["basename", path, ending] => Some(path.rsplit('/').next()?.trim_end_matches(ending).to_owned()),
        ["dpkg-divert", "--truename", path] => Some(path.to_owned()),
        _ => None,
    }
}

/// Variables that a command sets, with the values that are known.
pub(super) fn assigned(text: &str, system: &System<'_>) -> Vec<(String, Option<String>)> {
    let mut words = quiet(text).split_whitespace();
    match words.next() {
        Some("db_get") => {
            let question = words.next().unwrap_or_default().trim_matches(['"', '\'']);
            vec![("RET".to_owned(), system.answer(question).map(str::to_owned))]
        }
        Some(name) if name.starts_with("db_") => vec![("RET".to_owned(), None)],
        Some("read" | "local" | "unset") => {
            let names = words.filter(|word| !word.starts_with('-') && !word.contains('='));
            names.map(|name| (name.to_owned(), None)).collect()
        }
        _ => Vec::new(),
    }
}

/// The effects of a command. `None` if they are not known. `certain` says whether the command always runs: if it is false, a
/// command with an effect gives `None`. Records in `system` what the command makes.
pub(super) fn effects(text: &str, system: &mut System<'_>, certain: bool) -> Option<Vec<Effect>> {
    let text = quiet(text);
    if text == ". /usr/share/debconf/confmodule" {
        return Some(Vec::new());
    }
    let name = text.split_whitespace().next()?;
    if let Some(folder) = text.strip_prefix("cd ") {
        match literals(folder).as_deref() {
            Some([folder]) if certain => system.change_folder(folder),
            _ => system.folder = None,
        }
    }
    if let Some(mask) = text.strip_prefix("umask ") {
        system.umask = u16::from_str_radix(mask, 8).ok().filter(|_| certain);
        return Some(Vec::new());
    }
    if name == "db_set" {
        let words = literals(text).unwrap_or_default();
        system.forget_answer(words.get(1).map(String::as_str));
    }
    if is_ignored(name) && is_simple(text) {
        return Some(Vec::new());
    }
    if let Some(change) = written(text, system) {
        return recorded(vec![Effect::Change(change)], system, certain);
    }
    let words = match text.strip_prefix(':').map(|rest| rest.trim_start().strip_prefix('>')) {
        Some(Some(path)) => {
            let names = literals(path.trim_start_matches('>'))?;
            // `: > FILE` empties a file that is there, `: >> FILE` does not.
            if !path.starts_with('>') && names.iter().any(|name| system.kind(name) != Some(None)) {
                return None;
            }
            [vec!["touch".to_owned()], names].concat()
        }
        _ => found_words(text, system)?,
    };
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let folders = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"];
    let name = folders.iter().find_map(|folder| words[0].strip_prefix(folder)).unwrap_or(&words[0]);
    let effects = match name {
        "update-alternatives" => alternative(&arguments)?,
        "dpkg-divert" => diversion(&arguments, system.package)?,
        _ => match account_command::effects(name, &arguments) {
            // A home folder that is there stays as it is.
            Some(effects) => effects.into_iter().filter(|effect| !is_at_existing(effect, system)).collect(),
            None => file_command::changes(name, &arguments, system)?.into_iter().map(Effect::Change).collect(),
        },
    };
    recorded(effects, system, certain)
}

/// Whether the effect is a change of a file that is there.
fn is_at_existing(effect: &Effect, system: &System<'_>) -> bool {
    matches!(effect, Effect::Change(change) if system.exists(change.path()))
}

fn recorded(effects: Vec<Effect>, system: &mut System<'_>, certain: bool) -> Option<Vec<Effect>> {
    if !effects.is_empty() && !certain {
        return None;
    }
    effects.iter().for_each(|effect| record(effect, system));
    Some(effects)
}

/// `echo TEXT > FILE`, `echo TEXT >> FILE`.
fn written(text: &str, system: &System<'_>) -> Option<FileChange> {
    let [(command, operator), (path, _)] = split(text, &[">>", ">"])[..] else { return None };
    let words = literals(command).filter(|words| words.first().is_some_and(|name| name == "echo"))?;
    let end = if words.get(1).is_some_and(|word| word == "-n") { "" } else { "\n" };
    let text = words[1 + usize::from(end.is_empty())..].join(" ");
    let [path] = &literals(path)?[..] else { return None };
    // echo of dash replaces escape sequences; `echo x 2> y` writes errors.
    let plain = !text.contains('\\') && !command.ends_with(|c: char| c.is_ascii_digit());
    plain.then(|| write(path, format!("{text}{end}"), operator == ">>", system))?
}

/// Writes a text into a file that the package does not ship.
pub(super) fn write(path: &str, text: String, append: bool, system: &System<'_>) -> Option<FileChange> {
    match system.kind(path)? {
        Some(_) if !system.is_made(path) => None,
        Some(FileKind::Directory | FileKind::Link) => None,
        _ => {
            let mode = 0o666 & !system.umask?;
            Some(FileChange::Write { path: path.to_owned(), text, append, mode })
        }
    }
}

/// The words of a command. A pattern becomes the paths that it matches.
fn found_words(text: &str, system: &System<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for word in words(text)? {
        match word {
            Word::Literal(word) => found.push(word),
            Word::Pattern(pattern) => match system.matching(&pattern)? {
                // A pattern without a match stays as it is, and names no file.
                none if none.is_empty() => found.push(pattern),
                paths => found.extend(paths),
            },
            Word::Unknown => return None,
        }
    }
    Some(found).filter(|found| !found.is_empty())
}

/// Records in `system` what an effect makes.
pub(super) fn record(effect: &Effect, system: &mut System<'_>) {
    match effect {
        Effect::Sysusers(line) => {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("u"), Some(name)) => system.make_user(name),
                (Some("g"), Some(name)) => system.make_group(name),
                _ => {}
            }
        }
        Effect::Change(change) => match change {
            FileChange::Directory { path, .. } => system.make(path, FileKind::Directory),
            FileChange::Empty { path, .. } | FileChange::Copy { to: path, .. } => system.make(path, FileKind::File),
            FileChange::Link { path, .. } => system.make(path, FileKind::Link),
            FileChange::Write { path, .. } => system.make(path, FileKind::File),
            FileChange::Move { from, to } => {
                system.remove(from);
                system.make(to, FileKind::File);
            }
            FileChange::Remove { path } => system.remove(path),
            FileChange::Mode { .. } | FileChange::Owner { .. } | FileChange::Capabilities { .. } => {}
        },
        Effect::Tmpfiles(_) | Effect::Alternative(_) | Effect::Divert { .. } | Effect::EndDiversion { .. } => {}
    }
}

/// update-alternatives(1). A new system has no alternative that could be removed.
fn alternative(arguments: &[&str]) -> Option<Vec<Effect>> {
    let rest: Vec<&str> = arguments.iter().copied().filter(|word| *word != "--quiet" && *word != "--force").collect();
    match rest[..] {
        ["--remove", _, _] | ["--remove-all" | "--auto", _] => Some(Vec::new()),
        _ => Some(vec![Effect::Alternative(Alternative::parse(&rest)?)]),
    }
}

/// dpkg-divert(1): moves files of other packages from one path to another. `package` runs the script. Diversions of another package,
/// or of no package, are not known.
fn diversion(arguments: &[&str], package: &str) -> Option<Vec<Effect>> {
    let (mut add, mut to, mut names) = (None, None, Vec::new());
    let mut rest = arguments.iter().flat_map(|argument| match argument.split_once('=') {
        Some((option, value)) if option.starts_with("--") => vec![option, value],
        _ => vec![*argument],
    });
    while let Some(argument) = rest.next() {
        match argument {
            "--add" => add = Some(true),
            "--remove" => add = Some(false),
            "--rename" | "--no-rename" | "--quiet" => {}
            "--divert" => to = Some(rest.next()?),
            "--package" => _ = rest.next().filter(|name| *name == package)?,
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    let [path] = names[..] else { return None };
    let relative = |path: &str| path.strip_prefix('/').map(|path| path.as_bytes().to_vec());
    let to = to.map_or_else(|| format!("{path}.distrib"), str::to_owned);
    Some(match add {
        // Without --remove, a diversion is added.
        None | Some(true) => vec![Effect::Divert { from: relative(path)?, to: relative(&to)? }],
        Some(false) => vec![Effect::EndDiversion { from: relative(path)? }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::scripts::PackageFiles;
    use std::collections::BTreeMap;

    fn of(text: &str) -> Option<Vec<Effect>> {
        let files = PackageFiles::default();
        let answers = BTreeMap::new();
        effects(text, &mut System::new("p", &files, &answers), true)
    }

    #[test]
    fn dpkg_divert_becomes_a_diversion() {
        for text in [
            "dpkg-divert --quiet --add --no-rename --package p --divert /a/b.x /a/b",
            "dpkg-divert --package p --divert=/a/b.x --rename /a/b",
        ] {
            assert_eq!(of(text), Some(vec![Effect::Divert { from: b"a/b".to_vec(), to: b"a/b.x".to_vec() }]), "{text}");
        }
        assert_eq!(
            of("dpkg-divert --remove --no-rename --divert /a.x /a"),
            Some(vec![Effect::EndDiversion { from: b"a".to_vec() }])
        );
        for text in [
            "dpkg-divert --list /a",
            "dpkg-divert --add --package other --divert /a.x /a",
            "dpkg-divert --remove --package=other --divert /a.x /a",
            "dpkg-divert --add --local --divert /a.x /a",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_known_command_that_also_writes_is_not_covered() {
        assert_eq!(of("echo \"hello $x\" >&2"), Some(vec![]));
        assert_eq!(of("update-alternatives --remove a /usr/bin/a"), Some(vec![]));
        let made = FileChange::Empty { path: "/etc/f".to_owned(), mode: 0o644 };
        assert_eq!(of(": > /etc/f"), Some(vec![Effect::Change(made)]));
        for (text, append) in [("echo \"a b\" > /etc/f", false), ("echo -n 'a b' >>/etc/f", true)] {
            let text_of = if append { "a b" } else { "a b\n" };
            let change = FileChange::Write { path: "/etc/f".to_owned(), text: text_of.to_owned(), append, mode: 0o644 };
            assert_eq!(of(text), Some(vec![Effect::Change(change)]), "{text}");
        }
        for text in [
            "echo $x > /etc/f",
            "echo x > $f",
            "echo x > y",
            "echo $(rm -r /x)",
            "printf x | sh",
            "rm -f $x",
            "ldconfig && touch /x",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        let (files, answers) = (PackageFiles::default(), BTreeMap::new());
        let perhaps = effects("addgroup --system x", &mut System::new("p", &files, &answers), false);
        assert_eq!(perhaps, None, "the command may not run");
    }

    #[test]
    fn the_output_of_some_commands_is_known() {
        let mut files = PackageFiles::default();
        files.add("p", std::iter::once(("usr/sbin/ucf", FileKind::File)));
        let answers = BTreeMap::from([("p/question".to_owned(), "yes".to_owned())]);
        let mut system = System::new("p", &files, &answers);
        system.unpacked = true;
        for (text, value) in [
            ("command -v ucf", Some("/usr/sbin/ucf")),
            ("which other 2>/dev/null", Some("")),
            ("dirname /etc/x/y", Some("/etc/x")),
            ("basename /etc/x.conf .conf", Some("x")),
            ("dpkg-divert --truename /a", Some("/a")),
            ("date", None),
        ] {
            assert_eq!(output(text, &system).as_deref(), value, "{text}");
        }
        let answer = |text| assigned(text, &system).pop().unwrap().1;
        assert_eq!((answer("db_get p/question || true").as_deref(), answer("db_get other")), (Some("yes"), None));
    }
}
