//! The client at the other end of a connection, as its certificate describes it.

use berth_contract::remote_api::{Role, user_of_dns_name};
use rustls::pki_types::CertificateDer;
use std::fmt;
use webpki::EndEntityCert;

/// A client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// What it may do: the highest role among the DNS names of its certificate. `None` if no name gives one.
    pub role: Option<Role>,
    /// The user that the certificate names.
    pub user: Option<String>,
    /// Serial number of the certificate, without leading zeros.
    pub serial: Vec<u8>,
}

impl Peer {
    /// Reads a certificate. A certificate that cannot be read gives no role.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Self::default() };
        let serial = certificate.serial();
        let first = serial.iter().position(|&byte| byte != 0).unwrap_or(serial.len());
        Self {
            role: certificate.valid_dns_names().filter_map(Role::of_dns_name).max(),
            user: certificate.valid_dns_names().find_map(user_of_dns_name).map(str::to_owned),
            serial: serial[first..].to_vec(),
        }
    }

    /// Whether the client may do what this role may.
    #[must_use]
    pub fn may(&self, needed: Role) -> bool {
        self.role.is_some_and(|role| role >= needed)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial: String = self.serial.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{} (certificate {serial})", self.user.as_deref().unwrap_or("a client without a name"))
    }
}
