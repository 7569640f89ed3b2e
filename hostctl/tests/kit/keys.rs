//! Keys, and JSON signed with them, rightly or wrongly. Made by the TUF specification, without tough.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::Digest as _;

/// A key made from a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u8);

impl Key {
    fn pair(self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.0; 32]).unwrap()
    }

    pub(crate) fn public(self) -> Value {
        json!({
            "keytype": "ed25519",
            "keyval": {"public": hex(self.pair().public_key().as_ref())},
            "scheme": "ed25519",
        })
    }

    pub(crate) fn id(self) -> String {
        hex(&sha2::Sha256::digest(canonical(&self.public())))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// OLPC's canonical JSON, as far as the test kit needs it: no control characters, no fractions.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(key, _)| key.as_str());
            let members: Vec<_> = keys.iter().map(|(key, value)| format!("\"{key}\":{}", canonical(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// A metadata file.
pub(crate) fn signed(role: &Value, keys: &[Key]) -> Vec<u8> {
    let message = canonical(role);
    let signatures: Vec<_> = keys
        .iter()
        .map(|key| json!({"keyid": key.id(), "sig": hex(key.pair().sign(message.as_bytes()).as_ref())}))
        .collect();
    serde_json::to_vec_pretty(&json!({"signatures": signatures, "signed": role})).unwrap()
}
