//! Certificate authorities for `https:`.

use crate::error::FetchError;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Where Debian and its kin keep the bundle.
const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The PEM bundle to trust: `ssl_cert_file` (the value of `SSL_CERT_FILE`, the same name OpenSSL reads), else this
/// machine's bundle if it has one. A machine behind its own authority needs this: the web's well-known ones do not do.
#[must_use]
pub fn bundle(ssl_cert_file: Option<&OsStr>) -> Option<PathBuf> {
    match ssl_cert_file.filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None => Some(PathBuf::from(SYSTEM_BUNDLE)).filter(|path| path.exists()),
    }
}

/// Reads a bundle, and adds the authorities of `extra`.
pub(crate) fn read(path: Option<&Path>, extra: Option<&str>) -> Result<RootCerts, FetchError> {
    let mut all = Vec::new();
    if let Some(path) = path {
        let pem = fs::read(path).map_err(|source| FetchError::Io { action: "read", path: path.to_owned(), source })?;
        all = certificates(&pem).ok_or_else(|| FetchError::NoCertificate { path: path.to_owned() })?;
    }
    if let Some(extra) = extra {
        all.extend(certificates(extra.as_bytes()).ok_or(FetchError::NoExtraCertificate)?);
    }
    Ok(if all.is_empty() { RootCerts::WebPki } else { RootCerts::new_with_certs(&all) })
}

/// The certificates in a PEM text, when there are any.
fn certificates(pem: &[u8]) -> Option<Vec<Certificate<'static>>> {
    let certificates: Vec<_> = parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then_some(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_an_empty_bundle_is_an_error() {
        assert_eq!(bundle(Some(OsStr::new("/x.pem"))), Some("/x.pem".into()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.pem");
        fs::write(&path, "no certificate").unwrap();
        assert!(matches!(read(Some(&path), None), Err(FetchError::NoCertificate { .. })));
        assert!(matches!(read(None, Some("no certificate")), Err(FetchError::NoExtraCertificate)));
        assert!(matches!(read(Some(&dir.path().join("missing")), None), Err(FetchError::Io { .. })));
    }
}
