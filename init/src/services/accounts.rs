//! Users and groups of the image: passwd(5) and group(5).

use super::ServiceError;
use berth_contract::{
    fault::{At, Failure},
    service::ServiceSpec,
};
use std::fs;

/// A user, and what a service that runs as this user gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Name; `None` when only a number is known.
    pub name: Option<String>,
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// Numbers of the supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory.
    pub home: Option<String>,
}

/// Whether a service runs as another account than root's.
#[must_use]
pub fn needs_identity(spec: &ServiceSpec) -> bool {
    spec.user.is_some() || spec.group.is_some() || !spec.supplementary_groups.is_empty()
}

/// The account of a service.
///
/// # Errors
/// /etc/passwd or /etc/group cannot be read, or does not have the account.
pub fn of(spec: &ServiceSpec) -> Result<Account, Failure> {
    if !needs_identity(spec) {
        return Ok(Accounts { passwd: "", group: "" }.resolve(Some("0"), None, &[])?);
    }
    let read = |path: &str| fs::read_to_string(path).at("read", path);
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    let accounts = Accounts { passwd: &passwd, group: &group };
    Ok(accounts.resolve(spec.user.as_deref(), spec.group.as_deref(), &spec.supplementary_groups)?)
}

/// The number of a group of the image. `None` if the image has no such group.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    let group = fs::read_to_string("/etc/group").ok()?;
    Accounts { passwd: "", group: &group }.resolve(Some("0"), Some(name), &[]).ok().map(|account| account.gid)
}

/// The texts of /etc/passwd and /etc/group.
#[derive(Clone, Copy, Debug)]
pub struct Accounts<'a> {
    /// passwd(5).
    pub passwd: &'a str,
    /// group(5).
    pub group: &'a str,
}

impl Accounts<'_> {
    /// The account of a service: its user (default root), its group (default the user's own), and further groups.
    ///
    /// # Errors
    /// A name that does not exist. A number needs no entry, but a user without an entry has no group of its own: then it is the group with
    /// the same number.
    pub fn resolve(&self, user: Option<&str>, group: Option<&str>, more: &[String]) -> Result<Account, ServiceError> {
        let user = user.unwrap_or("root");
        let entry = self.passwd.lines().map(fields).find(|entry| matches(entry, user));
        let number = |text: Option<&&str>| text.and_then(|text| text.parse().ok());
        let missing = || ServiceError::NoAccount { kind: "user", file: "/etc/passwd", name: user.to_owned() };
        let (name, uid, gid, home) = match &entry {
            Some(entry) => (
                entry.first().map(|&name| name.to_owned()),
                number(entry.get(2)).ok_or_else(missing)?,
                number(entry.get(3)).ok_or_else(missing)?,
                entry.get(5).map(|&home| home.to_owned()),
            ),
            None => {
                let uid = user.parse().map_err(|_| missing())?;
                (None, uid, uid, None)
            }
        };
        let gid = group.map_or(Ok(gid), |group| self.group_number(group))?;
        // A user without a name is in no group: an empty list of members is not a list with an empty name.
        let mut groups: Vec<u32> = name.iter().flat_map(|name| self.groups_of(name)).collect();
        for group in more {
            groups.push(self.group_number(group)?);
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(Account { name, uid, gid, groups, home })
    }

    fn group_number(&self, group: &str) -> Result<u32, ServiceError> {
        let entry = self.group.lines().map(fields).find(|entry| matches(entry, group));
        let found = entry.and_then(|entry| entry.get(2)?.parse().ok()).or_else(|| group.parse().ok());
        found.ok_or_else(|| ServiceError::NoAccount { kind: "group", file: "/etc/group", name: group.to_owned() })
    }

    /// The groups that list this user as a member.
    fn groups_of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = u32> + 'a {
        let entries = self.group.lines().map(fields);
        let of_user =
            entries.filter(move |entry| entry.get(3).is_some_and(|all| all.split(',').any(|one| one == user)));
        of_user.filter_map(|entry| entry.get(2)?.parse().ok())
    }
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

/// Whether an entry has this name or number.
fn matches(entry: &[&str], account: &str) -> bool {
    entry.first() == Some(&account) || entry.get(2) == Some(&account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_the_system_has_its_number() {
        assert_eq!((group("root"), group("no-such-group")), (Some(0), None));
    }

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/x\nbroken:x:y:z\n",
            group: "root:x:0:\nweb:x:34:\nssl:x:101:www,other\nadm:x:4:other,www\n",
        };
        let resolve = |user, group, more: &[&str]| {
            let more: Vec<String> = more.iter().map(|&name| name.to_owned()).collect();
            accounts.resolve(user, group, &more).map(|account| (account.uid, account.gid, account.groups))
        };
        for (user, group, more, wanted) in [
            (None, None, &[][..], (0, 0, vec![])),
            (Some("www"), None, &[], (33, 34, vec![4, 101])),
            (Some("33"), Some("ssl"), &["web", "7"], (33, 101, vec![4, 7, 34, 101])),
            (Some("4000"), None, &["adm"], (4000, 4000, vec![4])),
            (Some("4000"), Some("4001"), &[], (4000, 4001, vec![])),
        ] {
            assert_eq!(resolve(user, group, more).unwrap(), wanted, "{user:?} {group:?}");
        }
        for (user, group, more, words) in [
            ("nobody", None, &[][..], "no user nobody in /etc/passwd"),
            ("broken", None, &[], "no user broken"),
            ("www", Some("none"), &[], "no group none in /etc/group"),
            ("www", None, &["none"], "no group none"),
        ] {
            let error = resolve(Some(user), group, more).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
