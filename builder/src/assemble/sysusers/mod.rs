//! Users and groups that packages declare with lines of sysusers.d(5) ([`berth_formats::sysusers`]).
//!
//! If a line gives no id, the id is derived from the name of the account. systemd-sysusers takes the next free id instead. That
//! is not safe here: files in /var outlive the image that made them, so a group must not get another id when a package is added
//! or removed. If two names give the same id, one of them gets the next free id. As in systemd, an account whose number is taken gets another.

use super::{
    account::{Accounts, Group, User},
    declaration::Declaration,
    error::AssembleError,
};
use crate::tree::{Meta, Tree};
use berth_formats::sysusers::{self, Id, Line, Primary};
use sha2::{Digest, Sha256};

/// The range of derived ids if there is no `r` line: Debian's range of system accounts, without its start, from which Debian's
/// own tools take ids first.
const RANGE: (u32, u32) = (200, 999);
/// Larger ids are not given: 65534 is nobody.
const MAX_ID: u32 = 65533;
const NOLOGIN: &str = "/usr/sbin/nologin";

/// The declarations of all lines. Accounts with a given id are made first.
#[derive(Default)]
struct Wanted<'a> {
    groups: Vec<WantedGroup<'a>>,
    users: Vec<(&'a Declaration, WantedUser)>,
    members: Vec<(&'a Declaration, String, String)>,
    ranges: Vec<(u32, u32)>,
}

struct WantedGroup<'a> {
    line: &'a Declaration,
    name: String,
    /// The number that it should have.
    gid: Option<u32>,
    /// Whether only the line of a user wants it. Groups of their own lines get their number first.
    of_user: bool,
}

#[derive(Clone)]
struct WantedUser {
    /// The number that it should have.
    uid: Option<u32>,
    /// The number that a group of the user's name should have.
    gid: Option<u32>,
    line: sysusers::User,
}

/// Adds the accounts that `lines` declare to `accounts`. Existing accounts do not change. If two lines declare the same name,
/// the first line counts. `tree` gives the owners of paths that lines refer to.
pub(super) fn apply(accounts: &mut Accounts, lines: &[Declaration], tree: &Tree) -> Result<(), AssembleError> {
    let mut wanted = Wanted::default();
    for line in lines {
        wanted.read(line, tree)?;
    }
    // A user or group that only an `m` line names is created, too (sysusers.d(5), "m").
    for (line, user, group) in wanted.members.clone() {
        wanted.add_group(line, &group, None, true);
        wanted.add_user(line, WantedUser::bare(user));
    }
    if wanted.ranges.is_empty() {
        wanted.ranges.push(RANGE);
    }
    for (line, user) in wanted.users.clone() {
        if user.line.group.is_none() && accounts.user(&user.line.name).is_none() {
            wanted.add_group(line, &user.line.name, user.gid, true);
        }
    }
    let order = |group: &WantedGroup<'_>| (group.gid.is_none(), group.of_user, group.name.clone());
    wanted.groups.sort_by_key(order);
    wanted.users.sort_by(|a, b| (a.1.uid.is_none(), &a.1.line.name).cmp(&(b.1.uid.is_none(), &b.1.line.name)));
    for group in &wanted.groups {
        add_group(accounts, group, &wanted)?;
    }
    for (line, user) in wanted.users {
        add_user(accounts, line, user, &wanted.ranges)?;
    }
    for (_, user, group) in wanted.members {
        if let Some(group) = accounts.groups.iter_mut().find(|other| other.name == group)
            && !group.members.contains(&user)
        {
            group.members.push(user);
        }
    }
    Ok(())
}

const FULL: &str = "all ids of the range are taken";

fn add_group(accounts: &mut Accounts, group: &WantedGroup<'_>, wanted: &Wanted<'_>) -> Result<(), AssembleError> {
    let name = group.name.as_str();
    if accounts.group(name).is_some() {
        return Ok(());
    }
    // A number belongs to the user and the group of one name.
    let has = |id: u32| {
        accounts.groups.iter().any(|group| group.gid == id)
            || accounts.users.iter().any(|user| user.uid == id && user.name != name)
    };
    let fixed = |id: u32| wanted.users.iter().any(|(_, user)| user.uid == Some(id));
    let gid = group.gid.filter(|id| !has(*id)).or_else(|| choose(name, &wanted.ranges, |id| has(id) || fixed(id)));
    let gid = gid.ok_or_else(|| group.line.error(FULL))?;
    accounts.groups.push(Group { name: name.to_owned(), gid, members: Vec::new() });
    Ok(())
}

