//! Checks a finished root tree: whether what is in it can be started and loaded on the host.

mod containers;
mod content;
mod finding;
mod libraries;
mod parameters;
mod program;
mod services;

pub use finding::{CheckError, Finding, Topic};

use crate::{assemble, recipe::Recipe, tree::Tree};
use berth_contract::image_spec::PreloadedImage;

/// Checks the tree of an image, made from `recipe` and with these preloaded images. Returns warnings.
///
/// # Errors
/// All faults that the recipe does not allow, or a file that cannot be read.
pub fn check(recipe: &Recipe, tree: &Tree, images: &[PreloadedImage]) -> Result<Vec<String>, CheckError> {
    let contents = content::read(tree)?;
    let folders = assemble::library_folders(tree, recipe.arch)?;
    let mut findings = libraries::check(tree, &contents, recipe.arch, folders, &recipe.debian);
    let (scripts, mut warnings) = program::scripts(tree, &contents);
    let (containers, more) = containers::check(recipe, images);
    let (parameters, skipped) = parameters::check(tree)?;
    warnings.extend(more.into_iter().chain(skipped));
    findings.extend(scripts);
    findings.extend(services::check(tree, &contents)?);
    findings.extend(program::health_checks(tree, &contents));
    findings.extend(containers);
    findings.extend(parameters);
    warnings.extend(finding::allow(&mut findings, &recipe.allow));
    if findings.is_empty() { Ok(warnings) } else { Err(CheckError::Faults(findings)) }
}
