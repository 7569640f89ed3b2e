//! Puts unpacked packages into the tree. Two packages cannot ship the same file, unless one of them replaces the other
//! (`Replaces`), or a diversion moves one of the files.

use super::{
    account::Accounts,
    error::AssembleError,
    index::{Entry, EntryKind},
    unpack::{PackageInput, Unpacked},
};
use crate::{
    source::debian::{relation, version::Version},
    tree::{Kind, Meta, Node, Tree, TreePath, Verdict},
};
use berth_formats::data::Data;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// Prefix of the origin of package files.
pub(super) const ORIGIN: &str = "package ";

/// Diverted path, as packages name it → the package that declares the diversion, and the new path for files of other packages.
pub(super) type Diversions = BTreeMap<TreePath, (String, TreePath)>;

/// A path whose owner or group has a name in its package. The names are empty if they are those of the superuser.
pub(super) struct Owned {
    path: TreePath,
    origin: Arc<str>,
    user: String,
    group: String,
}

/// Puts all files of `packages` into `tree`. Returns the paths whose owners have names: see [`own`].
pub(super) fn insert(
    tree: &mut Tree,
    packages: &[(&PackageInput, Unpacked)],
    diversions: &Diversions,
) -> Result<Vec<Owned>, AssembleError> {
    let mut owned = Vec::new();
    let replaced = replaced(packages);
    for (package, unpacked) in packages {
        let origin: Arc<str> = format!("{ORIGIN}{}", package.name).into();
        // The file of the package that replaces the other one is kept, in any order of the packages.
        let judge = |old: &Node, new: &Node| {
            let pair = |by: &Node, of: &Node| (by.origin.to_string(), of.origin.to_string());
            match (replaced.contains(&pair(new, old)), replaced.contains(&pair(old, new))) {
                (true, _) => Verdict::TakeNew,
                (false, true) => Verdict::KeepOld,
                (false, false) => Verdict::Refuse,
            }
        };
        for entry in &unpacked.index.entries {
            let mut path = entry.path.as_bytes();
            if let Some((owner, elsewhere)) = diversions.get(path)
                && owner != &package.name
            {
                path = elsewhere;
            }
            let path = tree.insert(path, node(entry, &unpacked.data, &origin), judge)?;
            if !entry.user.is_empty() || !entry.group.is_empty() {
                let (user, group) = (entry.user.clone(), entry.group.clone());
                owned.push(Owned { path, origin: Arc::clone(&origin), user, group });
            }
        }
    }
    Ok(owned)
}

/// Gives each path to the user and group that its package names. Their numbers are used only if the image has no such account,
/// as dpkg does.
pub(super) fn own(tree: &mut Tree, owned: &[Owned], accounts: &Accounts) {
    for Owned { path, origin, user, group } in owned {
        // An overlay may have replaced the file.
        let Some(node) = tree.get_mut(path).filter(|node| node.origin == *origin) else { continue };
        node.meta.uid = accounts.user(user).map_or(node.meta.uid, |user| user.uid);
        node.meta.gid = accounts.group(group).map_or(node.meta.gid, |group| group.gid);
    }
}

fn node(entry: &Entry, data: &Arc<Path>, origin: &Arc<str>) -> Node {
    let kind = match &entry.kind {
        EntryKind::Dir => Kind::Directory,
        EntryKind::File(_, 0) => Kind::File(Data::empty()),
        EntryKind::File(offset, len) => Kind::File(Data::File { path: Arc::clone(data), offset: *offset, len: *len }),
        EntryKind::Symlink(target) => Kind::Symlink(target.clone().into_bytes()),
        EntryKind::HardLink(target) => Kind::HardLink(target.clone().into_bytes()),
        EntryKind::CharDevice(major, minor) => Kind::CharDevice { major: *major, minor: *minor },
        EntryKind::BlockDevice(major, minor) => Kind::BlockDevice { major: *major, minor: *minor },
        EntryKind::Fifo => Kind::Fifo,
    };
    let xattrs = entry.xattrs.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone())).collect();
    let meta = Meta { mode: entry.mode, uid: entry.uid, gid: entry.gid, xattrs };
    Node { meta, kind, origin: Arc::clone(origin) }
}

/// Pairs of origins: the first package has a `Replaces` relation that matches name and version of the second package.
fn replaced(packages: &[(&PackageInput, Unpacked)]) -> BTreeSet<(String, String)> {
    let versions: BTreeMap<&str, &str> =
        packages.iter().map(|(package, _)| (&*package.name, &*package.version)).collect();
    let mut pairs = BTreeSet::new();
    for (package, unpacked) in packages {
        let Some(field) = unpacked.index.field("Replaces") else { continue };
        // A relation that cannot be parsed replaces nothing. A file in both packages is then an error.
        for relation in relation::parse(&field).unwrap_or_default().into_iter().flatten() {
            let Some(found) = versions.get(relation.name) else { continue };
            if relation.version.is_none_or(|(operator, wanted)| operator.holds(Version(found), wanted)) {
                pairs.insert((format!("{ORIGIN}{}", package.name), format!("{ORIGIN}{}", relation.name)));
            }
        }
    }
    pairs
}
