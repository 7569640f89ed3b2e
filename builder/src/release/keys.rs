//! Private keys: ed25519, each in a file of its own, PEM of PKCS#8 (RFC 8410) as openssl reads and writes it.

use super::{error::ReleaseError, file, metadata::Document, root};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tough::schema::{
    RoleType, Root,
    decoded::{Decoded, Hex},
    key::{Ed25519Key, Ed25519Scheme, Key},
};

/// The trusted root metadata in a folder of keys.
pub(super) const ROOT: &str = "root.json";

const TAG: &str = "PRIVATE KEY";
/// Far more than such a file has.
const MAX_SIZE: u64 = 1 << 16;

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

    /// A new one. The one thing in the builder that chance decides.
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

    /// Writes it into `folder`, for the user alone; returns its path. Never into a file that is there.
    pub(super) fn store(&self, folder: &Path, role: RoleType) -> Result<PathBuf, ReleaseError> {
        let path = folder.join(format!("{role}-{}.pem", short(&self.id)));
        if path.symlink_metadata().is_ok() {
            return Err(ReleaseError::Exists(path));
        }
        let der = self.pair.to_pkcs8v1().map_err(|_| wrong(&path, "a key that PKCS#8 can hold", "none".into()))?;
        // Unix line ends, as openssl writes them.
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let text = pem::encode_config(&pem::Pem::new(TAG, der.as_ref()), config);
        file::put(&path, text.as_bytes(), 0o600)?;
        Ok(path)
    }

    fn load(path: &Path) -> Result<Self, ReleaseError> {
        const WANTED: &str = "a private ed25519 key, PEM of PKCS#8";
        let text = file::read(path, MAX_SIZE)?;
        let pem = pem::parse(text).map_err(|error| wrong(path, WANTED, error.to_string()))?;
        if pem.tag() != TAG {
            return Err(wrong(path, WANTED, format!("{:?}", pem.tag())));
        }
        let pair = Ed25519KeyPair::from_pkcs8(pem.contents())
            .map_err(|error| wrong(path, WANTED, format!("another key: {error}")))?;
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

/// The beginning of a key's id: enough to tell keys apart.
pub(super) fn short(id: &Decoded<Hex>) -> String {
    id.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// All private keys of some folders, and the root metadata that says what they are for.
#[derive(Debug)]
pub struct KeyRing {
    folders: Vec<PathBuf>,
    keys: Vec<SigningKey>,
    pub(super) anchor: Document<Root>,
    /// Those before, the oldest first, as far back as they are there.
    pub(super) earlier: Vec<Document<Root>>,
    /// Where it lies.
    pub(super) anchor_path: PathBuf,
    /// Files that others than their owner may read.
    pub(super) exposed: Vec<PathBuf>,
}

impl KeyRing {
    /// Reads the `*.pem` of all `folders`, and `root.json` of the first that has one.
    ///
    /// # Errors
    /// Files that cannot be read or are no keys, no `root.json`, one that does not agree with itself.
    pub fn load(folders: &[PathBuf]) -> Result<Self, ReleaseError> {
        let anchor_path = folders.iter().map(|folder| folder.join(ROOT)).find(|path| path.exists());
        let anchor_path = anchor_path.ok_or_else(|| ReleaseError::NoRoot(folders.to_owned()))?;
        let anchor = root::trusted(file::read(&anchor_path, super::metadata::MAX_SIZE)?, &anchor_path)?;
        let earlier = root::earlier(anchor_path.parent().unwrap_or(&anchor_path), &anchor)?;
        let (mut keys, mut exposed) = (Vec::new(), Vec::new());
        for folder in folders {
            let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let mut paths: Vec<_> =
                listed.map_err(ReleaseError::io("list", folder))?.into_iter().map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "pem"));
            paths.sort();
            for path in paths {
                keys.push(SigningKey::load(&path)?);
                let mode = fs::metadata(&path).map_err(ReleaseError::io("read", &path))?.permissions().mode();
                if mode & 0o077 != 0 {
                    exposed.push(path);
                }
            }
        }
        Ok(Self { folders: folders.to_owned(), keys, anchor, earlier, anchor_path, exposed })
    }

    /// The keys of `role` by `root`, whether they are enough or not.
    pub(super) fn some(&self, root: &Root, role: RoleType) -> Vec<&SigningKey> {
        let ids = root.roles.get(&role).map_or(&[][..], |keys| &keys.keyids);
        // One key may lie in two folders.
        ids.iter().filter_map(|id| self.keys.iter().find(|key| key.id == *id)).collect()
    }

    /// The keys of `role` by `root`.
    pub(super) fn enough(&self, root: &Root, role: RoleType) -> Result<Vec<&SigningKey>, ReleaseError> {
        let found = self.some(root, role);
        let Some(wanted) = root.roles.get(&role) else { return Ok(found) };
        if (found.len() as u64) < wanted.threshold.get() {
            return Err(ReleaseError::MissingKeys {
                role: role.to_string(),
                threshold: wanted.threshold.get(),
                ids: wanted.keyids.iter().map(short).collect(),
                found: found.len(),
                searched: self.folders.clone(),
            });
        }
        Ok(found)
    }

    pub(super) fn add(&mut self, keys: Vec<SigningKey>) {
        self.keys.extend(keys);
    }

    pub(super) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }
}
