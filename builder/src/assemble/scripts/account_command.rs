//! Commands that make users and groups, as lines of sysusers.d(5).

use super::Effect;
use crate::assemble::change::FileChange;

/// The effects of a command. `None` if they are not known.
pub(super) fn effects(name: &str, arguments: &[&str]) -> Option<Vec<Effect>> {
    match name {
        "addgroup" | "groupadd" => group(arguments),
        "adduser" | "useradd" => user(name, arguments),
        "usermod" => usermod(arguments),
        "gpasswd" => match arguments {
            ["-a" | "--add", user, group] => Some(vec![member(user, group)]),
            _ => None,
        },
        _ => None,
    }
}

fn member(user: &str, group: &str) -> Effect {
    Effect::Sysusers(format!("m {user} {group}"))
}

/// Options and their values as separate words: `--option=value` is split.
fn separated<'a>(arguments: &[&'a str]) -> impl Iterator<Item = &'a str> {
    arguments.iter().flat_map(|argument| match argument.split_once('=') {
        Some((option, value)) if option.starts_with("--") => vec![option, value],
        _ => vec![*argument],
    })
}

/// addgroup(8), groupadd(8), for a system group; addgroup also puts a user into a group.
fn group(arguments: &[&str]) -> Option<Vec<Effect>> {
    let (mut system, mut names, mut id) = (false, Vec::new(), "-");
    let mut rest = separated(arguments);
    while let Some(argument) = rest.next() {
        match argument {
            "--system" | "-r" => system = true,
            "--gid" | "-g" => id = rest.next().filter(|id| id.parse::<u32>().is_ok())?,
            "--stdoutmsglevel" | "--stderrmsglevel" => _ = rest.next()?,
            "--quiet" | "-f" | "--force" | "--force-badname" | "--allow-bad-names" | "--allow-badname" => {}
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    match names[..] {
        [name] if system => Some(vec![Effect::Sysusers(format!("g {name} {id} -"))]),
        [user, group] if !system => Some(vec![member(user, group)]),
        _ => None,
    }
}

/// usermod(8): puts a user into groups.
fn usermod(arguments: &[&str]) -> Option<Vec<Effect>> {
    let (mut groups, mut names) = (None, Vec::new());
    let mut rest = separated(arguments);
    while let Some(argument) = rest.next() {
        match argument {
            "-a" | "--append" => {}
            "-G" | "-aG" | "--groups" => groups = Some(rest.next()?),
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    let [user] = names[..] else { return None };
    Some(groups?.split(',').map(|group| member(user, group)).collect())
}

/// adduser(8), useradd(8), for a system user. Where adduser would take the group nogroup, the user gets a group with the user's
/// name, as sysusers.d does.
fn user(command: &str, arguments: &[&str]) -> Option<Vec<Effect>> {
    let (mut system, mut makes_home, mut names) = (false, command == "adduser", Vec::new());
    let (mut group, mut comment, mut home, mut shell, mut id) = (None, "", "", "", "-");
    let mut rest = separated(arguments);
    while let Some(argument) = rest.next() {
        match argument {
            "--system" | "-r" => system = true,
            "--no-create-home" | "-M" => makes_home = false,
            "--create-home" | "-m" => makes_home = true,
            "--group" | "-U" | "--user-group" if command == "adduser" || argument != "--group" => {}
            "--quiet" | "--disabled-password" | "--disabled-login" | "--force-badname" | "--allow-bad-names" => {}
            "--allow-badname" | "--no-log-init" | "-l" => {}
            "--stdoutmsglevel" | "--stderrmsglevel" => _ = rest.next()?,
            "--home" | "-d" | "--home-dir" => home = rest.next()?,
            "--shell" | "-s" => shell = rest.next()?,
            "--gecos" | "--comment" | "-c" => comment = rest.next()?,
            "--ingroup" | "-g" | "--gid" => group = Some(rest.next()?),
            "--uid" | "-u" => id = rest.next().filter(|id| id.parse::<u32>().is_ok())?,
            option if option.starts_with('-') => return None,
            name => names.push(name),
        }
    }
    let name = match names[..] {
        [user, group] if !system && command == "adduser" => return Some(vec![member(user, group)]),
        [name] if system => name,
        _ => return None,
    };
    if [comment, home, shell].iter().any(|text| text.contains('"')) {
        return None;
    }
    let field = |text: &str| if text.is_empty() { "-".to_owned() } else { format!("\"{text}\"") };
    let ids = group.map_or_else(|| id.to_owned(), |group| format!("{id}:{group}"));
    let home = if home.len() > 1 { home.trim_end_matches('/') } else { home };
    let mut effects =
        vec![Effect::Sysusers(format!("u {name} {ids} {} {} {}", field(comment), field(home), field(shell)))];
    if makes_home && home.starts_with('/') && home != "/nonexistent" {
        let path = home.to_owned();
        effects.push(Effect::Change(FileChange::Directory { path: path.clone(), mode: 0o755 }));
        let (user, group) = (Some(name.to_owned()), Some(group.unwrap_or(name).to_owned()));
        effects.push(Effect::Change(FileChange::Owner { path, user, group, recursive: false }));
    }
    Some(effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        let words = crate::assemble::scripts::words::literals(text).unwrap();
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let line = |effect| match effect {
            Effect::Sysusers(line) => line,
            Effect::Change(change) => change.to_string(),
            other => panic!("{other:?}"),
        };
        Some(effects(&words[0], &arguments)?.into_iter().map(line).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn commands_that_create_accounts_become_declarations() {
        for (text, lines) in [
            ("addgroup --system docker", "g docker - -"),
            ("addgroup --quiet --system --force-badname _x", "g _x - -"),
            ("groupadd -r x", "g x - -"),
            ("groupadd --system --gid 42 x", "g x 42 -"),
            ("addgroup u g", "m u g"),
            ("adduser x y", "m x y"),
            ("usermod -a -G a,b x", "m x a\nm x b"),
            ("gpasswd -a x y", "m x y"),
            ("useradd -r -g x -d /srv/x x", "u x -:x - \"/srv/x\" -"),
            ("useradd --system --gid nogroup --uid 7 x", "u x 7:nogroup - - -"),
            (
                "adduser --system --group --no-create-home --home /run/x --gecos \"A daemon\" _x",
                "u _x - \"A daemon\" \"/run/x\" -",
            ),
            (
                "adduser --system --ingroup g --stdoutmsglevel=warn --home /var/lib/x/ --shell=/bin/sh u",
                "u u -:g - \"/var/lib/x\" \"/bin/sh\"\nmkdir -m 0755 /var/lib/x\nchown u:g /var/lib/x",
            ),
        ] {
            assert_eq!(of(text).as_deref(), Some(lines), "{text}");
        }
        for text in ["addgroup docker", "adduser x", "adduser --system --uid x y", "usermod -s /bin/sh x"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
