//! Evaluates conditions of a script for a first installation, on a system that has never run.

use super::{
    line::quiet,
    system::{FileKind, System},
    words::{Word, is_simple, literals, pipeline, without_substitutions, words},
};

/// The result of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    True,
    False,
    /// It checks that an account exists which the script makes if it is missing.
    Account,
    /// It checks that such an account is missing.
    NoAccount,
    Unknown,
}

impl Status {
    pub(super) fn of(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }

    fn known(value: Option<bool>) -> Self {
        value.map_or(Self::Unknown, Self::of)
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Account => Self::NoAccount,
            Self::NoAccount => Self::Account,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// The result of one command, without a `!` before it, whose variables are expanded.
pub(super) fn known(command: &str, system: &System<'_>) -> Status {
    let Some(words) = words(quiet(command)) else { return account_in_substitution(command) };
    let literal = |word: &Word| match word {
        Word::Literal(text) => Some(text.clone()),
        // A pattern without a match stays as it is.
        Word::Pattern(pattern) => system.matching(pattern).filter(Vec::is_empty).map(|_| pattern.clone()),
        Word::Unknown => None,
    };
    let words: Vec<Option<String>> = words.iter().map(literal).collect();
    let words: Vec<Option<&str>> = words.iter().map(Option::as_deref).collect();
    match words[..] {
        [Some("["), ref inner @ .., Some("]")] | [Some("test"), ref inner @ ..] => Status::known(any(inner, system)),
        [Some("true" | ":")] => Status::True,
        [Some("false")] => Status::False,
        [Some("dpkg"), Some("--compare-versions"), ref rest @ ..] => Status::known(compare_versions(rest)),
        // Nobody has changed the mode of a file or diverted it: the system is new.
        [Some("dpkg-statoverride"), Some("--list"), _] => Status::False,
        [Some("getent"), Some("group"), Some(name)] => account(system.has_group(name)),
        [Some("getent"), Some("passwd"), Some(name)]
        | [Some("id"), Some("-u" | "-g"), Some(name)]
        | [Some("id"), Some(name)] => account(system.has_user(name)),
        [Some("command"), Some("-v"), Some(name)] | [Some("which"), Some(name)] => {
            Status::known(system.program(name).map(|found| found.is_some()))
        }
        [Some(name), ref rest @ ..] if asks_for_service(name, rest) => Status::False,
        _ => Status::Unknown,
    }
}

/// Whether the command asks for the state of a service. No service runs on a system that has never run.
fn asks_for_service(name: &str, arguments: &[Option<&str>]) -> bool {
    match name.rsplit('/').next() {
        Some("systemctl") => arguments.iter().flatten().any(|word| word.starts_with("is-")),
        Some("service" | "invoke-rc.d") => arguments.last() == Some(&Some("status")),
        _ => false,
    }
}

fn account(exists: bool) -> Status {
    if exists { Status::True } else { Status::Account }
}

/// `[ -z "$(id -u NAME)" ]`.
fn account_in_substitution(command: &str) -> Status {
    let (text, commands) = without_substitutions(quiet(command));
    let checks = |command: &String| {
        let words = literals(quiet(command));
        words.is_some_and(|words| match words.first().map(String::as_str) {
            Some("id") => true,
            Some("getent") => words.len() == 3,
            _ => false,
        })
    };
    match (text.as_str(), commands.iter().all(checks)) {
        ("[ -z \"x\" ]", true) => Status::NoAccount,
        ("[ -n \"x\" ]", true) => Status::Account,
        _ => Status::Unknown,
    }
}

fn any(words: &[Option<&str>], system: &System<'_>) -> Option<bool> {
    let results: Vec<_> = words.split(|word| *word == Some("-o")).map(|words| all(words, system)).collect();
    if results.contains(&Some(true)) {
        return Some(true);
    }
    results.iter().all(|result| *result == Some(false)).then_some(false)
}

fn all(words: &[Option<&str>], system: &System<'_>) -> Option<bool> {
    let results: Vec<_> = words.split(|word| *word == Some("-a")).map(|words| test(words, system)).collect();
    if results.contains(&Some(false)) {
        return Some(false);
    }
    results.iter().all(|result| *result == Some(true)).then_some(true)
}

/// test(1), for one expression.
fn test(words: &[Option<&str>], system: &System<'_>) -> Option<bool> {
    match *words {
        [Some("!"), ref rest @ ..] => test(rest, system).map(|value| !value),
        [Some("-n"), word] => word.map(|word| !word.is_empty()),
        [Some("-z"), word] => word.map(str::is_empty),
        [Some(operator), Some(path)] if operator.starts_with('-') => file(operator, path, system),
        [word] => word.map(|word| !word.is_empty()),
        [] => Some(false),
        [a, Some("=" | "=="), b] => Some(a? == b?),
        [a, Some("!="), b] => Some(a? != b?),
        [Some(a), Some(operator), Some(b)] => {
            let (a, b) = (a.parse::<i64>().ok()?, b.parse::<i64>().ok()?);
            match operator {
                "-eq" => Some(a == b),
                "-ne" => Some(a != b),
                "-lt" => Some(a < b),
                "-le" => Some(a <= b),
                "-gt" => Some(a > b),
                "-ge" => Some(a >= b),
                _ => None,
            }
        }
        _ => None,
    }
}

fn file(operator: &str, path: &str, system: &System<'_>) -> Option<bool> {
    if path.is_empty() {
        return Some(false);
    }
    let kind = system.kind(path)?;
    match (operator, kind) {
        ("-e" | "-f" | "-d" | "-x" | "-r" | "-w" | "-s" | "-L" | "-h" | "-S" | "-p" | "-c" | "-b", None) => Some(false),
        ("-L" | "-h", Some(kind)) => Some(kind == FileKind::Link),
        // The link may point to nothing, or to a folder.
        (_, Some(FileKind::Link)) => None,
        ("-e" | "-r" | "-w", Some(_)) => Some(true),
        ("-f", Some(kind)) => Some(kind == FileKind::File),
        ("-d", Some(kind)) => Some(kind == FileKind::Directory),
        ("-x", Some(FileKind::Directory | FileKind::File)) => Some(true),
        _ => None,
    }
}

/// dpkg(1): for `lt le eq ne ge gt`, an empty version is earlier than any version. With the suffix `-nl` it is later.
fn compare_versions(words: &[Option<&str>]) -> Option<bool> {
    let rest = words.strip_prefix(&[Some("--")]).unwrap_or(words);
    let [Some(""), Some(operator), Some(_)] = rest else { return None };
    match *operator {
        "lt" | "le" | "ne" | "ge-nl" | "gt-nl" => Some(true),
        "gt" | "ge" | "eq" | "lt-nl" | "le-nl" => Some(false),
        _ => None,
    }
}

/// Commands that only read, unless they have an argument of [`CHANGING`].
const PURE: [&str; 38] = [
    "[",
    "aa-enabled",
    "aa-status",
    "basename",
    "cat",
    "command",
    "cut",
    "deb-systemd-helper",
    "dirname",
    "dpkg",
    "dpkg-divert",
    "dpkg-query",
    "dpkg-statoverride",
    "echo",
    "false",
    "fgrep",
    "find",
    "getent",
    "grep",
    "head",
    "id",
    "ischroot",
    "ls",
    "md5sum",
    "pidof",
    "printf",
    "readlink",
    "realpath",
    "sed",
    "sha256sum",
    "sort",
    "ss",
    "stat",
    "tail",
    "test",
    "tr",
    "uname",
    "which",
];
const CHANGING: [&str; 17] = [
    "--add",
    "--remove",
    "enable",
    "unmask",
    "update-state",
    "purge",
    "--configure",
    "--unpack",
    "-i",
    "--in-place",
    "--install",
    "-delete",
    "-exec",
    "-execdir",
    "--purge",
    "--update",
    "-o",
];

/// Whether a command only reads. A pipeline only reads if each of its commands does.
pub(super) fn is_pure(command: &str) -> bool {
    let (text, inner) = without_substitutions(command.trim_start_matches("! ").trim());
    inner.iter().all(|command| is_pure(command)) && pipeline(&text).into_iter().all(is_pure_command)
}

fn is_pure_command(text: &str) -> bool {
    let text = quiet(text);
    let mut words = text.split_whitespace();
    let Some(name) = words.next() else { return false };
    // `-o` is an operator of test, and an output file of sort.
    let changes = |word: &str| match name {
        "[" | "test" | "grep" | "echo" | "printf" => false,
        "sed" => word.starts_with('-') && word.contains('i'),
        _ => CHANGING.contains(&word),
    };
    PURE.contains(&name) && is_simple(text) && !words.any(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assemble::scripts::PackageFiles;

    #[test]
    fn conditions_are_evaluated_for_a_first_installation() {
        let mut files = PackageFiles::default();
        let shipped = [("etc/x", FileKind::File), ("usr/bin/tool", FileKind::File), ("etc/link", FileKind::Link)];
        files.add("p", shipped.into_iter());
        let answers = std::collections::BTreeMap::new();
        let mut system = System::new("p", &files, &answers);
        system.unpacked = true;
        system.make_user("made");
        system.make_group("group");
        for (text, status) in [
            ("[ \"configure\" = \"configure\" ]", Status::True),
            ("[ configure != configure ]", Status::False),
            ("[ ! \"a\" = \"a\" ]", Status::False),
            ("[ a = install -o a = upgrade ]", Status::False),
            ("[ a = a -a \"$x\" = upgrade ]", Status::Unknown),
            ("[ a = b -a \"$x\" = upgrade ]", Status::False),
            ("[ -n \"\" ]", Status::False),
            ("test -z ''", Status::True),
            ("[ \"\" ]", Status::False),
            ("[ 3 -gt 2 ]", Status::True),
            ("[ -d /run/systemd/system ]", Status::False),
            ("[ -f /etc/x ] 2>/dev/null", Status::True),
            ("[ -e /etc/link ]", Status::Unknown),
            ("[ -L /etc/link ]", Status::True),
            ("[ -e /sys/x ]", Status::Unknown),
            ("[ -e etc/x ]", Status::Unknown),
            ("[ \"$1\" = \"$3\" ]", Status::Unknown),
            ("dpkg --compare-versions \"\" lt-nl '1.0'", Status::False),
            ("dpkg --compare-versions -- \"\" le '1.0'", Status::True),
            ("dpkg-statoverride --list /etc/x >/dev/null 2>&1", Status::False),
            ("command -v tool > /dev/null", Status::True),
            ("which other", Status::False),
            ("getent group x", Status::Account),
            ("getent passwd made", Status::True),
            ("getent group group", Status::True),
            ("id -u group", Status::Account),
            ("[ -z \"`id -u x 2> /dev/null`\" ]", Status::NoAccount),
            ("systemctl is-active --quiet x", Status::False),
            ("/bin/systemctl --quiet is-enabled x.service 2>/dev/null", Status::False),
            ("service x status >/dev/null 2>&1", Status::False),
            ("invoke-rc.d --quiet x status", Status::False),
            ("systemctl restart x", Status::Unknown),
            ("invoke-rc.d status restart", Status::Unknown),
            ("unknown", Status::Unknown),
        ] {
            assert_eq!(known(text, &system), status, "{text}");
        }
    }

    #[test]
    fn an_empty_version_compares_as_in_dpkg() {
        berth_judge::needs!("dpkg");
        for operator in ["lt", "le", "eq", "ne", "ge", "gt", "lt-nl", "le-nl", "ge-nl", "gt-nl"] {
            let mut dpkg = std::process::Command::new("dpkg");
            let judge =
                dpkg.args(["--compare-versions", "", operator, "1.0"]).status().expect("run ci/setup").success();
            assert_eq!(compare_versions(&[Some(""), Some(operator), Some("1.0")]), Some(judge), "{operator}");
        }
    }

    #[test]
    fn commands_that_change_something_are_not_pure() {
        for text in [
            "[ -x /bin/x ]",
            "getent group x >/dev/null 2>&1",
            "deb-systemd-helper --quiet was-enabled 'x.service'",
            "[ -x \"$(which x)\" ]",
            "cat /etc/x | grep -q \"a|b\"",
            "[ -z \"$(ss -nlt 'sport = 80' | grep -v ^State)\" ]",
        ] {
            assert!(is_pure(text), "{text}");
        }
        for text in [
            "! cleanup",
            "addgroup x",
            "dpkg-divert --add x",
            "[ -x \"$(make x)\" ]",
            "deb-systemd-helper enable x",
            "echo x > /etc/y",
            "cat x | sh",
            "sed -i s/a/b/ x",
            "sort -o x y",
        ] {
            assert!(!is_pure(text), "{text}");
        }
    }
}
