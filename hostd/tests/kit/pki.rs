//! Certificates for tests.

use berth_contract::remote_api::user_dns_name;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

/// An authority.
pub(crate) struct Pki(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// Years of a certificate.
const ALWAYS: (i32, i32) = (2000, 4000);

fn params(name: &str, names: &[String], (from, to): (i32, i32), serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new(names.to_vec()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

impl Pki {
    pub(crate) fn new(name: &str) -> Self {
        let mut ca = params(name, &[], ALWAYS, 1);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn server(&self, name: &str) -> Certificate {
        self.sign(params("host", &[name.to_owned()], ALWAYS, 2), ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self, user: &str, roles: &[&str]) -> Certificate {
        self.client_of(user, roles, ALWAYS, 0x0a_0b0c)
    }

    /// A client's certificate of these years with this serial number.
    pub(crate) fn client_of(&self, user: &str, roles: &[&str], years: (i32, i32), serial: u64) -> Certificate {
        let roles = roles.iter().map(|role| format!("{role}.berth.internal"));
        let names: Vec<String> = roles.chain([user_dns_name(user)]).collect();
        self.sign(params(user, &names, years, serial), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A certificate for a client's names, but for another purpose.
    pub(crate) fn no_client(&self) -> Certificate {
        let names = ["admin.berth.internal".to_owned()];
        self.sign(params("x", &names, ALWAYS, 9), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A revocation list with this serial number.
    pub(crate) fn crl(&self, serial: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2001, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2001, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Certificate {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        Certificate { chain: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }
}
