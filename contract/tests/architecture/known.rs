//! Circles that are being opened. This file goes when the last of them is.

/// A crate and the files of a circle in it.
pub(crate) const CIRCLES: &[(&str, &[&str])] = &[
    ("formats", &["delta/patch/make.rs", "delta/patch/segments.rs"]),
    ("formats", &["fat/directory.rs", "fat/geometry.rs", "fat/name.rs", "fat/table.rs", "fat/volume.rs"]),
    ("formats", &["gpt/copy.rs", "gpt/table.rs"]),
    ("fetch", &["part.rs", "store.rs"]),
    ("builder", &["assemble/accounts.rs", "assemble/sysusers.rs"]),
    ("builder", &["assemble/scripts/reviewed.rs", "assemble/scripts/table.rs"]),
    ("builder", &["lock/lockfile.rs", "lock/resolver.rs", "lock/universe.rs"]),
    ("builder", &["recipe/archives.rs", "recipe/check.rs", "recipe/update.rs"]),
    (
        "builder",
        &[
            "release/current.rs",
            "release/error.rs",
            "release/file.rs",
            "release/keys.rs",
            "release/lock.rs",
            "release/metadata.rs",
            "release/outlook.rs",
            "release/repository.rs",
            "release/root.rs",
        ],
    ),
    ("builder", &["source/debian/certificate.rs", "source/debian/error.rs", "source/debian/keyring.rs"]),
    ("hostctl", &["slots/content.rs", "slots/device.rs"]),
    ("hostctl", &["slots/error.rs", "slots/remote.rs"]),
    ("hostctl", &["trust/record.rs", "trust/repository.rs"]),
    ("qemu", &["machine.rs", "run.rs"]),
];

/// Whether these files of the crate are such a circle, or a part of it.
pub(crate) fn is_known(folder: &str, circle: &std::collections::BTreeSet<std::path::PathBuf>) -> bool {
    CIRCLES.iter().any(|(known, files)| {
        *known == folder && circle.iter().all(|file| files.iter().any(|name| file == std::path::Path::new(name)))
    })
}
