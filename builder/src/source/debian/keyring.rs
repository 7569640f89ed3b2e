//! Keyrings, and the check that a text is signed by one of their keys.

use super::{
    certificate::{SKEW, Signer, Times, is_strong, may_sign},
    error::{DebianError, Refusal, cannot_read},
};
use crate::date::Date;
use pgp::{
    composed::{CleartextSignedMessage, Deserializable as _, SignedPublicKey},
    packet::{Signature, SignatureType},
    types::{KeyDetails, VerifyingKey},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The keys of Debian's archive, from the package debian-archive-keyring.
pub const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Limit for the number of certificates: on a damaged keyring, the parser may return errors forever.
const MOST_CERTIFICATES: usize = 10_000;

const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// Certificates that are trusted to sign an archive.
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    certificates: Vec<SignedPublicKey>,
}

/// Text with a valid signature. An [`super::in_release::InRelease`] can be parsed only from this type.
#[derive(Debug)]
pub struct SignedText(String);

impl SignedText {
    /// The signed text itself, lines ending with `\n`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Keyring {
    /// Reads a keyring file.
    ///
    /// # Errors
    /// [`DebianError::Io`], [`DebianError::Keyring`].
    pub fn load(path: &Path) -> Result<Self, DebianError> {
        match fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(DebianError::Keyring { path: path.to_owned(), reason: "no such file".into() })
            }
            bytes => Self::parse(&bytes.map_err(cannot_read(path))?, path),
        }
    }

    /// Parses certificates, binary or ASCII-armoured (one or several blocks). Skips unreadable certificates: the only effect
    /// is that signatures by their keys are not accepted. `path` is for messages.
    ///
    /// # Errors
    /// [`DebianError::Keyring`] if no certificate can be read.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, DebianError> {
        let mut certificates: Vec<SignedPublicKey> = Vec::new();
        match str::from_utf8(bytes).ok().filter(|text| text.contains(ARMOR)) {
            Some(text) => {
                for block in text.split(ARMOR).skip(1) {
                    if let Ok((keys, _)) = SignedPublicKey::from_string_many(&format!("{ARMOR}{block}")) {
                        certificates.extend(keys.take(MOST_CERTIFICATES).filter_map(Result::ok));
                    }
                }
            }
            None => {
                if let Ok(keys) = SignedPublicKey::from_bytes_many(bytes) {
                    certificates.extend(keys.take(MOST_CERTIFICATES).filter_map(Result::ok));
                }
            }
        }
        if certificates.is_empty() {
            let reason = match bytes.get(8..12) {
                Some(b"KBXf") => "a GnuPG keybox: expected OpenPGP certificates (gpg --export)",
                _ => "expected OpenPGP certificates, binary or ASCII-armoured, found none",
            };
            return Err(DebianError::Keyring { path: path.to_owned(), reason: reason.into() });
        }
        Ok(Self { path: path.to_owned(), certificates })
    }

    /// Verifies that at least one signature is valid and by a key of this keyring, and returns the signed text. Any content
    /// outside of the signed text is an error, as with APT. `place` is for messages.
    ///
    /// # Errors
    /// [`DebianError::NotSigned`], [`DebianError::Untrusted`].
    pub fn verify(&self, place: &str, bytes: &[u8], now: Date) -> Result<SignedText, DebianError> {
        let not_signed = |reason: String| DebianError::NotSigned { place: place.to_owned(), reason };
        let text = str::from_utf8(bytes).map_err(|error| not_signed(error.to_string()))?;
        let (message, _) = CleartextSignedMessage::from_string(text).map_err(|error| not_signed(error.to_string()))?;
        let signed = message.signed_text();
        let mut refusals = Vec::new();
        for signature in message.signatures() {
            match self.judge(signature, signed.as_bytes(), now) {
                Ok(()) => return Ok(SignedText(signed.replace("\r\n", "\n"))),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(DebianError::Untrusted { place: place.to_owned(), keyring: self.path.clone(), refusals })
    }

    fn judge(&self, signature: &Signature, text: &[u8], now: Date) -> Result<(), Refusal> {
        let created = signature.created().ok_or(Refusal::Unknown)?;
        if signature.typ() != Some(SignatureType::Text) {
            return Err(Refusal::Type);
        }
        if !is_strong(signature.hash_alg()) {
            let found = signature.hash_alg().map(|hash| hash.to_string()).unwrap_or_default();
            return Err(Refusal::Hash { found });
        }
        let times = Times { signed: u64::from(created.as_secs()), now: now.0 };
        if times.signed > now.0 + SKEW {
            return Err(Refusal::Future { at: Date(times.signed) });
        }
        if let Some(life) = signature.signature_expiration_time().map(|life| u64::from(life.as_secs()))
            && life > 0
            && times.signed + life <= now.0
        {
            return Err(Refusal::SignatureExpired { end: Date(times.signed + life) });
        }
        let mut refusal = Refusal::NoKey { issuer: issuer(signature) };
        for certificate in &self.certificates {
            // Try subkeys too: archives sign with subkeys, and the library tries only the key that it is given.
            let primary = (&certificate.primary_key as &dyn Candidate, Signer::Primary);
            let subkeys = certificate.public_subkeys.iter().map(|subkey| (&subkey.key as _, Signer::Subkey(subkey)));
            for (key, signer) in [primary].into_iter().chain(subkeys) {
                if !key.may_have_made(signature) {
                    continue;
                }
                let verdict = if key.made(signature, text) {
                    may_sign(certificate, &signer, times)
                } else {
                    Err(Refusal::Bad { issuer: issuer(signature) })
                };
                match verdict {
                    Ok(()) => return Ok(()),
                    Err(reason) => refusal = reason,
                }
            }
        }
        Err(refusal)
    }
}

/// A key that may have made a signature. The trait is needed because primary keys and subkeys have different types.
trait Candidate {
    fn may_have_made(&self, signature: &Signature) -> bool;
    fn made(&self, signature: &Signature, text: &[u8]) -> bool;
}

impl<K: KeyDetails + VerifyingKey> Candidate for K {
    /// Compares the key with the issuer in the signature. A signature without an issuer may be by any key.
    fn may_have_made(&self, signature: &Signature) -> bool {
        let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
        (ids.is_empty() && fingerprints.is_empty())
            || ids.contains(&&self.legacy_key_id())
            || fingerprints.contains(&&self.fingerprint())
    }

    fn made(&self, signature: &Signature, text: &[u8]) -> bool {
        signature.verify(self, text).is_ok()
    }
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    let id = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint.or_else(id).unwrap_or_else(|| "(not named)".to_owned())
}
