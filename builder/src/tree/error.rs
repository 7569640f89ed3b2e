//! What cannot be put into a tree.

use super::path::PathFault;

/// Why something cannot be at a path. Paths are shown absolute, as in the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No path at all.
    #[error("{origin}: path {name:?}: {fault}")]
    Path {
        /// Who brings it.
        origin: String,
        /// As given.
        name: String,
        /// What is wrong with it.
        fault: PathFault,
    },
    /// Two of one name.
    #[error("{path}: both {old} and {new} have it")]
    Both {
        /// Where.
        path: String,
        /// Who was first.
        old: String,
        /// Who came second.
        new: String,
    },
    /// A folder where something else is, or the other way round.
    #[error("{path}: {new} has a {new_kind} where {old} has a {old_kind}")]
    Kinds {
        /// Where.
        path: String,
        /// Who was first.
        old: String,
        /// What is there.
        old_kind: &'static str,
        /// Who came second.
        new: String,
        /// What it brings.
        new_kind: &'static str,
    },
    /// Something lies in what is no folder.
    #[error("{path}: {new} has it, but {parent} of {old} is a {kind}")]
    Parent {
        /// What cannot be there.
        path: String,
        /// Who brings it.
        new: String,
        /// What should be a folder.
        parent: String,
        /// Whose that is.
        old: String,
        /// What it is.
        kind: &'static str,
    },
    /// A symbolic link that climbs above the root.
    #[error("{origin}: {path} is a symbolic link to {target}, which leaves the image")]
    LinkLeaves {
        /// Who brings it.
        origin: String,
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A path that climbs above the root on its way through links.
    #[error("{path} leads out of the image")]
    Leaves {
        /// As looked up.
        path: String,
    },
    /// Links that lead in a circle.
    #[error("{path} leads through too many symbolic links")]
    Loop {
        /// As looked up.
        path: String,
    },
    /// A hard link to nothing that can have one.
    #[error("{origin}: {path} is a hard link to {target}: {found}")]
    HardLink {
        /// Who brings it.
        origin: String,
        /// The link.
        path: String,
        /// What it names.
        target: String,
        /// What is wrong.
        found: String,
    },
}
