//! Evaluates conditions of a script for a first installation, on a system that has never run.

/// The arguments of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// `$1`: `install` or `configure`. `$2`, the version that was installed before, is empty.
    pub(super) action: &'static str,
}

/// The value of a condition. `None` if it is not known.
pub(super) fn known(condition: &str, call: Call) -> Option<bool> {
    // In the shell, && and || have the same precedence and are evaluated from left to right.
    let (mut value, mut operator) = (None, "");
    for (text, next) in parts(condition) {
        let skipped = matches!((operator, value), ("&&", Some(false)) | ("||", Some(true)));
        if !skipped {
            let part = atom(text, call);
            if part.is_none() && !is_pure(text) {
                return None;
            }
            value = match (operator, value, part) {
                ("", _, part) => part,
                ("&&", _, Some(false)) => Some(false),
                ("||", _, Some(true)) => Some(true),
                (_, Some(_), part) => part,
                (_, None, _) => None,
            };
        }
        operator = next;
    }
    value
}

/// Whether evaluating the condition has no side effect.
pub(super) fn is_pure(condition: &str) -> bool {
    const PURE: [&str; 13] = [
        "[",
        "test",
        "getent",
        "command",
        "which",
        "dpkg",
        "dpkg-query",
        "id",
        "deb-systemd-helper",
        "dpkg-divert",
        "ischroot",
        "grep",
        "dpkg-statoverride",
    ];
    const CHANGING: [&str; 8] =
        ["--add", "--remove", "enable", "unmask", "update-state", "purge", "--configure", "--unpack"];
    parts(condition).into_iter().all(|(text, _)| {
        let text = super::line::quiet(text.trim_start_matches("! ").trim());
        let mut words = text.split_whitespace();
        words.next().is_some_and(|word| PURE.contains(&word))
            && super::line::is_simple(text)
            && !words.any(|word| CHANGING.contains(&word))
    })
}

/// Whether the condition only checks that an account does not exist yet.
pub(super) fn is_missing_account(condition: &str) -> bool {
    let text = super::line::quiet(condition);
    let Some(command) = text.strip_prefix("! ") else { return false };
    super::line::is_simple(super::line::quiet(command))
        && (command.trim().starts_with("getent group ")
            || command.trim().starts_with("getent passwd ")
            || command.trim().starts_with("id "))
}

/// Splits at `&&` and `||`. Returns each part with the operator after it.
fn parts(condition: &str) -> Vec<(&str, &str)> {
    let (mut found, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in condition.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('&' | '|', None)
                if at >= start && (condition[at..].starts_with("&&") || condition[at..].starts_with("||")) =>
            {
                found.push((condition[start..at].trim(), &condition[at..at + 2]));
                start = at + 2;
            }
            _ => {}
        }
    }
    found.push((condition[start..].trim(), ""));
    found
}

