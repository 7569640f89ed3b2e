//! Copyright files stay in the image even where the recipe drops documentation.
//!
//! An image is a copy of the packages in it, and whoever hands it on must pass on their copyright notices (Debian Policy,
//! section 12.5). So each package whose `/usr/share/doc/PACKAGE/copyright` was dropped gets `copyright.gz` in its place.

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

/// Finds the copyright file of every package; links to the folder or file of another package are followed. A package
/// without one is named in a warning. Call this before files are dropped.
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
            "no copyright file (/{example}) of: {names}; add it in an overlay if you hand the image to others"
        ));
    }
    notices
}

/// Puts back, compressed, the notices that are no longer in the tree.
///
/// # Errors
/// When a package's content cannot be read, or the path is taken by a folder.
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

/// A gzip file (RFC 1952) without name and time: the same text gives the same bytes.
fn gzip(text: &Data) -> std::io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    writer.write_all(&text.to_bytes()?)?;
    writer.finish()
}
