//! Users and groups: passwd(5), group(5), shadow(5), gshadow(5).

use super::{
    account::{Accounts, Group, User},
    declaration::{self, Declaration},
    error::AssembleError,
    sysusers,
};
use crate::tree::{Node, Show, Tree, Verdict};
use std::sync::Arc;

/// Where base-passwd keeps Debian's static accounts.
const PASSWD_MASTER: &[u8] = b"usr/share/base-passwd/passwd.master";
const GROUP_MASTER: &[u8] = b"usr/share/base-passwd/group.master";
/// Accounts of an image without base-passwd: those that programs expect everywhere, with Debian's static ids (base-passwd).
const PASSWD: &str = "root:*:0:0:root:/root:/usr/sbin/nologin
nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "root:*:0:
adm:*:4:
tty:*:5:
disk:*:6:
mail:*:8:
kmem:*:15:
dialout:*:20:
cdrom:*:24:
floppy:*:25:
tape:*:26:
sudo:*:27:
audio:*:29:
shadow:*:42:
utmp:*:43:
video:*:44:
plugdev:*:46:
staff:*:50:
users:*:100:
nogroup:*:65534:
";

/// Reads passwd(5) and group(5).
pub(super) fn parse(passwd: (&str, &str), group: (&str, &str)) -> Result<Accounts, AssembleError> {
    let number = |line: &Declaration, text: &str| {
        text.parse::<u32>().map_err(|_| line.error(format!("expected a number, found {text:?}")))
    };
    let mut accounts = Accounts::default();
    for line in declaration::lines(passwd.0, passwd.1) {
        let fields: Vec<&str> = line.text.split(':').collect();
        let [name, _, uid, gid, comment, home, shell] = fields[..] else {
            return Err(line.error("expected the seven fields of passwd(5)"));
        };
        let (uid, gid) = (number(&line, uid)?, number(&line, gid)?);
        let [name, comment, home, shell] = [name, comment, home, shell].map(str::to_owned);
        accounts.users.push(User { name, uid, gid, comment, home, shell, expired: false });
    }
    for line in declaration::lines(group.0, group.1) {
        let fields: Vec<&str> = line.text.split(':').collect();
        let [name, _, gid, members] = fields[..] else {
            return Err(line.error("expected the four fields of group(5)"));
        };
        let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
        accounts.groups.push(Group { name: name.to_owned(), gid: number(&line, gid)?, members });
    }
    Ok(accounts)
}

/// Makes the accounts of the image and writes them to the four files in the tree.
///
/// The first source that exists is taken: /etc/passwd and /etc/group of an overlay, the master files of base-passwd, the
/// built-in accounts. The lines of sysusers.d in the tree and `declared` add accounts.
pub(super) fn apply(tree: &mut Tree, declared: &[Declaration], origin: &Arc<str>) -> Result<Accounts, AssembleError> {
    let file = |own: &'static [u8], master: &'static [u8], fallback: &str| {
        for path in [own, master] {
            if let Some(text) = declaration::text(tree, path)? {
                return Ok((Show(path).to_string(), text));
            }
        }
        Ok::<_, AssembleError>(("the built-in accounts".to_owned(), fallback.to_owned()))
    };
    let passwd = file(b"etc/passwd", PASSWD_MASTER, PASSWD)?;
    let group = file(b"etc/group", GROUP_MASTER, GROUP)?;
    let mut accounts = parse((&passwd.0, &passwd.1), (&group.0, &group.1))?;
    let mut lines = declaration::read(tree, "sysusers")?;
    lines.extend(declared.iter().cloned());
    sysusers::apply(&mut accounts, &lines, tree)?;

    let gid_of_shadow = accounts.group("shadow").map_or(0, |group| group.gid);
    let old_shadow = declaration::text(tree, b"etc/shadow")?.unwrap_or_default();
    let old_gshadow = declaration::text(tree, b"etc/gshadow")?.unwrap_or_default();
    for (path, text, mode, gid) in [
        ("etc/passwd", passwd_text(&accounts), 0o644, 0),
        ("etc/group", group_text(&accounts), 0o644, 0),
        ("etc/shadow", shadow_text(&accounts, &old_shadow), 0o640, gid_of_shadow),
        ("etc/gshadow", gshadow_text(&accounts, &old_gshadow), 0o640, gid_of_shadow),
    ] {
        let mut node = Node::file(mode, text, origin);
        node.meta.gid = gid;
        tree.insert(path.as_bytes(), node, |_, _| Verdict::TakeNew)?;
    }
    Ok(accounts)
}

pub(super) fn passwd_text(accounts: &Accounts) -> String {
    let line = |user: &User| {
        let User { name, uid, gid, comment, home, shell, .. } = user;
        format!("{name}:x:{uid}:{gid}:{comment}:{home}:{shell}\n")
    };
    accounts.users.iter().map(line).collect()
}

pub(super) fn group_text(accounts: &Accounts) -> String {
    accounts
        .groups
        .iter()
        .map(|group| format!("{}:x:{}:{}\n", group.name, group.gid, group.members.join(",")))
        .collect()
}

/// The text of shadow(5). A user keeps the line that `old` has. Other users get a locked line: no password matches `!*`. The day
/// of the last change is empty, because an image must not depend on the clock.
fn shadow_text(accounts: &Accounts, old: &str) -> String {
    let line = |user: &User| match named(old, &user.name) {
        Some(line) => format!("{line}\n"),
        None => format!("{}:!*::::::{}:\n", user.name, if user.expired { "1" } else { "" }),
    };
    accounts.users.iter().map(line).collect()
}

fn gshadow_text(accounts: &Accounts, old: &str) -> String {
    let line = |group: &Group| match named(old, &group.name) {
        Some(line) => format!("{line}\n"),
        None => format!("{}:!*::{}\n", group.name, group.members.join(",")),
    };
    accounts.groups.iter().map(line).collect()
}

fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find(|line| line.split(':').next() == Some(name))
}
