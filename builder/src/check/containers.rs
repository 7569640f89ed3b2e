//! The recipe's containers, and the images that it preloads.

use super::finding::{Finding, Topic};
use crate::recipe::Recipe;
use berth_contract::{engine::DEFAULT_REGISTRY, image_spec::PreloadedImage};

/// A container whose image is preloaded under another tag would be fetched from a registry, although the recipe brings an image for it.
/// An image that is not preloaded at all is a warning: the host fetches it when the container starts.
pub(super) fn check(recipe: &Recipe, images: &[PreloadedImage]) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut warnings) = (Vec::new(), Vec::new());
    for container in &recipe.containers {
        let (name, wanted) = (&container.value.name, full(&container.value.image));
        if images.iter().any(|image| full(&image.name) == wanted) {
            continue;
        }
        let alike: Vec<&str> = images
            .iter()
            .filter(|image| repository(&full(&image.name)) == repository(&wanted))
            .map(|image| image.name.as_str())
            .collect();
        let image = &container.value.image;
        if alike.is_empty() {
            let place = &container.place;
            warnings.push(format!(
                "{place}: container {name}: the image {image} is not preloaded: the host fetches it from a registry"
            ));
        } else {
            findings.push(Finding {
                topic: Topic::Containers,
                fault: format!("the image {image} is not preloaded, but the recipe preloads {}", alike.join(", ")),
                places: vec![format!("container/{name}").into_bytes()],
                fix: format!(
                    "{}: write image = {:?}, or give the preloaded image the name {image:?} ([[oci]] name)",
                    container.place, alike[0]
                ),
            });
        }
    }
    (findings, warnings)
}

/// The name with its tag, without what engines leave out at its beginning.
fn full(name: &str) -> String {
    let name = DEFAULT_REGISTRY.iter().find_map(|start| name.strip_prefix(start)).unwrap_or(name);
    if repository(name) == name { format!("{name}:latest") } else { name.to_owned() }
}

/// The name without tag and digest.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((start, tag)) if !tag.contains('/') => start,
        _ => name,
    }
}
