//! Selects one image of a layout.

use super::{
    error::OciError,
    layout::Layout,
    reference::Reference,
    schema::{Descriptor, IMAGE_NAME, INDEX_TYPES, ImageIndex, MANIFEST_TYPES, REF_NAME},
};
use std::collections::BTreeMap;

/// Limit for the nesting of indices. Usual layouts have at most two levels: the index of the layout, and one per image.
const DEPTH: u8 = 4;

/// An image manifest of the layout, and its name in the annotations.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: Option<Reference>,
    pub(super) manifest: Descriptor,
}

/// Selects the image of `layout` for `linux/ARCHITECTURE` with the name `name`, or else the only image.
pub(super) fn select(layout: &Layout, architecture: &str, name: Option<&Reference>) -> Result<Candidate, OciError> {
    let index: ImageIndex = layout.parse("index.json", &layout.document("index.json")?)?;
    let mut found = Found { architecture, candidates: Vec::new(), others: Vec::new() };
    found.walk(layout, index, None, DEPTH)?;
    let Found { mut candidates, others, .. } = found;
    if candidates.is_empty() {
        let found = if others.is_empty() { vec!["no images".to_owned()] } else { others };
        return Err(OciError::NoPlatform {
            at: layout.at().to_owned(),
            wanted: format!("linux/{architecture}"),
            found,
        });
    }
    if let Some(at) =
        candidates.iter().position(|candidate| candidate.name.is_some() && candidate.name.as_ref() == name)
    {
        return Ok(candidates.swap_remove(at));
    }
    // One image may be listed under several names: count different digests.
    let digests: BTreeMap<_, _> = candidates.iter().map(|candidate| (&candidate.manifest.digest, ())).collect();
    if digests.len() > 1 {
        let shown = |candidate: &Candidate| {
            candidate.name.as_ref().map_or_else(|| candidate.manifest.digest.clone(), ToString::to_string)
        };
        return Err(OciError::Several { at: layout.at().to_owned(), found: candidates.iter().map(shown).collect() });
    }
    Ok(candidates.swap_remove(0))
}

struct Found<'a> {
    architecture: &'a str,
    candidates: Vec<Candidate>,
    others: Vec<String>,
}

impl Found<'_> {
    fn walk(
        &mut self,
        layout: &Layout,
        index: ImageIndex,
        name: Option<&Reference>,
        depth: u8,
    ) -> Result<(), OciError> {
        for descriptor in index.manifests {
            let own = name_of(&descriptor);
            let name = own.as_ref().or(name);
            if INDEX_TYPES.contains(&descriptor.media_type.as_str()) {
                let Some(depth) = depth.checked_sub(1) else {
                    return Err(layout.bad("image index", "too many nested indices".into(), "at most 4 levels"));
                };
                let (_, inner) = layout.json(&descriptor, "image index")?;
                self.walk(layout, inner, name, depth)?;
                continue;
            }
            let platform = descriptor.platform.as_ref();
            // A manifest without a platform may fit: its configuration, which must name the platform, is checked later.
            let fits = platform.is_none_or(|on| on.os == "linux" && on.architecture == self.architecture);
            if fits && MANIFEST_TYPES.contains(&descriptor.media_type.as_str()) {
                self.candidates.push(Candidate { name: name.cloned(), manifest: descriptor });
            } else {
                self.others.push(match platform {
                    Some(on) => format!("{}/{}", on.os, on.architecture),
                    None => descriptor.media_type,
                });
            }
        }
        Ok(())
    }
}

/// The image's name from the annotations of a descriptor. `latest` in the layout's annotation is a tag, not a name.
fn name_of(descriptor: &Descriptor) -> Option<Reference> {
    let annotation = |key: &str| descriptor.annotations.get(key).filter(|text| text.as_str() != "latest")?.parse().ok();
    annotation(IMAGE_NAME).or_else(|| annotation(REF_NAME))
}