fn atom(text: &str, call: Call) -> Option<bool> {
    if let Some(rest) = text.strip_prefix("! ") {
        return atom(rest.trim(), call).map(|value| !value);
    }
    let words: Vec<String> = super::line::quiet(text).split_whitespace().map(|word| word.replace('"', "")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = match &words[..] {
        ["[", words @ .., "]"] | ["test", words @ ..] => words,
        ["dpkg", words @ ..] => return compare_versions(words),
        _ => return None,
    };
    let tests: Vec<Option<bool>> = words.split(|word| *word == "-o").map(|words| test(words, call)).collect();
    if tests.contains(&Some(true)) {
        return Some(true);
    }
    tests.iter().all(|test| *test == Some(false)).then_some(false)
}

fn test(words: &[&str], call: Call) -> Option<bool> {
    let value = |word: &str| match word.trim_matches(['{', '}']) {
        "$1" | "${1" | "${1:-" => Some(call.action.to_owned()),
        "$2" | "${2" | "${2:-" | "$DPKG_ROOT" | "${DPKG_ROOT" | "${DPKG_ROOT:-" => Some(String::new()),
        literal if !literal.contains(['$', '`', '\\', '*']) => Some(literal.trim_matches('\'').to_owned()),
        _ => None,
    };
    let system_runs = |path: &str| path == "/run/systemd/system";
    match words {
        ["!", rest @ ..] => test(rest, call).map(|value| !value),
        ["-d" | "-e", path] if system_runs(path) => Some(false),
        ["-n", word] if word.starts_with('$') => value(word).map(|value| !value.is_empty()),
        ["-z", word] if word.starts_with('$') => value(word).map(|value| value.is_empty()),
        [word] if word.starts_with('$') => value(word).map(|value| !value.is_empty()),
        [a, "=" | "==", b] => Some(value(a)? == value(b)?),
        [a, "!=", b] => Some(value(a)? != value(b)?),
        _ => None,
    }
}

/// dpkg(1): for `lt le eq ne ge gt`, an empty version is earlier than any version. With the suffix `-nl` it is later.
fn compare_versions(words: &[&str]) -> Option<bool> {
    let ["--compare-versions", rest @ ..] = words else { return None };
    let rest = rest.strip_prefix(&["--"]).unwrap_or(rest);
    match rest {
        ["$2" | "${2:-}" | "${2}", operator, version] if !version.contains('$') => match *operator {
            "lt" | "le" | "ne" | "ge-nl" | "gt-nl" => Some(true),
            "gt" | "ge" | "eq" | "lt-nl" | "le-nl" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_evaluated_for_a_first_installation() {
        let call = Call { action: "configure" };
        for (text, value) in [
            ("[ \"$1\" = \"configure\" ]", Some(true)),
            ("[ \"$1\" = configure ] || [ \"$1\" = \"abort-upgrade\" ]", Some(true)),
            ("[ \"$1\" != configure ]", Some(false)),
            ("[ ! \"$1\" = \"configure\" ]", Some(false)),
            ("[ \"$1\" = install -o \"$1\" = upgrade ]", Some(false)),
            ("[ -n \"$2\" ] && ! cleanup", Some(false)),
            ("[ -z \"$2\" ]", Some(true)),
            ("[ \"$1\" = 'configure' ] && [ -z \"${2:-}\" ]", Some(true)),
            ("[ -z \"$DPKG_ROOT\" ] && [ -d /run/systemd/system ]", Some(false)),
            ("dpkg --compare-versions \"$2\" lt-nl '1.0'", Some(false)),
            ("dpkg --compare-versions \"$2\" lt 1.0 && ! [ -f x ]", None),
            ("dpkg --compare-versions -- \"$2\" le '1.0' || false", Some(true)),
            ("[ -f /etc/x ]", None),
            ("[ \"$1\" = \"$3\" ]", None),
            ("getent group x", None),
        ] {
            assert_eq!(known(text, call), value, "{text}");
        }
        assert_eq!(known("[ \"$1\" = install ]", Call { action: "install" }), Some(true));
    }

    #[test]
    fn an_empty_version_compares_as_in_dpkg() {
        berth_judge::needs!("dpkg");
        for operator in ["lt", "le", "eq", "ne", "ge", "gt", "lt-nl", "le-nl", "ge-nl", "gt-nl"] {
            let mut dpkg = std::process::Command::new("dpkg");
            let judge =
                dpkg.args(["--compare-versions", "", operator, "1.0"]).status().expect("run ci/setup").success();
            assert_eq!(compare_versions(&["--compare-versions", "$2", operator, "1.0"]), Some(judge), "{operator}");
        }
    }

    #[test]
    fn conditions_with_side_effects_are_not_pure() {
        assert!(is_pure("[ -x /bin/x ] && getent group x >/dev/null 2>&1"));
        assert!(is_pure("deb-systemd-helper --quiet was-enabled 'x.service'"));
        for text in
            ["! cleanup", "addgroup x", "dpkg-divert --add x", "[ -x \"$(which x)\" ]", "deb-systemd-helper enable x"]
        {
            assert!(!is_pure(text), "{text}");
        }
        assert!(is_missing_account("! getent group docker >/dev/null 2>&1"));
        assert!(!is_missing_account("getent group docker") && !is_missing_account("! [ -f x ]"));
    }
}
