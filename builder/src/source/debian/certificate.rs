//! Checks whether a key was allowed to make a signature (RFC 9580, 5.2 and 10.1): expiry, revocation, flags and bindings.
//! The library rPGP checks only the cryptographic signature.

use super::error::Refusal;
use pgp::{
    composed::{SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{PublicKey, Signature, SignatureType},
    types::{KeyDetails, SignedUser, Tag},
};

/// Allowed difference between clocks, in seconds: the default of APT's Acquire::Max-FutureTime.
pub(super) const SKEW: u64 = 10;

/// When a signature was made, and the time of the check, in seconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) signed: u64,
    pub(super) now: u64,
}

/// The key of a certificate that verified a signature.
pub(super) enum Signer<'a> {
    Primary,
    Subkey(&'a SignedPublicSubKey),
}

pub(super) fn is_strong(hash: Option<HashAlgorithm>) -> bool {
    matches!(
        hash,
        Some(
            HashAlgorithm::Sha224
                | HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

/// Checks the certificate, then the key that signed.
pub(super) fn may_sign(certificate: &SignedPublicKey, signer: &Signer<'_>, times: Times) -> Result<(), Refusal> {
    let primary = &certificate.primary_key;
    let key = primary.fingerprint().to_string();
    if certificate.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err(Refusal::Revoked { key });
    }
    let own = newest(self_signatures(certificate), times).ok_or_else(|| Refusal::Unbound { key: key.clone() })?;
    check_life(primary, own, times)?;
    let Signer::Subkey(subkey) = signer else {
        return if own.key_flags().sign() { Ok(()) } else { Err(Refusal::NotForSigning { key }) };
    };
    check_subkey(primary, subkey, times)
}

fn check_subkey(primary: &PublicKey, subkey: &SignedPublicSubKey, times: Times) -> Result<(), Refusal> {
    let key = || subkey.key.fingerprint().to_string();
    let of_type = |wanted| {
        let verified = move |signature: &&Signature| {
            signature.typ() == Some(wanted) && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        };
        subkey.signatures.iter().filter(verified)
    };
    if of_type(SignatureType::SubkeyRevocation).next().is_some() {
        return Err(Refusal::Revoked { key: key() });
    }
    let binding =
        newest(of_type(SignatureType::SubkeyBinding), times).ok_or_else(|| Refusal::Unbound { key: key() })?;
    check_life(&subkey.key, binding, times)?;
    if !binding.key_flags().sign() {
        return Err(Refusal::NotForSigning { key: key() });
    }
    // The subkey must sign the binding too. Otherwise the owner of any primary key could claim a foreign key as subkey.
    let back = binding.embedded_signature();
    if back
        .is_some_and(|back| is_strong(back.hash_alg()) && back.verify_primary_key_binding(&subkey.key, primary).is_ok())
    {
        Ok(())
    } else {
        Err(Refusal::Unbound { key: key() })
    }
}

/// The primary key's valid self-signatures: direct key signatures, and certifications of user ids that are not revoked.
fn self_signatures(certificate: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let primary = &certificate.primary_key;
    let direct = certificate.details.direct_signatures.iter();
    let direct = direct.filter(move |s| s.typ() == Some(SignatureType::Key) && s.verify_key(primary).is_ok());
    direct.chain(certificate.details.users.iter().flat_map(move |user| certifications(primary, user)))
}

fn certifications<'a>(primary: &PublicKey, user: &'a SignedUser) -> Vec<&'a Signature> {
    let by_itself = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &user.id).is_ok();
    let (revocations, mut certifications): (Vec<_>, Vec<_>) =
        user.signatures.iter().filter(by_itself).partition(|s| s.typ() == Some(SignatureType::CertRevocation));
    let revoked = revocations.iter().filter_map(|s| s.created()).max();
    certifications.retain(|s| s.created() > revoked);
    certifications
}

/// The self-signature that applies: the newest one with a strong hash that is not from the future and has not expired.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>, times: Times) -> Option<&'a Signature> {
    let holds = |s: &&Signature| {
        let Some(created) = s.created().map(|at| u64::from(at.as_secs())) else { return false };
        let ends = s.signature_expiration_time().map(|life| u64::from(life.as_secs())).filter(|&life| life > 0);
        is_strong(s.hash_alg()) && created <= times.now + SKEW && ends.is_none_or(|life| created + life > times.now)
    };
    signatures.filter(holds).max_by_key(|s| s.created())
}

/// Checks that the key existed when it signed, and has not expired.
fn check_life(key: &impl KeyDetails, statement: &Signature, times: Times) -> Result<(), Refusal> {
    let created = u64::from(key.created_at().as_secs());
    let fingerprint = || key.fingerprint().to_string();
    if created > times.signed {
        return Err(Refusal::SignedBeforeKey { key: fingerprint() });
    }
    let life = statement.key_expiration_time().map(|life| u64::from(life.as_secs())).filter(|&life| life > 0);
    match life.map(|life| created + life) {
        Some(end) if end <= times.now.max(times.signed) => Err(Refusal::Expired { key: fingerprint(), end }),
        _ => Ok(()),
    }
}
