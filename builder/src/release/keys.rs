//! Reads folders of keys: the private keys, and the root metadata that assigns them to roles.

use super::{
    error::ReleaseError,
    file,
    key::{KeyFile, SigningKey, short},
    metadata::{Document, ROOT},
    passphrase::{Passphrase, Passphrases},
    root,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tough::schema::{RoleType, Root};

/// All private keys of some folders, and the root metadata that assigns them to roles.
#[derive(Debug)]
pub struct KeyRing {
    folders: Vec<PathBuf>,
    keys: Vec<SigningKey>,
    pub(super) anchor: Document<Root>,
    /// Earlier versions of the root metadata, oldest first, without a gap before `anchor`.
    pub(super) earlier: Vec<Document<Root>>,
    /// The path of `anchor`.
    pub(super) anchor_path: PathBuf,
    /// Key files that other users may read.
    pub(super) exposed: Vec<PathBuf>,
    /// Encrypted key files that no passphrase has opened.
    locked: Vec<PathBuf>,
    /// The passphrases of the encrypted keys, each with the role in the name of the file. New keys are encrypted with them too.
    passphrases: Vec<(Option<RoleType>, Passphrase)>,
}

impl KeyRing {
    /// Reads the files `*.pem` of all `folders`, and `root.json` of the first folder that has it. The user is asked only for passphrases of
    /// keys whose role is in `needed`. A file that no passphrase opens is no error: its key may not be needed.
    ///
    /// # Errors
    /// A file cannot be read or is not a key; no folder has a `root.json`, or it is not valid.
    pub fn load(folders: &[PathBuf], needed: &[RoleType], passphrases: &mut Passphrases) -> Result<Self, ReleaseError> {
        let anchor_path = folders.iter().map(|folder| folder.join(ROOT)).find(|path| path.exists());
        let anchor_path = anchor_path.ok_or_else(|| ReleaseError::NoRoot(folders.to_owned()))?;
        let anchor = root::trusted(file::read(&anchor_path, super::metadata::MAX_SIZE)?, &anchor_path)?;
        let earlier = root::earlier(anchor_path.parent().unwrap_or(&anchor_path), &anchor)?;
        let (mut keys, mut exposed, mut locked, mut opened) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for folder in folders {
            let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let mut paths: Vec<_> =
                listed.map_err(ReleaseError::io("list", folder))?.into_iter().map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "pem"));
            paths.sort();
            for path in paths {
                match KeyFile::load(&path)? {
                    KeyFile::Plain(key) => keys.push(*key),
                    KeyFile::Encrypted(der) => {
                        match passphrases.open(&path, &der, is_needed(role_of(&path), needed))? {
                            Some((key, opened_by)) => {
                                keys.push(SigningKey::parse(&path, key.as_bytes())?);
                                opened.push((role_of(&path), opened_by));
                            }
                            None => locked.push(path.clone()),
                        }
                    }
                }
                let mode = fs::metadata(&path).map_err(ReleaseError::io("read", &path))?.permissions().mode();
                if mode & 0o077 != 0 {
                    exposed.push(path);
                }
            }
        }
        let (folders, passphrases) = (folders.to_owned(), opened);
        Ok(Self { folders, keys, anchor, earlier, anchor_path, exposed, locked, passphrases })
    }

    /// The available private keys of `role` in `root`, which may be fewer than its threshold.
    pub(super) fn some(&self, root: &Root, role: RoleType) -> Vec<&SigningKey> {
        let ids = root.roles.get(&role).map_or(&[][..], |keys| &keys.keyids);
        // The same key may be in two folders.
        ids.iter().filter_map(|id| self.keys.iter().find(|key| key.id() == id)).collect()
    }

    /// The private keys of `role` in `root`.
    ///
    /// # Errors
    /// There are fewer private keys than the role's threshold.
    pub(super) fn enough(&self, root: &Root, role: RoleType) -> Result<Vec<&SigningKey>, ReleaseError> {
        let found = self.some(root, role);
        let Some(wanted) = root.roles.get(&role) else { return Ok(found) };
        if (found.len() as u64) < wanted.threshold.get() && !self.locked.is_empty() {
            let (role, files) = (role.to_string(), self.locked.clone());
            return Err(ReleaseError::Locked { role, threshold: wanted.threshold.get(), found: found.len(), files });
        }
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

    /// The passphrase for new keys of `role`: that of its present keys, else the first one. `None` if no encrypted key was opened.
    pub(super) fn passphrase(&self, role: RoleType) -> Option<&Passphrase> {
        let same = self.passphrases.iter().find(|(of, _)| *of == Some(role));
        same.or_else(|| self.passphrases.first()).map(|(_, passphrase)| passphrase)
    }

    /// Encrypted key files that no passphrase has opened.
    pub(super) fn locked(&self) -> &[PathBuf] {
        &self.locked
    }
}

/// The role of the key in a file. File names begin with the role; with any other name the role is not known.
fn role_of(path: &Path) -> Option<RoleType> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('-').next().and_then(|role| role.parse().ok())
}

/// Whether a key with this role may have one of the needed roles.
fn is_needed(role: Option<RoleType>, needed: &[RoleType]) -> bool {
    role.map_or(!needed.is_empty(), |role| needed.contains(&role))
}
