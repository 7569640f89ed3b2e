//! sysusers.d(5): the users and groups that packages declare.
//!
//! If a line gives no id, the id is derived from the name of the account. systemd-sysusers takes the next free id instead. That
//! is not safe here: files in /var outlive the image that made them, so a group must not get another id when a package is added
//! or removed. If two names give the same id, one of them gets the next free id.

use super::{
    account::{Accounts, Group, User},
    declaration::Declaration,
    error::AssembleError,
};
use crate::tree::Tree;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The range of derived ids if there is no `r` line: Debian's range of system accounts, without its start, from which Debian's
/// own tools take ids first.
const RANGE: (u32, u32) = (200, 999);
const NOLOGIN: &str = "/usr/sbin/nologin";

/// The id that a line requests.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Any,
    Number(u32),
}

/// The declarations of all lines. Accounts with a given id are made first.
#[derive(Default)]
struct Wanted<'a> {
    groups: Vec<(&'a Declaration, String, Id)>,
    users: Vec<(&'a Declaration, WantedUser)>,
    members: Vec<(String, String)>,
    ranges: Vec<(u32, u32)>,
}

#[derive(Clone)]
struct WantedUser {
    name: String,
    id: Id,
    /// Name or id of the primary group. `None`: the group with the name of the user.
    group: Option<String>,
    comment: String,
    home: String,
    shell: String,
    expired: bool,
}

/// Adds the accounts that `lines` declare to `accounts`. Existing accounts do not change. If two lines declare the same name,
/// the first line counts. `tree` gives the owners of paths that lines refer to.
pub(super) fn apply(accounts: &mut Accounts, lines: &[Declaration], tree: &Tree) -> Result<(), AssembleError> {
    let mut wanted = Wanted::default();
    for line in lines {
        wanted.read(line, tree)?;
    }
    // A user or group that only an `m` line names is created, too (sysusers.d(5), "m").
    let anywhere = lines.first();
    for (user, group) in wanted.members.clone() {
        if let Some(line) = anywhere {
            wanted.add_group(line, &group, Id::Any);
            wanted.add_user(line, WantedUser { name: user, ..WantedUser::bare() });
        }
    }
    if wanted.ranges.is_empty() {
        wanted.ranges.push(RANGE);
    }
    // The group of a user has the id of the user, or the group id that the line gives.
    for (line, user) in wanted.users.clone() {
        match user.group.as_deref().map(str::parse) {
            None => wanted.add_group(line, &user.name, user.id),
            Some(Ok(gid)) if !accounts.groups.iter().any(|group| group.gid == gid) => {
                wanted.add_group(line, &user.name, Id::Number(gid));
            }
            Some(_) => {}
        }
    }
    let is_any = |id: &Id| *id == Id::Any;
    wanted.groups.sort_by(|a, b| (is_any(&a.2), &a.1).cmp(&(is_any(&b.2), &b.1)));
    wanted.users.sort_by(|a, b| (is_any(&a.1.id), &a.1.name).cmp(&(is_any(&b.1.id), &b.1.name)));
    let fixed: BTreeSet<u32> = wanted
        .users
        .iter()
        .map(|(_, user)| &user.id)
        .filter_map(|id| if let Id::Number(number) = id { Some(*number) } else { None })
        .collect();
    for (line, name, id) in &wanted.groups {
        if accounts.group(name).is_some() {
            continue;
        }
        let gid = match id {
            Id::Number(gid) => *gid,
            Id::Any => {
                let taken = |id: u32| {
                    fixed.contains(&id)
                        || accounts.groups.iter().any(|group| group.gid == id)
                        || accounts.users.iter().any(|user| user.uid == id)
                };
                choose(name, &wanted.ranges, taken).ok_or_else(|| line.error("all ids of the range are taken"))?
            }
        };
        if let Some(other) = accounts.groups.iter().find(|group| group.gid == gid) {
            return Err(line.error(format!("group {} already has the id {gid}", other.name)));
        }
        accounts.groups.push(Group { name: name.clone(), gid, members: Vec::new() });
    }
    for (line, user) in wanted.users {
        add_user(accounts, line, user, &wanted.ranges)?;
    }
    for (user, group) in wanted.members {
        if let Some(group) = accounts.groups.iter_mut().find(|other| other.name == group)
            && !group.members.contains(&user)
        {
            group.members.push(user);
        }
    }
    Ok(())
}

fn add_user(
    accounts: &mut Accounts,
    line: &Declaration,
    user: WantedUser,
    ranges: &[(u32, u32)],
) -> Result<(), AssembleError> {
    if accounts.user(&user.name).is_some() {
        return Ok(());
    }
    let group = user.group.as_ref().unwrap_or(&user.name);
    let gid = match (accounts.group(group), group.parse()) {
        (Some(group), _) => group.gid,
        (None, Ok(gid)) => gid,
        (None, Err(_)) => return Err(line.error(format!("there is no group {group:?}"))),
    };
    let has = |id: u32| accounts.users.iter().find(|user| user.uid == id);
    let uid = match user.id {
        Id::Number(uid) => uid,
        Id::Any if user.group.is_none() && has(gid).is_none() => gid,
        Id::Any => {
            let taken = |id: u32| has(id).is_some() || accounts.groups.iter().any(|group| group.gid == id);
            choose(&user.name, ranges, taken).ok_or_else(|| line.error("all ids of the range are taken"))?
        }
    };
    if let Some(other) = has(uid) {
        return Err(line.error(format!("user {} already has the id {uid}", other.name)));
    }
    let WantedUser { name, comment, home, shell, expired, .. } = user;
    accounts.users.push(User { name, uid, gid, comment, home, shell, expired });
    Ok(())
}

/// The first free id, searched from a start in the ranges that the digest of the name gives.
fn choose(name: &str, ranges: &[(u32, u32)], taken: impl Fn(u32) -> bool) -> Option<u32> {
    let all: Vec<u32> = ranges.iter().flat_map(|&(low, high)| low..=high).collect();
    let digest = Sha256::digest(name.as_bytes());
    let start = digest[..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let start = usize::try_from(start % (all.len() as u64).max(1)).ok()?;
    all[start..].iter().chain(&all[..start]).copied().find(|id| !taken(*id))
}

impl WantedUser {
    fn bare() -> Self {
        let text = str::to_owned;
        let (name, comment, home, shell) = (String::new(), String::new(), text("/"), text(NOLOGIN));
        Self { name, id: Id::Any, group: None, comment, home, shell, expired: false }
    }
}

impl<'a> Wanted<'a> {
    fn add_group(&mut self, line: &'a Declaration, name: &str, id: Id) {
        if !self.groups.iter().any(|(_, known, _)| known == name) {
            self.groups.push((line, name.to_owned(), id));
        }
    }

    fn add_user(&mut self, line: &'a Declaration, user: WantedUser) {
        if !self.users.iter().any(|(_, known)| known.name == user.name) {
            self.users.push((line, user));
        }
    }

    fn read(&mut self, line: &'a Declaration, tree: &Tree) -> Result<(), AssembleError> {
        if line.text.replace("%%", "").contains('%') {
            return Err(line.error("specifiers (%) have no value while an image is built"));
        }
        let fields: Vec<String> = line.fields(7)?.into_iter().map(|field| field.replace("%%", "%")).collect();
        let field = |at: usize| fields.get(at).map(String::as_str).filter(|field| !field.is_empty() && *field != "-");
        let (kind, name) = (field(0).unwrap_or_default(), field(1));
        let name = match name {
            Some(name) if is_name(name) => name.to_owned(),
            None if kind == "r" => String::new(),
            found => {
                return Err(
                    line.error(format!("expected the name of an account, found {:?}", found.unwrap_or_default()))
                );
            }
        };
        match kind {
            "g" => {
                let (id, _) = id(line, field(2), tree)?;
                self.add_group(line, &name, id);
            }
            "u" | "u!" => {
                let (id, group) = id(line, field(2), tree)?;
                let bare = WantedUser::bare();
                let plain = |at: usize, default: String| match field(at) {
                    Some(text) if text.contains([':', '\n']) => Err(line.error("a field holds a colon or a new line")),
                    Some(text) => Ok(text.to_owned()),
                    None => Ok(default),
                };
                let (comment, home, shell) = (plain(3, bare.comment)?, plain(4, bare.home)?, plain(5, bare.shell)?);
                self.add_user(line, WantedUser { name, id, group, comment, home, shell, expired: kind == "u!" });
            }
            "m" => match field(2) {
                Some(group) if is_name(group) => self.members.push((name, group.to_owned())),
                found => return Err(line.error(format!("expected a group, found {:?}", found.unwrap_or_default()))),
            },
            "r" => {
                let range = field(2).unwrap_or_default();
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                match (low.parse(), high.parse()) {
                    (Ok(low), Ok(high)) if low <= high && high < 65534 => self.ranges.push((low, high)),
                    _ => return Err(line.error(format!("expected a range of numbers, found {range:?}"))),
                }
            }
            other => return Err(line.error(format!("expected u, u!, g, m or r, found {other:?}"))),
        }
        Ok(())
    }
}

/// Parses the third field: an id, or a path whose owner is the id. For users, a colon and the primary group may follow.
fn id(line: &Declaration, field: Option<&str>, tree: &Tree) -> Result<(Id, Option<String>), AssembleError> {
    let Some(text) = field else { return Ok((Id::Any, None)) };
    if text.starts_with('/') {
        // A file of the superuser gives no id: most files of packages have this owner.
        let owner = tree.lookup(text.trim_start_matches('/').as_bytes()).map(|(_, node)| node.meta.uid);
        return Ok((owner.filter(|uid| *uid != 0).map_or(Id::Any, Id::Number), None));
    }
    let (id, group) = text.split_once(':').map_or((text, None), |(id, group)| (id, Some(group.to_owned())));
    let id = match id {
        "-" | "" => Id::Any,
        number => Id::Number(number.parse().map_err(|_| line.error(format!("expected a number, found {number:?}")))?),
    };
    Ok((id, group))
}

/// Whether useradd(8) and systemd accept the name.
fn is_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    name.len() <= 31 && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(good)
}
