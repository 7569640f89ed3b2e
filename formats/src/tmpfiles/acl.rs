//! Access control lists: the text of the types `a` and `A`, and the extended attributes that hold the lists.
//! Text: acl(5). Attributes: `include/uapi/linux/posix_acl_xattr.h` of Linux. The order of the steps is that of systemd-tmpfiles.

/// The attribute of the list that decides about access.
pub const ACCESS: &str = "system.posix_acl_access";
/// The attribute of a directory's list that new files get.
pub const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
/// Id of an entry without a user or group.
const NO_ID: u32 = u32::MAX;
const EXECUTE: u16 = 1;

/// Whom an entry is for, in the order of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

const TAGS: [Tag; 6] = [Tag::Owner, Tag::User, Tag::OwningGroup, Tag::Group, Tag::Mask, Tag::Other];

impl Tag {
    fn code(self) -> u16 {
        self as u16
    }
}

/// An entry of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TextEntry {
    tag: Tag,
    /// Name or number of a user or group.
    name: Option<String>,
    permissions: u16,
}

/// The entries of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclText {
    access: Vec<TextEntry>,
    /// With `X`: may execute only directories, and what somebody may execute already.
    conditional: Vec<TextEntry>,
    default: Vec<TextEntry>,
}

/// A list with numbers, sorted.
type List = Vec<(Tag, u32, u16)>;

impl AclText {
    /// `None`: not a list of entries.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut all = Self::default();
        for entry in text.split(',').filter(|entry| !entry.is_empty()) {
            match entry.strip_prefix("default:").or_else(|| entry.strip_prefix("d:")) {
                Some(entry) => all.default.push(TextEntry::parse(entry)?),
                None => match entry.rsplit_once(':')? {
                    (who, what) if what.contains('X') => {
                        all.conditional.push(TextEntry::parse(&format!("{who}:{}", what.replace('X', "x")))?);
                    }
                    _ => all.access.push(TextEntry::parse(entry)?),
                },
            }
        }
        Some(all).filter(|all| *all != Self::default())
    }

    /// The names of users and groups in it: whether it is a group, and the name.
    pub fn accounts(&self) -> impl Iterator<Item = (bool, &str)> {
        let all = self.access.iter().chain(&self.conditional).chain(&self.default);
        let named = all.filter_map(|entry| Some((entry.tag == Tag::Group, entry.name.as_deref()?)));
        named.filter(|(_, name)| name.parse::<u32>().is_err())
    }

    /// The value of [`ACCESS`] for a path with this mode and this value before. `plus`: the entries are added to those before. None: there
    /// are no entries for it. `Err`: the account does not exist.
    pub(super) fn access_value(
        &self,
        before: &Before<'_>,
        plus: bool,
        ids: &Ids<'_>,
    ) -> Result<Option<Vec<u8>>, Unknown> {
        if self.access.is_empty() && self.conditional.is_empty() {
            return Ok(None);
        }
        let old = before.access();
        let mut list = numbers(&self.access, ids)?;
        if !plus {
            with_mask(&mut list);
        }
        let may_execute = before.is_dir || old.iter().any(|(tag, _, can)| *tag != Tag::Mask && can & EXECUTE > 0);
        for (tag, id, permissions) in numbers(&self.conditional, ids)? {
            put(&mut list, (tag, id, if may_execute { permissions } else { permissions & !EXECUTE }));
        }
        Ok(Some(bytes(&finished(list, old, plus, before.mode))))
    }

    /// The same for [`DEFAULT`] of a directory.
    pub(super) fn default_value(
        &self,
        before: &Before<'_>,
        plus: bool,
        ids: &Ids<'_>,
    ) -> Result<Option<Vec<u8>>, Unknown> {
        if self.default.is_empty() || !before.is_dir {
            return Ok(None);
        }
        let mut list = numbers(&self.default, ids)?;
        if !plus {
            with_mask(&mut list);
        }
        let old = before.default.and_then(parsed).unwrap_or_default();
        Ok(Some(bytes(&finished(list, old, plus, before.mode))))
    }
}

/// A path before the line is applied.
pub(super) struct Before<'a> {
    pub(super) mode: u16,
    pub(super) is_dir: bool,
    pub(super) access: Option<&'a [u8]>,
    pub(super) default: Option<&'a [u8]>,
}

impl Before<'_> {
    fn access(&self) -> List {
        self.access.and_then(parsed).unwrap_or_else(|| of_mode(self.mode).into())
    }
}

/// Gives the number of an account: is it a group, and its name.
pub(super) type Ids<'a> = dyn Fn(bool, &str) -> Option<u32> + 'a;

