//! What lines do: the one meaning of tmpfiles.d(5), for the tree of an image and for the files of a running host.
//!
//! First the lines `r`, `R` and `D` remove, then all lines create and change, as `systemd-tmpfiles --remove --create --boot` does it.
//! Nothing is removed because of its age.

mod change;
mod copy;
mod create;
mod remove;

use super::{Argument, Attributes, Line, LineType, Owner, arrange};
use crate::node::Kind;

/// A file system that lines are applied to. Paths are absolute and have no `..`. Links to directories on the way are followed.
pub trait Root {
    /// Why an operation fails.
    type Error: std::error::Error + 'static;

    /// What lies at `path`. A link at its end is not followed.
    ///
    /// # Errors
    /// The path cannot be read.
    fn look(&self, path: &[u8]) -> Result<Option<Found>, Self::Error>;

    /// The path that the link at `path` leads to, if something is there. `path` itself if it is no link.
    ///
    /// # Errors
    /// The path cannot be read.
    fn follow(&self, path: &[u8]) -> Result<Option<Vec<u8>>, Self::Error>;

    /// The names in a directory, sorted. None if there is no such directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn names(&self, directory: &[u8]) -> Result<Vec<Vec<u8>>, Self::Error>;

    /// Whether PID 1 may change `path`. Not if a symbolic link of a service is on the way: the service would choose the file.
    fn is_safe(&self, path: &[u8]) -> bool;

    /// Makes a node of the superuser. Nothing is at `path`, and its directory exists.
    ///
    /// # Errors
    /// The node cannot be made.
    fn make(&mut self, path: &[u8], kind: &Kind<&[u8]>, mode: u16) -> Result<(), Self::Error>;

    /// Copies the content of a regular file to a new file of the superuser.
    ///
    /// # Errors
    /// The file cannot be read or written.
    fn copy(&mut self, source: &[u8], path: &[u8], mode: u16) -> Result<(), Self::Error>;

    /// Writes to an existing file that is no link.
    ///
    /// # Errors
    /// The file cannot be written.
    fn write(&mut self, path: &[u8], content: &[u8], how: Writing) -> Result<(), Self::Error>;

    /// Removes a file or an empty directory.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove(&mut self, path: &[u8]) -> Result<(), Self::Error>;

    /// Sets owner and mode of what lies at `path`. A link at its end is not followed; the mode of a link is never set.
    ///
    /// # Errors
    /// They cannot be set.
    fn set(&mut self, path: &[u8], rights: Rights) -> Result<(), Self::Error>;

    /// An extended attribute of what lies at `path`.
    ///
    /// # Errors
    /// It cannot be read.
    fn xattr(&self, path: &[u8], name: &str) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Changes the file attributes of a file or directory. Attributes that the file system does not have are left out.
    ///
    /// # Errors
    /// The path cannot be opened.
    fn set_attributes(&mut self, path: &[u8], attributes: Attributes) -> Result<(), Self::Error>;

    /// Sets an extended attribute of what lies at `path`. Mode and [`super::acl::ACCESS`] go together as in Linux.
    ///
    /// # Errors
    /// It cannot be set.
    fn set_xattr(&mut self, path: &[u8], name: &str, value: &[u8]) -> Result<(), Self::Error>;

    /// The number of a user.
    fn user(&self, name: &str) -> Option<u32>;

    /// The number of a group.
    fn group(&self, name: &str) -> Option<u32>;
}

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is. `None` for a kind that no line makes, such as a socket.
    pub kind: Option<Kind<()>>,
    /// Owner and mode.
    pub rights: Rights,
    /// Number of the file system. What is mounted in a directory is never removed with the directory.
    pub device: u64,
}

/// Owner and mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Permission bits.
    pub mode: u16,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// How content gets into a file that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Instead of the old content.
    Replace,
    /// Over the beginning of the old content, as `w` does. The file does not become shorter.
    Over,
    /// After the old content.
    Append,
}

/// Why a line was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError<E: std::error::Error + 'static> {
    /// The user or group does not exist.
    #[error("the image has no {kind} {name:?}")]
    Account {
        /// `user` or `group`.
        kind: &'static str,
        /// The name in the line.
        name: String,
    },
    /// The path has a component `..`.
    #[error("expected a path without \"..\"")]
    Climbs,
    /// A symbolic link of a service is on the way to the path.
    #[error("{path}: a symbolic link on the way belongs to another user than root")]
    Link {
        /// The path.
        path: String,
    },
    /// Something else is at the path. It stays as it is.
    #[error("{path}: expected a {expected}, found a {found}")]
    Kind {
        /// The path.
        path: String,
        /// What the line makes.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
    /// `r`: the directory has content.
    #[error("{path}: the directory is not empty")]
    NotEmpty {
        /// The path.
        path: String,
    },
    /// An operation failed.
    #[error(transparent)]
    Root(#[from] E),
}

impl<E: std::error::Error + 'static> ApplyError<E> {
    /// Whether systemd-tmpfiles fails, too. It only warns if a directory, pipe or device cannot be made because something else is there.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let file = Kind::File(()).word();
        !matches!(self, Self::Kind { expected, .. } if *expected != file)
    }
}

/// A line that was not applied: the caller's value, and the reason.
pub type Unapplied<T, E> = (T, ApplyError<E>);

