//! What will be built, decided before anything is fetched or written. Pure: same recipe, same lock, same plan.

pub mod identity;
pub mod layout;
mod outputs;

pub use outputs::Outputs;

use crate::{
    lock::Locked,
    recipe::{Diagnostic, Place, Recipe},
};
use berth_contract::{
    arch::Arch,
    disk::PartitionRole,
    entry::BootEntry,
    image_spec::ImageEngine,
    version::{ImageId, OsVersion},
};
use layout::{Layout, LayoutError, Sizes};
use std::collections::BTreeMap;

/// Everything about a build that recipe, lock and command line decide.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture of the image.
    pub arch: Arch,
    /// Seconds since 1970 that every file bears.
    pub epoch: u64,
    /// Debian's name of the release, e.g. `trixie`.
    pub codename: String,
    /// The engine and the Debian version of its package.
    pub engine: Option<ImageEngine>,
    /// The boot entry's file name: of a fresh image, so blessed.
    pub entry: BootEntry,
    /// Where the partitions lie.
    pub layout: Layout,
    /// Names of the files that come out.
    pub outputs: Outputs,
    /// Key of `[disk]` → where the recipe gives it.
    pub size_places: BTreeMap<&'static str, Place>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Something in the recipe, shown where it stands.
    #[error(transparent)]
    Recipe(#[from] Diagnostic),
    /// Neither recipe nor command line give a version.
    #[error("{0} has no version: expected one in the recipe or on the command line")]
    NoVersion(String),
    /// The sizes cannot be.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// More than the ESP holds.
    #[error(
        "the kernel image has {uki} bytes: an ESP of {esp} bytes cannot hold one for each slot and one being written"
    )]
    EspTooSmall {
        /// Bytes of the UKI.
        uki: u64,
        /// Bytes of the partition.
        esp: u64,
    },
    /// More than the slot holds.
    #[error("the root file system has {found} bytes, its slot {slot}")]
    SlotTooSmall {
        /// Bytes of the root file system.
        found: u64,
        /// Bytes of the slot.
        slot: u64,
    },
}

impl PlanError {
    /// What can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::SlotTooSmall { found, .. } => {
                let mib = found.div_ceil(1 << 20).next_multiple_of(64);
                Some(format!("set disk.slot = \"{mib}MiB\" or more, or leave packages out (debian.drop)"))
            }
            Self::EspTooSmall { uki, .. } => {
                Some(format!("set disk.esp = \"{}MiB\" or more", (uki * 3).div_ceil(1 << 20).next_multiple_of(64)))
            }
            Self::NoVersion(_) => Some("write version = \"1.0\" in the recipe, or give --version 1.0".to_owned()),
            Self::Layout(error) => Some(format!("set disk.{} = \"{}\"", error.key(), error.instead())),
            Self::Recipe(fault) => fault.hint().map(str::to_owned),
        }
    }

    /// The error, shown at the line of the recipe that gives the size, if one does.
    fn at(self, key: &str, places: &BTreeMap<&'static str, Place>) -> Self {
        match (places.get(key), self.hint()) {
            (Some(place), Some(hint)) => Self::Recipe(Diagnostic::new(place, self.to_string()).with_hint(hint)),
            _ => self,
        }
    }
}

/// Decides. `version` and `epoch` come from the command line and win over recipe and lock.
///
/// # Errors
/// A version that nobody gives, sizes that cannot be, an engine that is not in the lock.
pub fn plan(
    recipe: &Recipe,
    locked: &Locked,
    version: Option<OsVersion>,
    epoch: Option<u64>,
) -> Result<Plan, PlanError> {
    let lock = locked.lock();
    let version = version
        .or_else(|| recipe.version.as_ref().map(|version| version.value.clone()))
        .ok_or_else(|| PlanError::NoVersion(recipe.path().display().to_string()))?;
    let id = recipe.id.value.clone();
    let engine = recipe.engine.as_ref().map(|kind| {
        let name = kind.value.row().package;
        let package = lock.packages.iter().find(|package| package.name == name);
        let missing = || {
            Diagnostic::new(&kind.place, format!("no package {name} in the lock"))
                .with_hint(format!("add {name:?} to debian.packages and run berth lock"))
        };
        let version = package.ok_or_else(missing)?.version.clone();
        Ok::<_, Diagnostic>(ImageEngine { kind: kind.value, version })
    });
    let codename = lock.archives.first().map_or_else(|| recipe.debian.suite.value.clone(), |a| a.codename.clone());
    let sizes = Sizes { esp: recipe.disk.esp, slot: recipe.disk.slot, var: recipe.disk.var };
    Ok(Plan {
        entry: BootEntry { id: id.clone(), version: version.clone(), counter: None },
        outputs: Outputs::new(&id, &version, recipe.arch),
        arch: recipe.arch,
        epoch: epoch.unwrap_or(lock.date.0),
        engine: engine.transpose()?,
        layout: Layout::new(sizes)
            .map_err(|error| PlanError::Layout(error.clone()).at(error.key(), &recipe.disk.places))?,
        size_places: recipe.disk.places.clone(),
        codename,
        id,
        version,
    })
}

impl Plan {
    /// Whether a root file system of so many bytes fits its slot.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_root(&self, found: u64) -> Result<(), PlanError> {
        let slot = self.layout.extent(PartitionRole::RootA).size;
        if found <= slot {
            return Ok(());
        }
        Err(PlanError::SlotTooSmall { found, slot }.at("slot", &self.size_places))
    }

    /// Whether the ESP holds the kernel image of each slot, and the next one while it is being written.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_uki(&self, uki: u64) -> Result<(), PlanError> {
        let esp = self.layout.extent(PartitionRole::Esp).size;
        if uki.saturating_mul(3) <= esp {
            return Ok(());
        }
        Err(PlanError::EspTooSmall { uki, esp }.at("esp", &self.size_places))
    }
}
