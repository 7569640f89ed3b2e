//! Certificate authorities: what update-ca-certificates(8) makes of those in /usr/share/ca-certificates, all of which are
//! trusted, and in /usr/local/share/ca-certificates.
//!
//! Made are the bundle and one link per certificate. Links named by the hash of a certificate's subject (`openssl rehash`) are
//! not: they serve programs that are told to use the folder, while OpenSSL, GnuTLS and Go take the bundle by themselves.

use super::{declaration::content_error, error::AssembleError};
use crate::tree::{Node, Show, Tree, Verdict};
use std::sync::Arc;

const SOURCES: [&str; 2] = ["usr/share/ca-certificates", "usr/local/share/ca-certificates"];
const FOLDER: &str = "etc/ssl/certs";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where OpenSSL looks for its default file: a link of Debian's package openssl, which an image does not need otherwise.
const OPENSSL: &str = "usr/lib/ssl/cert.pem";

/// Writes bundle and links, where there are certificates.
pub(super) fn apply(tree: &mut Tree, origin: &Arc<str>) -> Result<(), AssembleError> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for folder in SOURCES {
        // Paths of the tree are in the order of their bytes, which is that of `sort` in the C locale.
        let here = tree.below(folder.as_bytes()).filter(|(path, node)| path.ends_with(b".crt") && !node.is_dir());
        found.extend(here.map(|(path, _)| path.clone()));
    }
    let mut bundle = Vec::new();
    for path in &found {
        // A link to nowhere is no certificate.
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

/// `NAME.pem` with the replacements of update-ca-certificates.
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
