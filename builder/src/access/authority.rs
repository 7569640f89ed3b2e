//! The authority: its certificate, which hosts trust, and its private key.

use super::error::AccessError;
use crate::release::{Passphrase, Passphrases, encrypt};
use berth_file::{Flush, replace};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// File of the authority's certificate.
const CERTIFICATE: &str = "ca.pem";
/// File of its private key.
const KEY: &str = "ca.key";
/// Size limit of a key file, in bytes.
const MAX_SIZE: u64 = 64 << 10;
/// Certificates are valid from this long before now: clocks differ.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The present time.
    pub now: u64,
    /// The end.
    pub until: u64,
}

/// An authority whose key is open.
#[derive(Debug)]
pub struct Authority {
    pub(super) folder: PathBuf,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// Makes the folder of an authority, with its certificate and its key. Returns the paths.
///
/// # Errors
/// The folder exists already, or a file cannot be written.
pub fn new_authority(
    folder: &Path,
    validity: Validity,
    passphrase: Option<&Passphrase>,
) -> Result<Vec<PathBuf>, AccessError> {
    let key = KeyPair::generate()?;
    let mut params = params(&key)?;
    validity.set(&mut params);
    let certificate = params.self_signed(&key)?;
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(AccessError::Exists(folder.to_owned())),
        other => other.map_err(AccessError::io("make folder", folder)),
    }?;
    // The key first: without its certificate it is no authority.
    let key = store_key(&folder.join(KEY), &key, passphrase)?;
    let path = folder.join(CERTIFICATE);
    put(&path, certificate.pem().as_bytes(), 0o644)?;
    Ok(vec![path, key])
}

impl Authority {
    /// Opens the authority in `folder`.
    ///
    /// # Errors
    /// The folder has no authority, or no passphrase opens its key.
    pub fn open(folder: &Path, passphrases: &mut Passphrases) -> Result<Self, AccessError> {
        let path = folder.join(KEY);
        let bad = |found: String| AccessError::Key { path: path.clone(), found };
        let bytes = berth_file::read(&path, MAX_SIZE).map_err(|error| {
            let (doing, path, source) = error.into_parts();
            AccessError::Io { doing, path, source }
        })?;
        let block = pem::parse(bytes).map_err(|error| bad(error.to_string()))?;
        let der = match block.tag() {
            "PRIVATE KEY" => block.into_contents(),
            "ENCRYPTED PRIVATE KEY" => match passphrases.open(&path, block.contents(), true)? {
                Some((key, _)) => key.as_bytes().to_vec(),
                None => return Err(AccessError::Locked(path)),
            },
            tag => return Err(bad(format!("a block of {tag}"))),
        };
        let key = KeyPair::try_from(der).map_err(|error| bad(error.to_string()))?;
        let params = params(&key)?;
        Ok(Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) })
    }
}

/// The content of the authority's certificate. It depends only on the key, so nobody has to read the certificate to sign others.
fn params(key: &KeyPair) -> Result<CertificateParams, AccessError> {
    let mut params = CertificateParams::new(Vec::new())?;
    let digest = Sha256::digest(key.der_bytes());
    let id: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Berth hosts {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

impl Validity {
    pub(super) fn set(self, params: &mut CertificateParams) {
        let time = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        params.not_before = (time(self.now) - SLACK).into();
        params.not_after = time(self.until).into();
    }
}

/// Writes a private key, encrypted if there is a passphrase.
pub(super) fn store_key(path: &Path, key: &KeyPair, passphrase: Option<&Passphrase>) -> Result<PathBuf, AccessError> {
    let block = match passphrase {
        None => pem::Pem::new("PRIVATE KEY", key.serialized_der()),
        Some(passphrase) => {
            let encrypted = encrypt(key.serialized_der(), passphrase).ok_or(AccessError::Random)?;
            pem::Pem::new("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())
        }
    };
    // Unix line ends, as openssl writes them.
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    put(path, pem::encode_config(&block, config).as_bytes(), 0o600)?;
    Ok(path.to_owned())
}

pub(super) fn put(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AccessError> {
    replace(path, bytes, mode, Flush::ContentAndName).map_err(|error| {
        let (doing, path, source) = error.into_parts();
        AccessError::Io { doing, path, source }
    })
}
