//! Keys and peers of WireGuard.

use super::Prefix;
use serde::{Deserialize, Serialize};
use std::{fmt, net::SocketAddr};

/// One of `peers`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The peer's public key.
    pub public_key: PublicKey,
    /// A secret that both sides share, in addition to their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preshared_key: Option<SecretKey>,
    /// Address and port of the peer. Without it the peer must send first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<SocketAddr>,
    /// Addresses behind the peer. `routes` says which of them are reached over this link.
    pub allowed_ips: Vec<Prefix>,
    /// Seconds between packets that keep the way through a router with NAT open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<u16>,
}

/// A public key: 32 bytes, written in base64 as `wg pubkey` prints them.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

/// A private key or a preshared key, as `wg genkey` prints it. `Debug` does not show it.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretKey(pub [u8; 32]);

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        decode(&text).map(Self)
    }
}

impl TryFrom<String> for SecretKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        decode(&text).map(Self)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        encode(&key.0)
    }
}

impl From<SecretKey> for String {
    fn from(key: SecretKey) -> Self {
        encode(&key.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// RFC 4648 §4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Characters of 32 bytes, without the `=` at the end.
const LENGTH: usize = 43;

/// The error does not contain the text, which may be a secret.
fn decode(text: &str) -> Result<[u8; 32], String> {
    let wrong = || format!("expected 44 characters of base64 (32 bytes), found {} bytes of text", text.len());
    let text = text.strip_suffix('=').filter(|text| text.len() == LENGTH).ok_or_else(wrong)?;
    let (mut key, mut bits, mut count, mut at) = ([0; 32], 0_u32, 0, 0);
    for c in text.bytes() {
        let value =
            ALPHABET.iter().position(|&a| a == c).and_then(|value| u32::try_from(value).ok()).ok_or_else(wrong)?;
        (bits, count) = (bits << 6 | value, count + 6);
        if count >= 8 {
            count -= 8;
            key[at] = (bits >> count).to_le_bytes()[0];
            at += 1;
        }
    }
    // 43 characters are 258 bits: the last two are 0.
    if bits & 3 == 0 { Ok(key) } else { Err(wrong()) }
}

fn encode(key: &[u8; 32]) -> String {
    let mut text = String::with_capacity(LENGTH + 1);
    for chunk in key.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..=chunk.len() {
            let value = bits >> (18 - 6 * at) & 63;
            text.push(char::from(ALPHABET[usize::try_from(value).unwrap_or(0)]));
        }
    }
    text.push('=');
    text
}
