//! The plan of a build, made before anything is fetched or written. The same recipe and lock file give the same plan.

pub mod identity;
pub mod layout;
mod outputs;

pub use outputs::Outputs;

use crate::{
    lock::{Lock, Locked},
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

/// All facts about a build that follow from recipe, lock file and command line.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `IMAGE_ID`.
    pub id: ImageId,
    /// `IMAGE_VERSION`.
    pub version: OsVersion,
    /// Architecture of the image.
    pub arch: Arch,
    /// Time of every file in the image, in seconds since 1970.
    pub epoch: u64,
    /// Debian's name of the release, e.g. `trixie`.
    pub codename: String,
    /// The engine and the Debian version of its package.
    pub engine: Option<ImageEngine>,
    /// The boot entry of the image. It has no counter, so it is blessed from the start.
    pub entry: BootEntry,
    /// The places of the partitions.
    pub layout: Layout,
    /// Names of the output files.
    pub outputs: Outputs,
    /// Key of `[disk]` → its place in the recipe.
    pub size_places: BTreeMap<&'static str, Place>,
}

/// The plan cannot be made, or the built files do not fit it.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A fault in the recipe, shown at its line.
    #[error(transparent)]
    Recipe(#[from] Diagnostic),
    #[error("{0} has no version: expected one in the recipe or on the command line")]
    NoVersion(String),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The ESP must hold the UKI of each slot, and the UKI that an upgrade writes. Sizes in bytes.
    #[error(
        "the unified kernel image has {uki} bytes: an ESP of {esp} bytes cannot hold three of them, one for each slot and one \
         for an upgrade"
    )]
    EspTooSmall { uki: u64, esp: u64 },
    /// The root file system does not fit its slot. Sizes in bytes.
    #[error("the root file system has {found} bytes, but its slot has only {slot} bytes")]
    SlotTooSmall { found: u64, slot: u64 },
}

impl PlanError {
    /// A hint: the next step for the user.
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

    /// The same error, shown at the line of the recipe that sets the size, if the recipe sets it.
    fn at(self, key: &str, places: &BTreeMap<&'static str, Place>) -> Self {
        match (places.get(key), self.hint()) {
            (Some(place), Some(hint)) => Self::Recipe(Diagnostic::new(place, self.to_string()).with_hint(hint)),
            _ => self,
        }
    }
}

/// The engine of the image, with the version of its package in the lock.
///
/// # Errors
/// If the lock has no package for the engine.
pub fn engine(recipe: &Recipe, lock: &Lock) -> Result<Option<ImageEngine>, Diagnostic> {
    let Some(kind) = &recipe.engine else { return Ok(None) };
    let name = kind.value.row().package;
    let package = lock.packages.iter().find(|package| package.name == name).ok_or_else(|| {
        Diagnostic::new(&kind.place, format!("the lock file has no package {name}"))
            .with_hint(format!("add {name:?} to debian.packages and run berth lock"))
    })?;
    Ok(Some(ImageEngine { kind: kind.value, version: package.version.clone() }))
}

/// Makes the plan. `version` and `epoch` come from the command line and replace those of recipe and lock file.
///
/// # Errors
/// If there is no version, a size is not valid, or the lock file has no package for the engine.
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
    let engine = engine(recipe, lock)?;
    let codename = lock.archives.first().map_or_else(|| recipe.debian.suite.value.clone(), |a| a.codename.clone());
    let sizes = Sizes { esp: recipe.disk.esp, slot: recipe.disk.slot, var: recipe.disk.var };
    Ok(Plan {
        entry: BootEntry { id: id.clone(), version: version.clone(), counter: None },
        outputs: Outputs::new(&id, &version, recipe.arch),
        arch: recipe.arch,
        epoch: epoch.unwrap_or(lock.date.0),
        engine,
        layout: Layout::new(sizes)
            .map_err(|error| PlanError::Layout(error.clone()).at(error.key(), &recipe.disk.places))?,
        size_places: recipe.disk.places.clone(),
        codename,
        id,
        version,
    })
}

impl Plan {
    /// Checks that a root file system of `found` bytes fits its slot.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn check_root(&self, found: u64) -> Result<(), PlanError> {
        let slot = self.layout.extent(PartitionRole::RootA).size;
        if found <= slot {
            return Ok(());
        }
        Err(PlanError::SlotTooSmall { found, slot }.at("slot", &self.size_places))
    }

    /// Checks that the ESP can hold three UKIs of `uki` bytes: one for each slot, and one that an upgrade is writing.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check_uki(&self, uki: u64) -> Result<(), PlanError> {
        let esp = self.layout.extent(PartitionRole::Esp).size;
        if uki.saturating_mul(3) <= esp {
            return Ok(());
        }
        Err(PlanError::EspTooSmall { uki, esp }.at("esp", &self.size_places))
    }
}
