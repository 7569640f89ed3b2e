//! Private ed25519 keys. Each key is in a separate file, as PEM of PKCS#8 (RFC 8410), which openssl can read and write.

use super::{
    error::ReleaseError,
    file,
    passphrase::{self, Passphrase},
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};
use tough::schema::{
    RoleType,
    decoded::{Decoded, Hex},
    key::{Ed25519Key, Ed25519Scheme, Key},
};

const TAG: &str = "PRIVATE KEY";
const ENCRYPTED_TAG: &str = "ENCRYPTED PRIVATE KEY";
const WANTED: &str = "a private ed25519 key, PEM of PKCS#8";
/// Size limit for a key file in bytes.
const MAX_SIZE: u64 = 1 << 16;

/// The content of a key file.
#[derive(Debug)]
pub(super) enum KeyFile {
    /// A key that is not encrypted.
    Plain(Box<SigningKey>),
    /// DER of PKCS#8's `EncryptedPrivateKeyInfo`.
    Encrypted(Vec<u8>),
}

impl KeyFile {
    pub(super) fn load(path: &Path) -> Result<Self, ReleaseError> {
        let text = file::read(path, MAX_SIZE)?;
        let pem = pem::parse(text).map_err(|error| wrong(path, WANTED, error.to_string()))?;
        match pem.tag() {
            TAG => SigningKey::parse(path, pem.contents()).map(|key| Self::Plain(Box::new(key))),
            ENCRYPTED_TAG => Ok(Self::Encrypted(pem.into_contents())),
            other => Err(wrong(path, WANTED, format!("{other:?}"))),
        }
    }
}

/// A private key.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    public: Key,
    id: Decoded<Hex>,
}

impl SigningKey {
    fn new(pair: Ed25519KeyPair) -> Option<Self> {
        let keyval = Ed25519Key { public: pair.public_key().as_ref().to_vec().into(), _extra: HashMap::new() };
        let public = Key::Ed25519 { keyval, scheme: Ed25519Scheme::Ed25519, _extra: HashMap::new() };
        let id = public.key_id().ok()?;
        Some(Self { pair, public, id })
    }

    /// Makes a new key. This is the only use of random numbers in the builder.
    pub(super) fn generate() -> Option<Self> {
        Self::new(Ed25519KeyPair::generate().ok()?)
    }

    pub(super) fn id(&self) -> &Decoded<Hex> {
        &self.id
    }

    pub(super) fn public(&self) -> &Key {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// Writes the key into `folder` with mode 0600, encrypted if there is a passphrase, and returns the path. Does not overwrite an existing
    /// file.
    pub(super) fn store(
        &self,
        folder: &Path,
        role: RoleType,
        passphrase: Option<&Passphrase>,
    ) -> Result<PathBuf, ReleaseError> {
        let path = folder.join(format!("{role}-{}.pem", short(&self.id)));
        if path.symlink_metadata().is_ok() {
            return Err(ReleaseError::Exists(path));
        }
        let der = self.pair.to_pkcs8v1().map_err(|_| wrong(&path, "a key that PKCS#8 can hold", "none".into()))?;
        let block = match passphrase {
            None => pem::Pem::new(TAG, der.as_ref()),
            Some(passphrase) => {
                let encrypted = passphrase::encrypt(der.as_ref(), passphrase);
                let encrypted = encrypted.ok_or_else(|| wrong(&path, "a key that can be encrypted", "none".into()))?;
                pem::Pem::new(ENCRYPTED_TAG, encrypted.as_bytes())
            }
        };
        // Unix line ends, as openssl writes them.
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        file::put(&path, pem::encode_config(&block, config).as_bytes(), 0o600)?;
        Ok(path)
    }

    /// Parses DER of PKCS#8 that was read from `path`.
    pub(super) fn parse(path: &Path, der: &[u8]) -> Result<Self, ReleaseError> {
        let pair =
            Ed25519KeyPair::from_pkcs8(der).map_err(|error| wrong(path, WANTED, format!("another key: {error}")))?;
        Self::new(pair).ok_or_else(|| wrong(path, WANTED, "a key without an id".to_owned()))
    }
}

fn wrong(path: &Path, wanted: &'static str, found: String) -> ReleaseError {
    ReleaseError::Key { path: path.to_owned(), wanted, found }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", short(&self.id))
    }
}

/// The first eight digits of a key's id, for names and messages.
pub(super) fn short(id: &Decoded<Hex>) -> String {
    id.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
