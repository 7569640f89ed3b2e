//! Errors of the tree.

use super::path::PathFault;

/// A node cannot be put at a path. Messages show absolute paths, as in the image. Origins name the package or overlay: `old` was
/// in the tree, `new` comes second.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The name is not a valid path.
    #[error("{origin}: path {name:?}: {fault}")]
    Path { origin: String, name: String, fault: PathFault },
    /// Two files at one path.
    #[error("{path}: both {old} and {new} ship this path")]
    Both { path: String, old: String, new: String },
    /// A folder and a file at one path.
    #[error("{path}: {new} has a {new_kind} where {old} has a {old_kind}")]
    Kinds { path: String, old: String, old_kind: &'static str, new: String, new_kind: &'static str },
    /// The parent of the path is not a folder.
    #[error("{path}: {new} ships this path, but {parent} of {old} is a {kind}")]
    Parent { path: String, new: String, parent: String, old: String, kind: &'static str },
    /// The target of a symbolic link is above the root.
    #[error("{origin}: {path} is a symbolic link to {target}, which leaves the image")]
    LinkLeaves { origin: String, path: String, target: String },
    /// A path leads above the root when its links are followed.
    #[error("{path} leads out of the image")]
    Leaves { path: String },
    /// The symbolic links of a path form a loop.
    #[error("{path} leads through too many symbolic links")]
    Loop { path: String },
    /// The target of a hard link is not a file.
    #[error("{origin}: {path} is a hard link to {target}: {found}")]
    HardLink { origin: String, path: String, target: String, found: String },
}
