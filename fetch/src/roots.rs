//! The certificate authorities that `https:` trusts.

use crate::error::FetchError;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Path of the certificate bundle on Debian and derived distributions.
const SYSTEM_BUNDLE: &str = berth_contract::paths::CA_BUNDLE;

/// The PEM bundle to trust: `ssl_cert_file` (the value of `SSL_CERT_FILE`, which OpenSSL uses too), else the system's bundle
/// if it exists. A network with a private certificate authority needs this: the built-in public authorities do not cover it.
#[must_use]
pub fn bundle(ssl_cert_file: Option<&OsStr>) -> Option<PathBuf> {
    match ssl_cert_file.filter(|path| !path.is_empty()) {
        Some(path) => Some(path.into()),
        None => Some(PathBuf::from(SYSTEM_BUNDLE)).filter(|path| path.exists()),
    }
}

/// Reads the bundle and adds the certificates in `extra` (PEM). Without both, uses the built-in public authorities.
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

/// The certificates in a PEM text, or `None` if it contains none.
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
    fn ssl_cert_file_takes_precedence_and_an_empty_bundle_is_an_error() {
        assert_eq!(bundle(Some(OsStr::new("/x.pem"))), Some("/x.pem".into()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.pem");
        fs::write(&path, "no certificate").unwrap();
        assert!(matches!(read(Some(&path), None), Err(FetchError::NoCertificate { .. })));
        assert!(matches!(read(None, Some("no certificate")), Err(FetchError::NoExtraCertificate)));
        assert!(matches!(read(Some(&dir.path().join("missing")), None), Err(FetchError::Io { .. })));
    }
}
