//! The index of an unpacked package in the cache: its paths and the control members that the builder needs. With it, a build
//! does not have to read the package again.

use berth_formats::{
    deb::Span,
    node::{Kind, Meta},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the index format. A package whose index has another version is unpacked again.
pub(super) const FORMAT: u32 = 4;

/// The index of an unpacked package. Stored as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackageIndex {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// Length of the data file in bytes. A data file of another length does not belong to this index.
    pub(super) data_len: u64,
    /// The control paragraph.
    pub(super) paragraph: String,
    /// `preinst`. Empty if the package has no such member, as are `postinst` and `triggers`.
    pub(super) preinst: String,
    pub(super) postinst: String,
    pub(super) triggers: String,
    /// Question → the answer of debconf.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) answers: BTreeMap<String, String>,
    /// The paths, in the order of the archive.
    pub(super) entries: Vec<Entry>,
}

/// A path of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Relative to the root.
    #[serde(rename = "p")]
    pub(super) path: String,
    /// Permission bits.
    #[serde(rename = "m")]
    pub(super) mode: u16,
    /// Owner.
    #[serde(rename = "u", default, skip_serializing_if = "is_zero")]
    pub(super) uid: u32,
    /// Group.
    #[serde(rename = "g", default, skip_serializing_if = "is_zero")]
    pub(super) gid: u32,
    /// Names of owner and group. Empty for the superuser, as is an unknown name.
    #[serde(rename = "un", default, skip_serializing_if = "String::is_empty")]
    pub(super) user: String,
    #[serde(rename = "gn", default, skip_serializing_if = "String::is_empty")]
    pub(super) group: String,
    /// Extended attributes.
    #[serde(rename = "x", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    #[serde(rename = "k")]
    pub(super) kind: EntryKind,
}

/// A [`Kind`] as the cache stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryKind {
    /// Directory.
    #[serde(rename = "d")]
    Dir,
    /// Regular file: offset in the data file, and length.
    #[serde(rename = "f")]
    File(u64, u64),
    /// Symbolic link and its target.
    #[serde(rename = "l")]
    Symlink(String),
    /// Hard link and its target.
    #[serde(rename = "h")]
    HardLink(String),
    /// Character device: major and minor number.
    #[serde(rename = "c")]
    CharDevice(u32, u32),
    /// Block device: major and minor number.
    #[serde(rename = "b")]
    BlockDevice(u32, u32),
    /// Named pipe.
    #[serde(rename = "q")]
    Fifo,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl From<berth_formats::deb::Entry> for Entry {
    fn from(entry: berth_formats::deb::Entry) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let kind = match entry.kind {
            Kind::File(Span { offset, size }) => EntryKind::File(offset, size),
            Kind::Directory => EntryKind::Dir,
            Kind::Symlink(target) => EntryKind::Symlink(text(target)),
            Kind::HardLink(target) => EntryKind::HardLink(text(target)),
            Kind::CharDevice { major, minor } => EntryKind::CharDevice(major, minor),
            Kind::BlockDevice { major, minor } => EntryKind::BlockDevice(major, minor),
            Kind::Fifo => EntryKind::Fifo,
        };
        let Meta { mode, uid, gid, xattrs } = entry.meta;
        let xattrs = xattrs.into_iter().map(|(name, value)| (text(name), value)).collect();
        let (uid, gid) = (if entry.user == "root" { 0 } else { uid }, if entry.group == "root" { 0 } else { gid });
        let name = |name: String| if name == "root" { String::new() } else { name };
        let (user, group) = (name(entry.user), name(entry.group));
        Self { path: entry.path, mode, uid, gid, user, group, xattrs, kind }
    }
}

impl PackageIndex {
    /// The value of a field of the control paragraph. The lines of a folded field are joined with spaces.
    pub(super) fn field(&self, wanted: &str) -> Option<String> {
        let mut lines = self.paragraph.lines();
        let first = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then_some(value)
        })?;
        let more = lines.take_while(|line| line.starts_with([' ', '\t']));
        Some(std::iter::once(first).chain(more).map(str::trim).collect::<Vec<_>>().join(" "))
    }
}
