//! Signed roles of The Update Framework as files: <https://theupdateframework.github.io/specification/latest/>.
//!
//! The crate `tough` defines the types, creates the canonical form that is signed, and verifies signatures.

use super::{error::ReleaseError, key::SigningKey};
use serde::de::DeserializeOwned;
use std::{num::NonZeroU64, path::Path};
use tough::schema::{Hashes, Metafile, Role, Root, Signature, Signed};

/// Size limit for metadata files in bytes.
pub(super) const MAX_SIZE: u64 = 16 << 20;

/// Name of the trusted root metadata in a folder of keys.
pub(super) const ROOT: &str = "root.json";

/// The version of the TUF specification.
pub(super) const SPEC_VERSION: &str = "1.0.31";

/// A role with its signatures, and the bytes of its file.
#[derive(Clone, Debug)]
pub(super) struct Document<T> {
    pub(super) role: Signed<T>,
    pub(super) bytes: Vec<u8>,
}

impl<T: Role> Document<T> {
    /// Signs `role` with all `keys`.
    pub(super) fn sign<'a>(role: T, keys: impl IntoIterator<Item = &'a SigningKey>) -> Result<Self, ReleaseError> {
        let fault = |error: &dyn std::fmt::Display| ReleaseError::Metadata {
            path: role.filename(true).into(),
            fault: format!("cannot be written: {error}"),
        };
        let message = role.canonical_form().map_err(|error| fault(&error))?;
        let mut signatures: Vec<Signature> = Vec::new();
        for key in keys {
            if signatures.iter().all(|one| one.keyid != *key.id()) {
                signatures.push(Signature { keyid: key.id().clone(), sig: key.sign(&message).into() });
            }
        }
        // A `Value` sorts its keys, so the same role always has the same bytes.
        let mut value = serde_json::to_value(&role).map_err(|error| fault(&error))?;
        value = serde_json::json!({ "signed": value, "signatures": signatures });
        Ok(Self { bytes: format!("{value:#}\n").into_bytes(), role: Signed { signed: role, signatures } })
    }

    /// Checks that the document has at most `most` bytes. `hint` tells the user how to make it smaller.
    pub(super) fn within(self, most: u64, hint: &'static str) -> Result<Self, ReleaseError> {
        let (what, found) = (self.role.signed.filename(true), self.bytes.len() as u64);
        if found > most { Err(ReleaseError::Large { what, most, found, hint }) } else { Ok(self) }
    }

    /// The entry for this document in another document.
    pub(super) fn metafile(&self) -> Metafile {
        Metafile {
            length: Some(self.bytes.len() as u64),
            hashes: Some(Hashes { sha256: digest(&self.bytes).to_vec().into(), _extra: Default::default() }),
            version: self.role.signed.version(),
            _extra: Default::default(),
        }
    }

    /// Verifies the signatures with the keys of `root`.
    pub(super) fn verify(&self, root: &Root, path: &Path) -> Result<(), ReleaseError> {
        let fault = |error: tough::schema::Error| fault(path, format!("expected valid signatures: {error}"));
        root.verify_role(&self.role).map_err(fault)
    }

    /// Compares version and digest with an entry of another document.
    pub(super) fn matches(&self, said: &Metafile, path: &Path) -> Result<(), ReleaseError> {
        let version = self.role.signed.version();
        if version != said.version {
            return Err(fault(path, format!("expected version {}, found {version}", said.version)));
        }
        let found = digest(&self.bytes);
        match &said.hashes {
            Some(hashes) if hashes.sha256[..] != found => {
                Err(fault(path, "its digest differs from the signed digest".into()))
            }
            _ => Ok(()),
        }
    }
}

impl<T: Role + DeserializeOwned> Document<T> {
    /// Parses the content of the file at `path`. Signatures are not verified.
    pub(super) fn parse(bytes: Vec<u8>, path: &Path) -> Result<Self, ReleaseError> {
        let shape = |error: serde_json::Error| fault(path, format!("expected metadata of TUF: {error}"));
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(shape)?;
        // serde does not check `_type`.
        let (wanted, found) = (T::TYPE.to_string(), &value["signed"]["_type"]);
        if *found != *wanted {
            return Err(fault(path, format!("expected the role {wanted:?}, found {found}")));
        }
        Ok(Self { role: serde_json::from_slice(&bytes).map_err(shape)?, bytes })
    }

    /// Reads and parses a file of at most [`MAX_SIZE`]. Signatures are not verified.
    pub(super) fn load(path: &Path) -> Result<Self, ReleaseError> {
        Self::parse(super::file::read(path, MAX_SIZE)?, path)
    }
}

/// The file name of a version of a role: `N.NAME`.
pub(super) fn name(role: &str, version: NonZeroU64) -> String {
    format!("{version}.{role}")
}

/// The version after `version`.
pub(super) fn next(version: Option<NonZeroU64>) -> NonZeroU64 {
    version.map_or(NonZeroU64::MIN, |version| version.saturating_add(1))
}

pub(super) fn fault(path: &Path, fault: String) -> ReleaseError {
    ReleaseError::Metadata { path: path.to_owned(), fault }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    <sha2::Sha256 as sha2::Digest>::digest(bytes).into()
}
