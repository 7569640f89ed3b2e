//! The TLS settings: version 1.3 only, a certificate of the host, and certificates of clients that are checked against the authorities, the
//! revocation lists and the revoked serial numbers. Each connection is set up with the settings that are in force then, and no session is
//! resumed: a renewed certificate and a revoked client take effect at once.

use crate::{identity::Identity, peer::Peer};
use berth_contract::remote_config::RemoteConfig;
use rustix::time::{ClockId, clock_gettime};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject},
    server::{
        NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    time_provider::TimeProvider,
    version::TLS13,
};
use std::{sync::Arc, time::Duration};

/// Settings of TLS that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// PEM that cannot be read.
    #[error("remote.{key}: {source}")]
    Pem {
        /// The key of the settings.
        key: &'static str,
        /// What is wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// A value that rustls refuses.
    #[error("remote: {0}")]
    Refused(#[from] Error),
    /// Authorities or revocation lists that cannot be used.
    #[error("remote.ca or remote.crl: {0}")]
    Verifier(#[from] VerifierBuilderError),
}

/// The settings of TLS for the next connection. `image_date` is in seconds since 1970: the clock of a machine may be years behind, and no
/// client would have a valid certificate then.
///
/// # Errors
/// A certificate, key or revocation list cannot be used.
pub fn config(remote: &RemoteConfig, identity: Identity, image_date: u64) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let clients = Arc::new(Clients { inner: verifier(remote, &provider)?, revoked: remote.revoked_serials() });
    let clock = Arc::new(Clock { never_before: image_date });
    let mut config = ServerConfig::builder_with_details(provider, clock)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain, identity.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn verifier(remote: &RemoteConfig, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(remote.ca.as_deref().unwrap_or_default().as_bytes()) {
        roots.add(certificate.map_err(|source| TlsError::Pem { key: "ca", source })?)?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if let Some(crl) = &remote.crl {
        let lists = CertificateRevocationListDer::pem_slice_iter(crl.as_bytes()).collect::<Result<Vec<_>, _>>();
        let lists = lists.map_err(|source| TlsError::Pem { key: "crl", source })?;
        // A list says nothing about the authorities, and not every authority must have one.
        builder = builder.with_crls(lists).only_check_end_entity_revocation().allow_unknown_revocation_status();
    }
    Ok(builder.build()?)
}

/// The clock of the host, but never before the date of the image.
#[derive(Debug)]
struct Clock {
    never_before: u64,
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now.max(self.never_before))))
    }
}

/// Checks certificates of clients, and refuses those with a revoked serial number.
#[derive(Debug)]
struct Clients {
    inner: Arc<dyn ClientCertVerifier>,
    revoked: Vec<Vec<u8>>,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        match self.revoked.contains(&Peer::of(end_entity).serial) {
            true => Err(Error::InvalidCertificate(CertificateError::Revoked)),
            false => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
