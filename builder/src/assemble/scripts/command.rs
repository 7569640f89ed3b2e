//! Single commands whose effect is known.

use super::{
    Effect,
    line::{Line, is_simple, quiet, words},
};
use crate::assemble::alternatives::Alternative;

/// Commands that have no effect which the image needs, with the reason.
const IGNORED: &[(&str, &str)] = &[
    (":", "nothing"),
    ("true", "nothing"),
    ("false", "nothing"),
    ("exit", "ends the script"),
    ("return", "ends a function"),
    ("set", "options of the shell"),
    ("export", "environment of the script"),
    ("local", "variables of a function"),
    ("umask", "mode of files that the script makes"),
    ("echo", "prints text"),
    ("printf", "prints text"),
    ("db_beginblock", "debconf"),
    ("db_capb", "debconf"),
    ("db_endblock", "debconf"),
    ("db_fget", "debconf"),
    ("db_fset", "debconf"),
    ("db_get", "debconf: the default answer is used"),
    ("db_go", "debconf"),
    ("db_metaget", "debconf"),
    ("db_input", "debconf: no question is asked"),
    ("db_purge", "debconf"),
    ("db_reset", "debconf"),
    ("db_set", "debconf"),
    ("db_settitle", "debconf"),
    ("db_stop", "debconf"),
    ("db_subst", "debconf"),
    ("db_unregister", "debconf"),
    ("db_version", "debconf"),
    ("deb-systemd-helper", "units of systemd: services are declared in usr/lib/berth/services"),
    ("deb-systemd-invoke", "starts and stops services"),
    ("depmod", "the builder indexes the kernel's modules"),
    ("dpkg-maintscript-helper", "renames configuration files at upgrades"),
    ("dpkg-trigger", "triggers take effect in the package that declares an interest: see triggers.rs"),
    ("invoke-rc.d", "starts and stops services"),
    ("ldconfig", "the builder writes ld.so.cache"),
    ("linux-run-hooks", "hooks of other packages for initrd and boot loader: the builder makes both"),
    ("linux-update-symlinks", "links in / to the newest kernel: the kernel is in the UKI"),
    ("py3clean", "compiled Python modules: a cache"),
    ("py3compile", "compiled Python modules: a cache"),
    ("service", "starts and stops services"),
    ("systemctl", "units of systemd"),
    ("systemd-sysusers", "the builder applies sysusers.d"),
    ("systemd-tmpfiles", "the builder and init apply tmpfiles.d"),
    ("update-ca-certificates", "the builder writes the bundle"),
    ("update-initramfs", "the builder makes the initrd"),
    ("update-rc.d", "scripts of sysvinit"),
];

/// The effects of a line. `None` if they are not known. `certain` says whether the line always runs: if it is false, a line with
/// an effect gives `None`.
pub(super) fn effect(line: &Line, certain: bool) -> Option<Vec<Effect>> {
    let text = quiet(&line.text);
    if !is_simple(text) {
        return None;
    }
    if text == ". /usr/share/debconf/confmodule" {
        return Some(Vec::new());
    }
    let name = text.split_whitespace().next()?;
    if IGNORED.iter().any(|(known, _)| *known == name) {
        return Some(Vec::new());
    }
    let words = words(text)?;
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let effects = match name {
        "update-alternatives" => vec![Effect::Alternative(Alternative::parse(&arguments)?)],
        "addgroup" | "groupadd" => vec![Effect::Sysusers(group(&arguments)?)],
        "adduser" | "useradd" => user(name, &arguments)?,
        "dpkg-divert" => vec![diversion(&arguments)?],
        _ => return None,
    };
    certain.then_some(effects)
}

