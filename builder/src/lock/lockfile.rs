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

/// The exact Debian packages of an image. Contains no mirrors and no paths of the build machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Version of the format: 2.
    pub format: u32,
    /// [`super::LockInput::digest`] of the input of this lock.
    pub input: Sha256,
    /// Digest of all other fields, to detect edits by hand.
    pub checksum: Sha256,
    /// `Date` of the newest archive. All files of the image get this time, unless `SOURCE_DATE_EPOCH` is set.
    pub date: Date,
    /// The suites, in the recipe's order.
    #[serde(rename = "archive")]
    pub archives: Vec<LockedArchive>,
    /// Provided names that a package depends on, sorted.
    #[serde(rename = "provided", default, skip_serializing_if = "Vec::is_empty")]
    pub provided: Vec<LockedProvided>,
    /// The packages, sorted by name.
    #[serde(rename = "package", default)]
    pub packages: Vec<LockedPackage>,
}

/// A suite that packages were taken from.
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
    /// `Valid-Until`, if it was past when the lock was made, and the recipe accepts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<Date>,
    /// `Origin` and `Label`, if another archive of the lock has a suite of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A name that the recipe lists as provided, so that it counts as installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedProvided {
    /// The name.
    pub name: String,
    /// The packages that depend on it, each with the text of its dependency.
    pub asked_by: BTreeMap<String, String>,
}

/// A package of the image.
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
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Digest of the .deb.
    pub sha256: Sha256,
    /// Size of its files when installed, in bytes, if the index gives it. Limits the unpacking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_size: Option<u64>,
    /// Packages of this lock whose files it may overwrite (`Replaces`, versions already checked), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// Why the package is in the image: the packages that depend on it, each with the text of its dependency. If the recipe
    /// requests the package: [`RECIPE`], with the name in the recipe.
    pub asked_by: BTreeMap<String, String>,
}

impl LockedPackage {
    /// The .deb to fetch.
    #[must_use]
    pub fn deb(&self) -> DebRef<'_> {
        let want = Want { sha256: self.sha256, size: self.size };
        DebRef { name: &self.name, suite: &self.suite, file: &self.file, want }
    }
}

impl Lock {
    /// The expected [`Lock::checksum`]: the digest of the file as [`super::write`] writes it, with a checksum of zeros.
    #[must_use]
    pub fn content_digest(&self) -> Sha256 {
        let blank = Self { checksum: Sha256([0; 32]), ..self.clone() };
        Sha256(sha2::Sha256::digest(blank.to_string()).into())
    }
}
