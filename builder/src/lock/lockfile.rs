//! The content of a lock file.

use crate::{date::Date, source::debian::debs::DebRef};
use berth_contract::digest::Sha256;
use berth_fetch::blob::Want;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::BTreeMap;

/// The version of the format. Other versions are refused.
pub(super) const FORMAT: u32 = 2;

/// The name under which the recipe is listed in `asked_by`.
pub const RECIPE: &str = "(recipe)";

/// The exact inputs of an image. It holds no mirror and no path of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of the format: 2.
    pub format: u32,
    /// [`super::LockInput::digest`] of the input that it was made from.
    pub input: Sha256,
    /// Digest of all other fields: shows whether the file was edited by hand.
    pub checksum: Sha256,
    /// `Date` of the newest archive: the time of all files of the image, unless `SOURCE_DATE_EPOCH` is set.
    pub date: Date,
    /// The suites, in the recipe's order.
    #[serde(rename = "archive")]
    pub archives: Vec<LockedArchive>,
    /// Provided names that were needed, sorted.
    #[serde(rename = "provided", default, skip_serializing_if = "Vec::is_empty")]
    pub provided: Vec<LockedProvided>,
    /// The packages, sorted by name.
    #[serde(rename = "package", default)]
    pub packages: Vec<LockedPackage>,
}

/// A suite.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedArchive {
    /// Its name in the recipe.
    pub suite: String,
    /// `Codename` of its InRelease.
    pub codename: String,
    /// The components that were read.
    pub components: Vec<String>,
    /// `Date` of its InRelease.
    pub date: Date,
    /// Digest of its InRelease file.
    pub in_release: Sha256,
}

/// A package that the recipe takes as installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedProvided {
    /// Its name.
    pub name: String,
    /// The packages that depend on it, each with the text of the dependency.
    pub asked_by: BTreeMap<String, String>,
}

/// A package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The suite that lists it, one of [`Lock::archives`].
    pub suite: String,
    /// Path of the .deb below the archive's root.
    pub file: String,
    /// Bytes of the .deb.
    pub size: u64,
    /// Digest of the .deb.
    pub sha256: Sha256,
    /// Bytes of its files when installed, if the index gives them: a limit for unpacking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_size: Option<u64>,
    /// Packages of this lock whose files it may overwrite (`Replaces`, versions already checked), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// What asks for it: a package with the text of its dependency, or [`RECIPE`] with a name.
    pub asked_by: BTreeMap<String, String>,
}

impl LockedPackage {
    /// What to fetch.
    #[must_use]
    pub fn deb(&self) -> DebRef<'_> {
        let want = Want { sha256: self.sha256, size: self.size };
        DebRef { name: &self.name, suite: &self.suite, file: &self.file, want }
    }
}

impl Lock {
    /// The expected [`Lock::checksum`]: the digest of the file as this program writes it, with a checksum of zeros.
    #[must_use]
    pub fn content_digest(&self) -> Sha256 {
        let blank = Self { checksum: Sha256([0; 32]), ..self.clone() };
        Sha256(sha2::Sha256::digest(blank.to_string()).into())
    }
}