/// addgroup(8), groupadd(8), for a system group without a given id.
fn group(arguments: &[&str]) -> Option<String> {
    let (mut system, mut names) = (false, Vec::new());
    for argument in arguments {
        match *argument {
            "--system" | "-r" => system = true,
            "--quiet" | "-f" | "--force" | "--force-badname" | "--allow-bad-names" => {}
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    match names[..] {
        [name] if system => Some(format!("g {name} - -")),
        _ => None,
    }
}

/// adduser(8), useradd(8), for a system user without a given id. Where adduser would take the group nogroup, the user gets a
/// group with the user's name, as sysusers.d does.
fn user(command: &str, arguments: &[&str]) -> Option<Vec<Effect>> {
    let (mut system, mut makes_home, mut names) = (false, command == "adduser", Vec::new());
    let (mut group, mut comment, mut home, mut shell) = (None, "", "", "");
    let mut rest = arguments.iter().flat_map(|argument| match argument.split_once('=') {
        Some((option, value)) if option.starts_with("--") => vec![option, value],
        _ => vec![*argument],
    });
    while let Some(argument) = rest.next() {
        match argument {
            "--system" | "-r" => system = true,
            "--no-create-home" | "-M" => makes_home = false,
            "--create-home" | "-m" => makes_home = true,
            "--group" | "-U" | "--user-group" if command == "adduser" || argument != "--group" => {}
            "--quiet" | "--disabled-password" | "--disabled-login" | "--force-badname" | "--allow-bad-names" => {}
            "--home" | "-d" | "--home-dir" => home = rest.next()?,
            "--shell" | "-s" => shell = rest.next()?,
            "--gecos" | "--comment" | "-c" => comment = rest.next()?,
            "--ingroup" | "-g" => group = Some(rest.next()?),
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    let [name] = names[..] else { return None };
    if !system || [comment, home, shell].iter().any(|text| text.contains('"')) {
        return None;
    }
    let field = |text: &str| if text.is_empty() { "-".to_owned() } else { format!("\"{text}\"") };
    let id = group.map_or_else(|| "-".to_owned(), |group| format!("-:{group}"));
    let mut effects =
        vec![Effect::Sysusers(format!("u {name} {id} {} {} {}", field(comment), field(home), field(shell)))];
    if makes_home && !home.is_empty() && home != "/nonexistent" {
        effects.push(Effect::Tmpfiles(format!("d {home} 0755 {name} {} -", group.unwrap_or(name))));
    }
    Some(effects)
}

/// dpkg-divert(1): moves files of other packages from one path to another.
fn diversion(arguments: &[&str]) -> Option<Effect> {
    let (mut add, mut to, mut names) = (false, None, Vec::new());
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--add" => add = true,
            "--rename" | "--no-rename" | "--quiet" => {}
            "--divert" => to = Some(*rest.next()?),
            "--package" => _ = rest.next()?,
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    match names[..] {
        [path] if add => {
            let to = to.map_or_else(|| format!("{path}.distrib"), str::to_owned);
            let relative = |path: &str| path.strip_prefix('/').map(|path| path.as_bytes().to_vec());
            Some(Effect::Divert { from: relative(path)?, to: relative(&to)? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Vec<Effect>> {
        effect(&Line { number: 1, text: text.to_owned() }, true)
    }

    #[test]
    fn commands_that_create_accounts_become_declarations() {
        for (text, lines) in [
            ("addgroup --system docker", "g docker - -"),
            ("addgroup --quiet --system --force-badname _x >/dev/null", "g _x - -"),
            ("groupadd -r x || true", "g x - -"),
            ("useradd -r -g x -d /srv/x x", "u x -:x - \"/srv/x\" -"),
            (
                "adduser --system --group --no-create-home --home /run/x --gecos \"A daemon\" _x",
                "u _x - \"A daemon\" \"/run/x\" -",
            ),
            (
                "adduser --system --ingroup g --home /var/lib/x --shell=/bin/sh u",
                "u u -:g - \"/var/lib/x\" \"/bin/sh\"\nd /var/lib/x 0755 u g -",
            ),
        ] {
            let found = of(text).map(|effects| {
                let lines = effects.into_iter().map(|effect| match effect {
                    Effect::Sysusers(line) | Effect::Tmpfiles(line) => line,
                    other => panic!("{other:?}"),
                });
                lines.collect::<Vec<_>>().join("\n")
            });
            assert_eq!(found.as_deref(), Some(lines), "{text}");
        }
        for text in [
            "addgroup docker",
            "addgroup --system $GROUP",
            "groupadd -g 42 shadow",
            "adduser x y",
            "adduser x",
            "adduser --system --uid 5 x",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(
            effect(&Line { number: 1, text: "addgroup --system x".into() }, false),
            None,
            "the line may not run"
        );
    }

    #[test]
    fn dpkg_divert_add_becomes_a_diversion() {
        assert_eq!(
            of("dpkg-divert --quiet --add --no-rename --package p --divert /a/b.x /a/b"),
            Some(vec![Effect::Divert { from: b"a/b".to_vec(), to: b"a/b.x".to_vec() }])
        );
        assert_eq!(of("dpkg-divert --remove /a"), None);
    }

    #[test]
    fn a_known_command_that_also_writes_is_not_covered() {
        assert_eq!(of("echo \"hello $x\" >&2"), Some(vec![]));
        for text in ["echo x > /etc/f", "echo $(rm -r /x)", "printf x | sh", "rm -f /etc/x", "ldconfig && touch /x"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
