//! Where an image is cut: at the first blocks of its files.

use super::BLOCK;
use crate::erofs::read::{Image, ReadError};

/// The blocks at which the content of a file begins, in ascending order.
///
/// # Errors
/// The image is damaged.
pub fn of(image: &Image) -> Result<Vec<u64>, ReadError> {
    let mut cuts = Vec::new();
    for (_, node) in image.walk()? {
        cuts.extend(image.extents(&node)?.first().map(|extent| extent.start / BLOCK));
    }
    cuts.sort_unstable();
    cuts.dedup();
    Ok(cuts)
}
