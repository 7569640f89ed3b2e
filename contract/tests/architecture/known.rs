//! Circles that are being opened. This file goes when the last of them is.

/// A crate and the files of a circle in it.
pub(crate) const CIRCLES: &[(&str, &[&str])] = &[
    ("hostctl", &["slots/content.rs", "slots/device.rs"]),
    ("hostctl", &["slots/error.rs", "slots/remote.rs"]),
    ("hostctl", &["trust/record.rs", "trust/repository.rs"]),
];

/// Whether these files of the crate are such a circle, or a part of it.
pub(crate) fn is_known(folder: &str, circle: &std::collections::BTreeSet<std::path::PathBuf>) -> bool {
    CIRCLES.iter().any(|(known, files)| {
        *known == folder && circle.iter().all(|file| files.iter().any(|name| file == std::path::Path::new(name)))
    })
}
