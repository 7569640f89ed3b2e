//! Faults of TLS in plain words. In TLS 1.3 a client learns of a refusal of its certificate only when it reads for the first time, by an alert
//! (RFC 8446, section 6).

use rustls::{AlertDescription, CertificateError, Error};
use std::{fmt, io};

/// A fault of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The host wants a certificate.
    NoCertificate,
    /// The host does not know the authority of the client's certificate.
    UnknownAuthority,
    /// The client's certificate is not valid at the time of the host's clock.
    Expired,
    /// The host refuses this certificate.
    Revoked,
    /// The certificate is not one for clients, or the host cannot read it.
    NotForClients,
    /// The host's certificate is not from the expected authority.
    HostUnknown,
    /// The host's certificate has another name.
    HostName,
    /// The host's certificate is not valid at the time of this computer's clock.
    HostExpired,
    /// The host's certificate has another fingerprint than the expected one.
    HostFingerprint,
    /// Another fault.
    Other(String),
}

impl TlsFault {
    /// The fault that an I/O error contains. `None` if TLS has not failed.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Error>().map(Self::from)
    }

    /// The next step for the user.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoCertificate => Some("name a certificate with `hostctl host add`"),
            Self::UnknownAuthority => Some(
                "`[remote] ca` of the host must have the authority that signed the certificate: see docs/remote.md",
            ),
            Self::Expired => Some("make a new one with `berth keys client`, or look at the host's clock"),
            Self::Revoked => Some("make a new one with `berth keys client`"),
            Self::NotForClients => Some("use a certificate that `berth keys client` has made"),
            Self::HostUnknown | Self::HostName => Some(
                "is this the right address? `hostctl host add` takes the authority (--ca) or the fingerprint of the host",
            ),
            Self::HostExpired => Some("renew `[remote] cert` of the host, or look at this computer's clock"),
            Self::HostFingerprint => Some(
                "another machine answers, or the host has a new certificate. Compare it with the host's console; then `hostctl host add --fingerprint` again",
            ),
            Self::Other(_) => None,
        }
    }
}

impl From<&Error> for TlsFault {
    fn from(error: &Error) -> Self {
        match error {
            Error::AlertReceived(alert) => match alert {
                AlertDescription::CertificateRequired => Self::NoCertificate,
                // An authority of the same name has another key.
                AlertDescription::UnknownCA | AlertDescription::DecryptError => Self::UnknownAuthority,
                AlertDescription::CertificateExpired => Self::Expired,
                AlertDescription::CertificateRevoked => Self::Revoked,
                AlertDescription::UnsupportedCertificate
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown => Self::NotForClients,
                other => Self::Other(format!("the host has ended the connection: {other:?}")),
            },
            Error::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer => Self::HostUnknown,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::HostName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::HostExpired,
                CertificateError::ApplicationVerificationFailure => Self::HostFingerprint,
                other => Self::Other(format!("the host's certificate cannot be used: {other}")),
            },
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "the host wants a certificate",
            Self::UnknownAuthority => "the host does not know the authority that signed the certificate",
            Self::Expired => "the certificate has expired, or is not valid yet, by the host's clock",
            Self::Revoked => "the host refuses this certificate: it has been revoked",
            Self::NotForClients => "the host cannot use this certificate: it is not one for clients",
            Self::HostUnknown => "the host's certificate is not from the expected authority",
            Self::HostName => "the host's certificate is for another name or address",
            Self::HostExpired => "the host's certificate has expired, or is not valid yet, by this computer's clock",
            Self::HostFingerprint => "the host's certificate has another fingerprint than the expected one",
            Self::Other(text) => text,
        })
    }
}
