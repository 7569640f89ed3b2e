//! The size of each part of an image.

use super::{Supply, assembled};
use crate::{
    image::{
        size::{Cost, costs},
        write,
    },
    lock::{LockInput, Locked, lock_path},
    plan, recipe,
    report::Report,
    source::programs,
};
use anyhow::Result;
use berth_contract::disk::PartitionRole;
use std::path::Path;

/// Sizes of an image's parts.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Bytes per origin, largest first.
    pub costs: Vec<Cost>,
    /// Size of the root file system in bytes.
    pub root: u64,
    /// Size of the slot of the root file system, in bytes.
    pub slot: u64,
}

/// Computes the sizes of the parts of the image. Writes only to the cache.
///
/// # Errors
/// Faults of the recipe, the lock or the packages.
pub fn size(recipe: &Path, programs: &Path, supply: &Supply, report: &Report) -> Result<Sizes> {
    let recipe = recipe::read(recipe)?;
    let input = LockInput::new(&recipe, &supply.mirrors, &supply.etc_apt)?;
    let locked = Locked::load(&lock_path(recipe.path()), &input)?;
    // If the recipe has no version, any version will do: the sizes do not depend on it.
    let version = recipe.version.is_none().then(|| "0".parse()).transpose()?;
    let plan = plan::plan(&recipe, &locked, version, None)?;
    let (root, _) = assembled(
        (&recipe, &input, &locked, &plan),
        &supply.fetcher()?,
        &programs::find(programs, recipe.arch)?,
        report,
    )?;
    let slot = plan.layout.extent(PartitionRole::RootA).size;
    Ok(Sizes { costs: costs(&root.tree)?, root: write::root_size(&root.tree, &plan)?, slot })
}