fn add_user(
    accounts: &mut Accounts,
    line: &Declaration,
    user: WantedUser,
    ranges: &[(u32, u32)],
) -> Result<(), AssembleError> {
    let sysusers::User { name, group, comment, home, shell, expired, .. } = user.line;
    if accounts.user(&name).is_some() {
        return Ok(());
    }
    let gid = match &group {
        None => accounts.group(&name).map(|group| group.gid),
        Some(Primary::Name(group)) => accounts.group(group).map(|group| group.gid),
        Some(Primary::Number(gid)) => accounts.groups.iter().find(|group| group.gid == *gid).map(|group| group.gid),
    };
    let gid = gid.ok_or_else(|| match &group {
        Some(Primary::Number(gid)) => line.error(format!("there is no group with the id {gid}")),
        Some(Primary::Name(group)) => line.error(format!("there is no group {group:?}")),
        None => line.error(format!("there is no group {name:?}")),
    })?;
    let taken = |id: u32| accounts.users.iter().any(|user| user.uid == id);
    // The group of another name has the number. With a group that the line names, that is no matter.
    let foreign =
        |id: u32| group.is_none() && accounts.groups.iter().any(|group| group.gid == id && group.name != name);
    let of_group = Some(gid).filter(|_| group.is_none());
    let uid = user.uid.filter(|id| !taken(*id) && !foreign(*id)).or_else(|| of_group.filter(|id| !taken(*id)));
    let uid =
        uid.or_else(|| choose(&name, ranges, |id| taken(id) || accounts.groups.iter().any(|group| group.gid == id)));
    let uid = uid.ok_or_else(|| line.error(FULL))?;
    let comment = comment.unwrap_or_default();
    let (home, shell) = (home.unwrap_or_else(|| "/".to_owned()), shell.unwrap_or_else(|| NOLOGIN.to_owned()));
    accounts.users.push(User { name, uid, gid, comment, home, shell, expired });
    Ok(())
}

/// The first free id, searched from a start in the ranges that the digest of the name gives.
fn choose(name: &str, ranges: &[(u32, u32)], taken: impl Fn(u32) -> bool) -> Option<u32> {
    let all: Vec<u32> = ranges.iter().flat_map(|&(low, high)| low..=high.min(MAX_ID)).collect();
    let digest = Sha256::digest(name.as_bytes());
    let start = digest[..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let start = usize::try_from(start % (all.len() as u64).max(1)).ok()?;
    all[start..].iter().chain(&all[..start]).copied().find(|id| !taken(*id))
}

impl WantedUser {
    fn bare(name: String) -> Self {
        let line =
            sysusers::User { name, id: Id::Any, group: None, comment: None, home: None, shell: None, expired: false };
        Self { uid: None, gid: None, line }
    }
}

impl<'a> Wanted<'a> {
    fn add_group(&mut self, line: &'a Declaration, name: &str, gid: Option<u32>, of_user: bool) {
        if !self.groups.iter().any(|known| known.name == name) {
            self.groups.push(WantedGroup { line, name: name.to_owned(), gid, of_user });
        }
    }

    fn add_user(&mut self, line: &'a Declaration, user: WantedUser) {
        if !self.users.iter().any(|(_, known)| known.line.name == user.line.name) {
            self.users.push((line, user));
        }
    }

    fn read(&mut self, line: &'a Declaration, tree: &Tree) -> Result<(), AssembleError> {
        match Line::parse(&line.text).map_err(|error| line.error(error.to_string()))? {
            Line::Group { name, id } => self.add_group(line, &name, numbers(&id, tree).1, false),
            Line::User(user) => {
                let (uid, gid) = numbers(&user.id, tree);
                self.add_user(line, WantedUser { uid, gid, line: user });
            }
            Line::Member { user, group } => self.members.push((line, user, group)),
            Line::Range { low, high } => self.ranges.push((low, high)),
        }
        Ok(())
    }
}

/// The numbers of user and group that a line asks for.
fn numbers(id: &Id, tree: &Tree) -> (Option<u32>, Option<u32>) {
    match id {
        Id::Any => (None, None),
        Id::Number(id) => (Some(*id), Some(*id)),
        Id::OwnerOf(path) => {
            let Some((_, node)) = tree.lookup(path.trim_start_matches('/').as_bytes()) else { return (None, None) };
            let Meta { uid, gid, .. } = node.meta;
            // A file of the superuser gives no id: most files of packages have this owner.
            (Some(uid).filter(|id| *id != 0), Some(gid).filter(|id| *id != 0))
        }
    }
}

#[cfg(test)]
mod tests;
