//! Certificate authorities. Does what update-ca-certificates(8) does with /usr/share/ca-certificates and
//! /usr/local/share/ca-certificates, and trusts all certificates there.
//!
//! It writes the bundle and one link for each certificate. It does not make links named after the hash of the subject
//! (`openssl rehash`): only programs that are configured to use the folder need them. OpenSSL, GnuTLS and Go use the bundle by
//! default.

use super::{declaration::content_error, error::AssembleError};
use crate::tree::{Node, Show, Tree, Verdict};
use std::sync::Arc;

const SOURCES: [&str; 2] = ["usr/share/ca-certificates", "usr/local/share/ca-certificates"];
const FOLDER: &str = "etc/ssl/certs";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Path of OpenSSL's default bundle. Debian's package openssl ships this link, but an image needs nothing else of that package.
const OPENSSL: &str = "usr/lib/ssl/cert.pem";

/// Writes the bundle and the links. Writes nothing if the tree has no certificates.
pub(super) fn apply(tree: &mut Tree, origin: &Arc<str>) -> Result<(), AssembleError> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for folder in SOURCES {
        // The tree sorts paths by their bytes, like `sort` in the C locale.
        let here = tree.below(folder.as_bytes()).filter(|(path, node)| path.ends_with(b".crt") && !node.is_dir());
        found.extend(here.map(|(path, _)| path.clone()));
    }
    let mut bundle = Vec::new();
    for path in &found {
        // Skip a link whose target does not exist.
        let Some(data) = tree.data(path) else { continue };
        bundle.extend_from_slice(&data.to_bytes().map_err(|source| content_error(tree, path, source))?);
        if bundle.last() != Some(&b'\n') {
            bundle.push(b'\n');
        }
        let target = Show(path).to_string();
        let link = [FOLDER.as_bytes(), b"/", &link_name(path)].concat();
        tree.insert(&link, Node::symlink(target, origin), |_, _| Verdict::TakeNew)?;
    }
    if found.is_empty() {
        return Ok(());
    }
    tree.insert(BUNDLE.as_bytes(), Node::file(0o644, bundle, origin), |_, _| Verdict::TakeNew)?;
    tree.insert(OPENSSL.as_bytes(), Node::symlink(format!("/{BUNDLE}"), origin), |_, _| Verdict::KeepOld)?;
    Ok(())
}

/// `NAME.pem`, with characters replaced as update-ca-certificates(8) does.
fn link_name(path: &[u8]) -> Vec<u8> {
    let file = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let stem = file.strip_suffix(b".crt").unwrap_or(file);
    let replaced = stem.iter().map(|byte| match byte {
        b' ' | b',' => b'_',
        b'(' | b')' => b'=',
        other => *other,
    });
    replaced.chain(*b".pem").collect()
}
