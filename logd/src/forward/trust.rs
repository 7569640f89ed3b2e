//! Certificate authorities for TLS.

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use std::{fs, sync::Arc};

/// Path of the certificate bundle of Debian.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A client's settings that trust the authorities in `ca` (PEM), or else those of the image.
pub(super) fn client(ca: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let (place, pem) = match ca {
        Some(ca) => ("ca".to_owned(), ca.as_bytes().to_vec()),
        None => {
            let pem = fs::read(BUNDLE).map_err(|error| format!("cannot read {BUNDLE}: {error}; set `ca`"))?;
            (BUNDLE.to_owned(), pem)
        }
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("{place}: expected PEM, found {error}"))?;
        // In a bundle, one authority with an unusual certificate does not matter.
        if let Err(error) = roots.add(certificate)
            && ca.is_some()
        {
            return Err(format!("{place}: expected the certificate of an authority, found: {error}"));
        }
    }
    if roots.is_empty() {
        return Err(format!("{place}: expected certificates, found none"));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let versions = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(Arc::new(versions.with_root_certificates(roots).with_no_client_auth()))
}