/// Applies lines, given in the order of their files. Each line carries a value of the caller. Returns the lines that were not applied
/// although they must be; all others are applied.
pub fn apply<R: Root, T>(root: &mut R, lines: Vec<(Line, T)>) -> Vec<Unapplied<T, R::Error>> {
    let mut unapplied = Vec::new();
    let mut usable = Vec::new();
    // No host has credentials.
    let has_credential = |line: &Line| matches!(line.argument, Argument::Credential(_));
    for (line, value) in lines.into_iter().filter(|(line, _)| !has_credential(line)) {
        match Ids::of(root, &line) {
            Ok(ids) => usable.push((line, (ids, value))),
            Err(_) if line.modifiers.may_fail => {}
            Err(error) => unapplied.push((value, error)),
        }
    }
    let lines = arrange(usable);
    let removed = remove::all(root, &lines);
    for ((line, (ids, value)), removed) in lines.into_iter().zip(removed) {
        let done = removed.and_then(|()| one(root, &line, ids));
        if let Err(error) = done
            && !line.modifiers.may_fail
        {
            unapplied.push((value, error));
        }
    }
    unapplied
}

/// The numbers of the line's user and group, if the line has them.
#[derive(Clone, Copy)]
struct Ids {
    user: Option<u32>,
    group: Option<u32>,
}

impl Ids {
    fn of<R: Root>(root: &R, line: &Line) -> Result<Self, ApplyError<R::Error>> {
        if line.path.split(|&byte| byte == b'/').any(|name| name == b"..") {
            return Err(ApplyError::Climbs);
        }
        let number = |owner: &Option<Owner>, kind, find: &dyn Fn(&str) -> Option<u32>| match owner {
            None => Ok(None),
            Some(Owner { name, .. }) => match name.parse().ok().or_else(|| find(name)) {
                Some(number) => Ok(Some(number)),
                None => Err(ApplyError::Account { kind, name: name.clone() }),
            },
        };
        let user = number(&line.user, "user", &|name| root.user(name))?;
        Ok(Self { user, group: number(&line.group, "group", &|name| root.group(name))? })
    }
}

/// Creates and changes what one line says.
fn one<R: Root>(root: &mut R, line: &Line, ids: Ids) -> Result<(), ApplyError<R::Error>> {
    if let Argument::Source(source) = &line.argument {
        return copy::line(root, line, ids, source);
    }
    match line.line_type {
        // The first two are for cleaning. The others have already removed.
        LineType::Keep | LineType::KeepDirectory | LineType::Remove | LineType::RemoveAll => Ok(()),
        line_type if line_type.takes_pattern() => change::matches(root, line, ids),
        _ => create::line(root, line, ids),
    }
}

/// Sets owner and mode of a path as the line says. `is_new`: the line has just made the path.
fn set<R: Root>(root: &mut R, line: &Line, ids: Ids, path: &[u8], is_new: bool) -> Result<(), ApplyError<R::Error>> {
    let Some(found) = root.look(path)? else { return Ok(()) };
    let mode = match (is_new, line.line_type) {
        // A copy has the mode of its source, unless the line gives one.
        (true, LineType::Copy) => {
            line.mode.map_or(found.rights.mode, |it| it.applied(found.rights.mode, found.is_dir()))
        }
        (true, _) => line.mode_of_new(),
        (false, _) => line.mode_of_existing(found.rights.mode, found.is_dir()),
    };
    let id = |id: Option<u32>, owner: &Option<Owner>, now| {
        id.filter(|_| Owner::wanted(owner.as_ref(), is_new).is_some()).unwrap_or(now)
    };
    let (uid, gid) = (id(ids.user, &line.user, found.rights.uid), id(ids.group, &line.group, found.rights.gid));
    let mode = if found.is_link() { found.rights.mode } else { mode };
    let rights = Rights { mode, uid, gid };
    if rights != found.rights {
        root.set(path, rights)?;
    }
    Ok(())
}

/// What lies at `path`, and below it at any depth. Parents come before their children. Holds no directory open.
fn tree<R: Root>(root: &R, path: &[u8]) -> Result<Vec<(Vec<u8>, Found)>, R::Error> {
    let (mut all, mut open) = (Vec::new(), vec![path.to_vec()]);
    while let Some(path) = open.pop() {
        let Some(found) = root.look(&path)? else { continue };
        if found.is_dir() {
            open.extend(root.names(&path)?.into_iter().rev().map(|name| join(&path, &name)));
        }
        all.push((path, found));
    }
    Ok(all)
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory == b"/" { [b"/", name].concat() } else { [directory, b"/", name].concat() }
}

fn safe<R: Root>(root: &R, path: &[u8]) -> Result<(), ApplyError<R::Error>> {
    if root.is_safe(path) { Ok(()) } else { Err(ApplyError::Link { path: text(path) }) }
}

fn text(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}

impl Found {
    fn is_dir(&self) -> bool {
        self.kind == Some(Kind::Directory)
    }

    fn is_link(&self) -> bool {
        matches!(self.kind, Some(Kind::Symlink(_)))
    }

    fn word(&self) -> &'static str {
        self.kind.as_ref().map_or("socket", Kind::word)
    }
}