/// An account that does not exist: `user` or `group`, and its name.
pub(super) type Unknown = (&'static str, String);

impl TextEntry {
    /// `u:NAME:rwx`, `group::r-x`, `m::rx`.
    fn parse(text: &str) -> Option<Self> {
        let (tag, rest) = text.split_once(':')?;
        let (name, permissions) = rest.split_once(':')?;
        let has_name = !name.is_empty();
        let tag = match (tag, has_name) {
            ("u" | "user", true) => Tag::User,
            ("u" | "user", false) => Tag::Owner,
            ("g" | "group", true) => Tag::Group,
            ("g" | "group", false) => Tag::OwningGroup,
            ("m" | "mask", false) => Tag::Mask,
            ("o" | "other", false) => Tag::Other,
            _ => return None,
        };
        let mut bits = 0;
        for letter in permissions.chars() {
            let bit = match letter {
                'r' => 4,
                'w' => 2,
                'x' => EXECUTE,
                '-' => continue,
                _ => return None,
            };
            if bits & bit > 0 {
                return None;
            }
            bits |= bit;
        }
        let is_right = (1..=3).contains(&permissions.len());
        is_right.then(|| Self { tag, name: has_name.then(|| name.to_owned()), permissions: bits })
    }
}

fn numbers(entries: &[TextEntry], ids: &Ids<'_>) -> Result<List, Unknown> {
    let mut list = List::new();
    for TextEntry { tag, name, permissions } in entries {
        let id = match name {
            None => NO_ID,
            Some(name) => {
                let (is_group, kind) = if *tag == Tag::Group { (true, "group") } else { (false, "user") };
                name.parse().ok().or_else(|| ids(is_group, name)).ok_or_else(|| (kind, name.clone()))?
            }
        };
        put(&mut list, (*tag, id, *permissions));
    }
    Ok(list)
}

/// Adds an entry, or replaces the one for the same user or group.
fn put(list: &mut List, entry: (Tag, u32, u16)) {
    let place = |(tag, id, _): (Tag, u32, u16)| (tag.code(), id);
    let at = list.iter().position(|other| place(*other) >= place(entry)).unwrap_or(list.len());
    match list.get_mut(at) {
        Some(other) if place(*other) == place(entry) => *other = entry,
        _ => list.insert(at, entry),
    }
}

/// The list that is set: the entries of the line, with those of before if `plus`, a mask if it needs one, and the entries that each list
/// must have.
fn finished(mut list: List, old: List, plus: bool, mode: u16) -> List {
    if plus {
        let new = std::mem::replace(&mut list, old);
        new.into_iter().for_each(|entry| put(&mut list, entry));
    }
    with_mask(&mut list);
    for entry in of_mode(mode) {
        if !list.iter().any(|(tag, _, _)| *tag == entry.0) {
            put(&mut list, entry);
        }
    }
    list
}

/// A list for certain users or groups needs a mask, the most that they may.
fn with_mask(list: &mut List) {
    let is_named = list.iter().any(|(tag, _, _)| matches!(tag, Tag::User | Tag::Group));
    if is_named && !list.iter().any(|(tag, _, _)| *tag == Tag::Mask) {
        let masked = list.iter().filter(|(tag, _, _)| matches!(tag, Tag::User | Tag::OwningGroup | Tag::Group));
        let most = masked.fold(0, |most, (_, _, permissions)| most | permissions);
        put(list, (Tag::Mask, NO_ID, most));
    }
}

fn of_mode(mode: u16) -> [(Tag, u32, u16); 3] {
    [(Tag::Owner, NO_ID, mode >> 6 & 7), (Tag::OwningGroup, NO_ID, mode >> 3 & 7), (Tag::Other, NO_ID, mode & 7)]
}

fn bytes(list: &List) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in list {
        bytes.extend(tag.code().to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// `None`: damaged, or of another version.
fn parsed(bytes: &[u8]) -> Option<List> {
    let (version, entries) = bytes.split_first_chunk()?;
    let (entries, rest) = entries.as_chunks::<8>();
    let entry = |&[t0, t1, p0, p1, i0, i1, i2, i3]: &[u8; 8]| {
        let code = u16::from_le_bytes([t0, t1]);
        let tag = TAGS.into_iter().find(|tag| tag.code() == code)?;
        Some((tag, u32::from_le_bytes([i0, i1, i2, i3]), u16::from_le_bytes([p0, p1])))
    };
    (u32::from_le_bytes(*version) == VERSION && rest.is_empty()).then(|| entries.iter().map(entry).collect())?
}

/// What Linux makes of a new value of [`ACCESS`]: the mode, and whether the attribute is kept. A list that says no more than a mode is not.
/// `None`: the value is damaged.
#[must_use]
pub fn mode_of(value: &[u8], mode: u16) -> Option<(u16, bool)> {
    let list = parsed(value)?;
    let of = |tag| list.iter().find(|(found, _, _)| *found == tag).map(|(_, _, permissions)| permissions & 7);
    let group = of(Tag::Mask).or_else(|| of(Tag::OwningGroup))?;
    Some((mode & 0o7000 | of(Tag::Owner)? << 6 | group << 3 | of(Tag::Other)?, list.len() > 3))
}

/// What Linux makes of [`ACCESS`] when the mode changes.
#[must_use]
pub fn with_mode(value: &[u8], mode: u16) -> Option<Vec<u8>> {
    let mut list = parsed(value)?;
    let has_mask = list.iter().any(|(tag, _, _)| *tag == Tag::Mask);
    for (tag, id, permissions) in of_mode(mode) {
        let tag = if has_mask && tag == Tag::OwningGroup { Tag::Mask } else { tag };
        put(&mut list, (tag, id, permissions));
    }
    Some(bytes(&list))
}
