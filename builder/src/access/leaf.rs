//! Certificates of clients and hosts.

use super::{
    authority::{Authority, Validity, put, store_key},
    error::AccessError,
};
use berth_contract::remote_api::{Role, is_user, user_dns_name};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SerialNumber,
};
use std::path::PathBuf;

/// The owner of a certificate.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A client with this role.
    Client(Role),
    /// A host with these names and addresses.
    Host(&'a [String]),
}

/// A certificate that was made.
#[derive(Debug)]
pub struct Made {
    /// Its file, and that of its key.
    pub paths: Vec<PathBuf>,
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
}

impl Authority {
    /// Makes a key and a certificate with the name `name`, and writes both into the folder of the authority. `replace` allows to replace
    /// those of the same name.
    ///
    /// # Errors
    /// The name cannot be in a certificate or is taken, or a file cannot be written.
    pub fn issue(
        &self,
        name: &str,
        subject: Subject<'_>,
        validity: Validity,
        replace: Replace,
    ) -> Result<Made, AccessError> {
        if !is_user(name) || name == "ca" {
            let wanted = "a name of a-z, 0-9 and -, of at most 63 characters, other than ca";
            return Err(AccessError::Name { name: name.to_owned(), wanted });
        }
        let (certificate, key_path) =
            (self.folder.join(format!("{name}.pem")), self.folder.join(format!("{name}.key")));
        for path in [&certificate, &key_path] {
            if replace == Replace::Refuse && path.symlink_metadata().is_ok() {
                return Err(AccessError::Exists(path.clone()));
            }
        }
        let key = KeyPair::generate()?;
        let mut params = params(name, subject)?;
        validity.set(&mut params);
        // Random, so that a certificate can be revoked alone. The first bits make it a positive number of full length.
        let mut serial = [0; 16];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_| AccessError::Random)?;
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from(serial.to_vec()));
        let signed = params.signed_by(&key, &self.issuer)?;
        store_key(&key_path, &key, None)?;
        put(&certificate, signed.pem().as_bytes(), 0o644)?;
        let serial = serial.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Made { paths: vec![certificate, key_path], serial })
    }
}

/// Whether files of the same name may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// No.
    Refuse,
    /// Yes: a certificate is renewed.
    Allow,
}

fn params(name: &str, subject: Subject<'_>) -> Result<CertificateParams, AccessError> {
    let (names, usage) = match subject {
        Subject::Client(role) => (vec![role.dns_name(), user_dns_name(name)], ExtendedKeyUsagePurpose::ClientAuth),
        Subject::Host(more) => {
            let names = [name.to_owned()].into_iter().chain(more.iter().cloned()).collect();
            (names, ExtendedKeyUsagePurpose::ServerAuth)
        }
    };
    for one in &names {
        let is_dns = one.split('.').all(is_user);
        if one.parse::<std::net::IpAddr>().is_err() && !is_dns {
            return Err(AccessError::Name { name: one.clone(), wanted: "a DNS name in lower case, or an IP address" });
        }
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
