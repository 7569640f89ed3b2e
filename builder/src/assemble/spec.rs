//! `image.json`: the facts about the image that init and the other programs of the host read.

use crate::{lock::Locked, plan::Plan, recipe::Recipe};
use berth_contract::{
    image_spec::{ImageSpec, PreloadedImage},
    time_config::TimeConfig,
};

/// The specification of an image. Its kernel release is empty: it is known only when the packages are unpacked.
#[must_use]
pub fn image_spec(recipe: &Recipe, locked: &Locked, plan: &Plan, images: Vec<PreloadedImage>) -> ImageSpec {
    ImageSpec {
        id: plan.id.clone(),
        version: plan.version.clone(),
        arch: recipe.arch,
        kernel: String::new(),
        engine: plan.engine.clone(),
        modules: recipe.kernel.modules.iter().map(|module| module.value.clone()).collect(),
        images,
        containers: recipe.containers.iter().map(|container| container.value.clone()).collect(),
        packages: locked.lock().packages.iter().map(|one| (one.name.clone(), one.version.clone())).collect(),
        update: recipe.update.spec.clone(),
        remote: recipe.remote.clone(),
        health: recipe.health,
        time: TimeConfig::default(),
        config_sources: recipe.config_sources.clone(),
    }
}
