//! Finds import circles: groups of files in which every file uses every other file, directly or through others.

use crate::modules::Uses;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// All import circles.
pub(crate) fn circles(uses: &Uses) -> Vec<BTreeSet<PathBuf>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> =
        uses.keys().map(|file| (file.as_path(), reach(uses, file))).collect();
    let mut circles: Vec<BTreeSet<PathBuf>> = Vec::new();
    for (file, from_here) in &reached {
        if circles.iter().any(|circle| circle.contains(*file)) {
            continue;
        }
        let back = from_here.iter().filter(|other| reached[**other].contains(file));
        let circle: BTreeSet<PathBuf> = back.map(|other| other.to_path_buf()).collect();
        if !circle.is_empty() {
            circles.push(circle);
        }
    }
    circles
}

/// All files that `file` uses, directly or through others.
fn reach<'a>(uses: &'a Uses, file: &Path) -> BTreeSet<&'a Path> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![file]);
    while let Some(next) = open.pop() {
        for used in uses.get(next).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(used.as_path()) {
                open.push(used);
            }
        }
    }
    reached
}

/// The uses within a circle, one per line.
pub(crate) fn describe(uses: &Uses, circle: &BTreeSet<PathBuf>) -> String {
    let mut text = String::new();
    for file in circle {
        for (used, name) in uses[file].iter().filter(|(used, _)| circle.contains(*used)) {
            text.push_str(&format!("  {} uses {} ({name})\n", file.display(), used.display()));
        }
    }
    text
}
