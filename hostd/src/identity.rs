//! The host's own certificate: that of the settings, or one that the host has made for itself.

use berth_contract::remote_config::RemoteConfig;
use berth_file::{FileError, Flush, read, replace};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};
use std::path::Path;

/// File of a certificate that the host has made for itself, with its private key.
const FILE: &str = "identity.pem";
/// Size limit of that file, in bytes.
const MAX_SIZE: u64 = 64 << 10;
/// The name in a certificate that a host has made for itself. Clients know the host by the fingerprint, not by a name.
const NAME: &str = "host.berth.internal";

/// The host's certificate and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, and those between it and its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// Why the host has no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The PEM cannot be read.
    #[error("{place}: expected a certificate and its private key as PEM, found: {source}")]
    Pem {
        /// Where it is from.
        place: String,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate.
    #[error("{place}: expected a certificate, found none")]
    Empty {
        /// Where it is from.
        place: String,
    },
    /// The file of the host's own certificate cannot be read or written.
    #[error("{0}")]
    File(#[from] FileError),
    /// No certificate can be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl Identity {
    /// The certificate of the settings. Without one there, the certificate in `state`, which is made if it is not there yet.
    ///
    /// # Errors
    /// The certificate cannot be read, or cannot be made.
    pub fn of(remote: &RemoteConfig, state: &Path) -> Result<Self, IdentityError> {
        if let (Some(cert), Some(key)) = (&remote.cert, &remote.key) {
            return Self::parse("remote.cert and remote.key", cert.as_bytes(), key.as_bytes());
        }
        let path = state.join(FILE);
        let pem = match read(&path, MAX_SIZE) {
            Err(error) if error.is_missing() => make(&path)?,
            other => other?,
        };
        Self::parse(&path.display().to_string(), &pem, &pem)
    }

    fn parse(place: &str, cert: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let bad = |source| IdentityError::Pem { place: place.to_owned(), source };
        let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>().map_err(bad)?;
        if chain.is_empty() {
            return Err(IdentityError::Empty { place: place.to_owned() });
        }
        Ok(Self { chain, key: PrivateKeyDer::from_pem_slice(key).map_err(bad)? })
    }

    /// SHA-256 of the certificate, as hexadecimal digits in pairs: what `openssl x509 -fingerprint -sha256` prints.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = self.chain.first().map(Sha256::digest).unwrap_or_default();
        digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
}

/// Makes a certificate, and stores it with its key. Both are in one file, so a power cut leaves both or none.
fn make(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
    let pem = format!("{}{}", cert.pem(), signing_key.serialize_pem()).into_bytes();
    replace(path, &pem, 0o600, Flush::ContentAndName)?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_host_makes_one_certificate_and_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let remote: RemoteConfig = serde_json::from_str("{}").unwrap();
        let first = Identity::of(&remote, dir.path()).unwrap();
        assert_eq!(Identity::of(&remote, dir.path()).unwrap().fingerprint(), first.fingerprint());
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
        assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        let pem = fs::read_to_string(dir.path().join(FILE)).unwrap();
        let given = RemoteConfig { cert: Some(pem.clone()), key: Some(pem), ..remote.clone() };
        assert_eq!(Identity::of(&given, Path::new("/nonexistent")).unwrap().fingerprint(), first.fingerprint());
        fs::write(dir.path().join(FILE), "no certificate").unwrap();
        assert!(matches!(Identity::of(&remote, dir.path()), Err(IdentityError::Empty { .. })));
        assert!(matches!(Identity::of(&remote, Path::new("/nonexistent")), Err(IdentityError::File(_))));
    }
}
