//! What the parts of an image cost.

use super::{Sources, assembled, fetcher, lock_input};
use crate::{
    image::{
        size::{Cost, costs},
        write,
    },
    lock::{Locked, lock_path},
    plan, recipe,
    report::Report,
    source::programs,
};
use anyhow::Result;
use berth_contract::disk::PartitionRole;
use std::path::Path;

/// What an image consists of.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// What each origin costs, the dearest first.
    pub costs: Vec<Cost>,
    /// Bytes of the root file system.
    pub root: u64,
    /// Bytes of its slot.
    pub slot: u64,
}

/// What each part of `recipe` costs. Nothing is written but the cache.
///
/// # Errors
/// Whatever is wrong with recipe, lock or packages.
pub fn size(recipe: &Path, programs: &Path, sources: &Sources, report: &Report) -> Result<Sizes> {
    let recipe = recipe::read(recipe)?;
    let input = lock_input(&recipe, sources)?;
    let locked = Locked::load(&lock_path(recipe.path()), &input)?;
    // A recipe may leave its version to the build; sizes are the same in all.
    let version = recipe.version.is_none().then(|| "0".parse()).transpose()?;
    let plan = plan::plan(&recipe, &locked, version, None)?;
    let (root, _) = assembled(
        (&recipe, &input, &locked, &plan),
        &fetcher(sources)?,
        &programs::find(programs, recipe.arch)?,
        report,
    )?;
    let slot = plan.layout.extent(PartitionRole::RootA).size;
    Ok(Sizes { costs: costs(&root.tree)?, root: write::root_size(&root.tree, &plan)?, slot })
}
