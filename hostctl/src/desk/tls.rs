//! The client's side of TLS: the desk's certificate, and how it knows the host.

use super::{DeskError, KnownHost};
use berth_file::read;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    version::TLS13,
};
use sha2::{Digest, Sha256};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Size limit of a file with certificates or a key, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// The settings of TLS for a host.
pub(super) fn config(host: &KnownHost) -> Result<Arc<ClientConfig>, DeskError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(|error| credential(&host.cert, "settings of TLS", &error))?;
    let builder = match (&host.ca, &host.fingerprint) {
        (Some(path), _) => builder.with_root_certificates(authorities(path)?),
        (None, fingerprint) => {
            let pinned = Pinned { expected: fingerprint.clone(), found: Arc::default(), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned))
        }
    };
    let (chain, key) = (certificates(&host.cert)?, key(&host.key)?);
    let mut config = builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| credential(&host.cert, "a certificate and its private key", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Settings that refuse every host. The place will have the fingerprint of the host's certificate.
pub(super) fn probe() -> (Arc<ClientConfig>, Arc<Mutex<Option<String>>>) {
    let provider = Arc::new(ring::default_provider());
    let found = Arc::default();
    let pinned = Pinned { expected: None, found: Arc::clone(&found), provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
    let Ok(builder) = builder else { unreachable!("ring has cipher suites of TLS 1.3") };
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned)).with_no_client_auth();
    (Arc::new(config), found)
}

fn credential(path: &Path, expected: &'static str, found: &dyn std::fmt::Display) -> DeskError {
    DeskError::Credential { path: path.to_owned(), expected, found: found.to_string() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DeskError> {
    let pem = read(path, MAX_SIZE)?;
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| credential(path, "certificates as PEM", &error))?;
    if all.is_empty() { Err(credential(path, "certificates as PEM", &"none")) } else { Ok(all) }
}

fn authorities(path: &Path) -> Result<RootCertStore, DeskError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| credential(path, "the certificate of an authority", &error))?;
    }
    Ok(roots)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, DeskError> {
    let pem = read(path, MAX_SIZE)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| credential(path, "a private key as PEM", &error))
}

/// SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it.
pub(super) fn fingerprint_of(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// Whether two fingerprints are the same. Colons and the case of letters do not count.
fn is_same(one: &str, other: &str) -> bool {
    let digits = |text: &str| text.chars().filter(|&c| c != ':').map(|c| c.to_ascii_uppercase()).collect::<String>();
    digits(one) == digits(other)
}

/// Accepts the one certificate with the expected fingerprint. Its names and dates do not count: the host has made it for itself.
#[derive(Debug)]
struct Pinned {
    expected: Option<String>,
    found: Arc<Mutex<Option<String>>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = fingerprint_of(end_entity);
        let good = self.expected.as_ref().is_some_and(|expected| is_same(expected, &found));
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        match good {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
