//! Changes of files that maintainer scripts make.

mod apply;
mod mode;

pub(super) use apply::{Changes, apply};
pub use mode::ModeChange;

use std::fmt;

/// A change of a file. Paths are absolute. A symbolic link is followed, as the commands do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Makes a folder, and its parents, if it does not exist.
    Directory {
        path: String,
        mode: u16,
    },
    /// Makes an empty file if it does not exist.
    Empty {
        path: String,
        mode: u16,
    },
    /// Copies a file with its mode if `to` does not exist.
    Copy {
        from: String,
        to: String,
    },
    /// Writes a text, or appends it. A new file gets `mode`.
    Write {
        path: String,
        text: String,
        append: bool,
        mode: u16,
    },
    /// Moves a file that an earlier change has made. Replaces the file at `to`.
    Move {
        from: String,
        to: String,
    },
    /// Makes a symbolic link if `path` does not exist.
    Link {
        path: String,
        target: String,
    },
    Mode {
        path: String,
        mode: ModeChange,
        recursive: bool,
    },
    Owner {
        path: String,
        user: Option<String>,
        group: Option<String>,
        recursive: bool,
    },
    /// Sets the file capabilities: the value of the attribute `security.capability`.
    Capabilities {
        path: String,
        value: Vec<u8>,
    },
    /// Removes a file that an earlier change has made.
    Remove {
        path: String,
    },
}

impl FileChange {
    /// The path that changes.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Copy { to: path, .. }
            | Self::Move { to: path, .. }
            | Self::Write { path, .. }
            | Self::Directory { path, .. }
            | Self::Empty { path, .. }
            | Self::Link { path, .. }
            | Self::Mode { path, .. }
            | Self::Owner { path, .. }
            | Self::Capabilities { path, .. }
            | Self::Remove { path } => path,
        }
    }
}

/// The command that makes the change, for messages.
impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, mode } => write!(f, "mkdir -m {mode:04o} {path}"),
            Self::Empty { path, .. } => write!(f, "touch {path}"),
            Self::Copy { from, to } => write!(f, "cp {from} {to}"),
            Self::Write { path, .. } => write!(f, "write {path}"),
            Self::Move { from, to } => write!(f, "mv {from} {to}"),
            Self::Link { path, target } => write!(f, "ln -s {target} {path}"),
            Self::Mode { path, .. } => write!(f, "chmod {path}"),
            Self::Owner { path, user, group, .. } => {
                let (user, group) = (user.as_deref().unwrap_or_default(), group.as_deref());
                write!(f, "chown {user}{}{} {path}", if group.is_some() { ":" } else { "" }, group.unwrap_or_default())
            }
            Self::Capabilities { path, .. } => write!(f, "setcap {path}"),
            Self::Remove { path } => write!(f, "rm {path}"),
        }
    }
}
