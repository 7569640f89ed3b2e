//! A fault of the image, and the error that shows all of them.

use crate::{
    recipe::Drops,
    tree::{Show, TreePath},
};
use std::fmt;

/// A fault, with all files that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind of fault. Faults of one kind are shown together.
    pub topic: Topic,
    /// What is wrong.
    pub fault: String,
    /// Paths in the image without a leading slash, or `container/NAME`: an entry of `check.allow` can match them.
    pub places: Vec<TreePath>,
    /// What to do.
    pub fix: String,
}

/// Kinds of faults, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Programs,
    Scripts,
    Services,
    Containers,
    Parameters,
}

impl Topic {
    fn title(self) -> &'static str {
        match self {
            Self::Programs => "programs and libraries that cannot be loaded",
            Self::Scripts => "scripts that cannot be started",
            Self::Services => "services that cannot start",
            Self::Containers => "containers without their image",
            Self::Parameters => "kernel parameters that are not set",
        }
    }
}

/// A fault names at most this many files.
const SHOWN: usize = 5;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.places.iter().take(SHOWN).map(|path| Show(path).to_string()).collect();
        write!(f, "{}: {}", self.fault, shown.join(", "))?;
        match self.places.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

/// Takes out the places that the recipe allows. Returns the globs that allow nothing.
pub(super) fn allow(findings: &mut Vec<Finding>, allowed: &Drops) -> Vec<String> {
    let mut used = vec![false; allowed.globs().len()];
    for finding in findings.iter_mut() {
        finding.places.retain(|place| {
            let matching = allowed.matching(place);
            matching.iter().for_each(|&at| used[at] = true);
            matching.is_empty()
        });
    }
    findings.retain(|finding| !finding.places.is_empty());
    let unused = allowed.globs().iter().zip(used).filter(|(_, used)| !used);
    unused
        .map(|(glob, _)| format!("{}: check.allow {:?} allows nothing: no fault has this path", glob.place, glob.value))
        .collect()
}

/// The image does not work as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// All faults.
    #[error("{}", shown(.0))]
    Faults(Vec<Finding>),
    /// A file cannot be read.
    #[error("cannot read {path} of {origin}")]
    Read { path: String, origin: String, source: std::io::Error },
    /// The folders of the dynamic loader cannot be read.
    #[error(transparent)]
    Assemble(#[from] crate::assemble::AssembleError),
}

fn shown(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.topic);
    let mut text = "parts of the image do not fit together".to_owned();
    let mut topic = None;
    for finding in sorted {
        if topic.replace(finding.topic) != Some(finding.topic) {
            text += &format!("\n{}:", finding.topic.title());
        }
        text += &format!("\n  {finding}\n    fix: {}", finding.fix);
    }
    text
}

impl CheckError {
    /// A hint: the next step for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Faults(_) => Some(
                "if a file may stay as it is, because nobody uses it on this host, add its path to check.allow in the recipe \
                 (docs/recipe.md)"
                    .to_owned(),
            ),
            Self::Assemble(error) => error.hint(),
            Self::Read { .. } => None,
        }
    }
}
