//! Copyright files stay in the image even where the recipe drops documentation.
//!
//! An image contains copies of packages, so a person who distributes the image must include their copyright notices (Debian
//! Policy, section 12.5). If `/usr/share/doc/PACKAGE/copyright` was dropped, `copyright.gz` takes its place.

use super::{error::AssembleError, packages, unpack::PackageInput};
use crate::tree::{Node, Tree, Verdict};
use berth_formats::data::Data;
use flate2::{Compression, GzBuilder};
use std::{io::Write, path::PathBuf};

/// The copyright file of one package.
#[derive(Debug)]
pub(super) struct Notice {
    package: String,
    text: Data,
}

/// Path of a package's copyright file.
fn path(package: &str) -> String {
    format!("usr/share/doc/{package}/copyright")
}

/// Finds the copyright file of every package. Follows links to the folder or file of another package. Adds a warning that names
/// the packages without a copyright file. Call this before files are dropped.
pub(super) fn find<'a>(
    tree: &Tree,
    packages: impl Iterator<Item = &'a PackageInput>,
    warnings: &mut Vec<String>,
) -> Vec<Notice> {
    let (mut notices, mut missing) = (Vec::new(), Vec::new());
    for PackageInput { name, .. } in packages {
        match tree.data(path(name).as_bytes()) {
            Some(text) => notices.push(Notice { package: name.clone(), text: text.clone() }),
            None => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        let (names, example) = (missing.join(", "), path("PACKAGE"));
        warnings.push(format!(
            "no copyright file (/{example}) found for: {names}; add one in an overlay if you distribute the image"
        ));
    }
    notices
}

/// Adds each notice that is no longer in the tree again, compressed.
///
/// # Errors
/// If the content of a package cannot be read, or a folder is at the path.
pub(super) fn keep(tree: &mut Tree, notices: &[Notice]) -> Result<(), AssembleError> {
    for Notice { package, text } in notices {
        let plain = path(package);
        if tree.data(plain.as_bytes()).is_some() {
            continue;
        }
        let origin = format!("{}{package}", packages::ORIGIN).into();
        let packed = gzip(text).map_err(|source| AssembleError::Cache {
            action: "read",
            path: match text {
                Data::File { path, .. } => path.to_path_buf(),
                Data::Bytes(_) => PathBuf::from(&plain),
            },
            source,
        })?;
        tree.insert(format!("{plain}.gz").as_bytes(), Node::file(0o644, packed, &origin), |_, _| Verdict::KeepOld)?;
    }
    Ok(())
}

/// A gzip file (RFC 1952) without name and time, so that the same text gives the same bytes.
fn gzip(text: &Data) -> std::io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    writer.write_all(&text.to_bytes()?)?;
    writer.finish()
}
