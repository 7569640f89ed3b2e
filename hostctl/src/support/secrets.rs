//! Secrets: which values of the settings are secret, and how they are removed from texts.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What stands in the place of a secret.
const REMOVED: &str = "(removed)";
/// Words in the names of keys whose values are secret.
const WORDS: [&str; 9] =
    ["password", "passphrase", "secret", "token", "credential", "private", "preshared", "username", "auth"];
/// Tables whose values are secret, whatever their keys are: environment variables.
const TABLES: [&str; 2] = ["env", "environment"];
/// Shorter values are not looked for in texts: they would be found everywhere.
const SHORTEST: usize = 6;

/// The secrets of the settings of a host.
#[derive(Debug, Default)]
pub struct Secrets(BTreeSet<String>);

impl Secrets {
    /// The secrets in settings: values of keys like `password`, `key` or `private_key`, environment variables, private keys in PEM, and
    /// passwords in URLs.
    #[must_use]
    pub fn of(settings: &Value) -> Self {
        let mut secrets = Self::default();
        secrets.gather(settings, false);
        secrets
    }

    fn gather(&mut self, value: &Value, secret: bool) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| self.gather(value, secret || is_secret(key)));
            }
            Value::Array(items) => items.iter().for_each(|item| self.gather(item, secret)),
            Value::String(text) => {
                if secret {
                    // A secret of several lines, such as a key, may be in a log line by line.
                    self.0.extend(text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST).map(str::to_owned));
                }
                self.0.extend(url_passwords(text).filter(|word| word.len() >= SHORTEST).map(str::to_owned));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The value without its secrets. The keys stay.
    #[must_use]
    pub fn without(&self, value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let clean = |(key, value): (&String, &Value)| {
                    (key.clone(), if is_secret(key) { removed(value) } else { self.without(value) })
                };
                map.iter().map(clean).collect::<Map<_, _>>().into()
            }
            Value::Array(items) => items.iter().map(|item| self.without(item)).collect::<Vec<_>>().into(),
            Value::String(text) => self.removed_from(text).into(),
            other => other.clone(),
        }
    }

    /// A text without the secrets, private keys in PEM, and passwords in URLs.
    #[must_use]
    pub fn removed_from(&self, text: &str) -> String {
        let mut text = without_private_keys(text);
        // The longest first: a secret may be a part of another one.
        let mut secrets: Vec<&String> = self.0.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REMOVED);
            }
        }
        let passwords: Vec<String> = url_passwords(&text).map(str::to_owned).collect();
        passwords.iter().fold(text, |text, password| text.replace(&format!("{password}@"), &format!("{REMOVED}@")))
    }
}

/// Whether the values of a key are secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let is_key = key == "key" || key.ends_with("_key") && !key.starts_with("public");
    is_key || WORDS.iter().any(|word| key.contains(word)) || TABLES.contains(&&*key)
}

/// A secret value: its keys stay, so that a reader sees what is set.
fn removed(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), removed(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(removed).collect::<Vec<_>>().into(),
        Value::Null => Value::Null,
        _ => REMOVED.into(),
    }
}

/// The user informations with a password of all URLs in a text: `user:password` of `https://user:password@host/`.
fn url_passwords(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("://").filter_map(|(at, _)| {
        let rest = &text[at + 3..];
        let authority = rest.split(['/', '?', '#', '"', '\'', ' ', '\n', '<', '>']).next()?;
        let (user, _) = authority.rsplit_once('@')?;
        (!user.is_empty() && user != REMOVED).then_some(user)
    })
}

/// Removes blocks of private keys, whole ones and those that are cut off.
fn without_private_keys(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.split_inclusive('\n') {
        let begins = line.contains("-----BEGIN ") && line.contains("PRIVATE KEY");
        if begins {
            out.push_str(REMOVED);
            out.push('\n');
        } else if !inside {
            out.push_str(line);
        }
        inside = (inside || begins) && !line.contains("-----END ");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn seeded_secrets_are_in_no_text() {
        let pem = "-----BEGIN PRIVATE KEY-----\nSEED-pem-line-one\nSEED-pem-line-two\n-----END PRIVATE KEY-----\n";
        let config = json!({
            "hostname": "node-1",
            "remote": { "cert": "-----BEGIN CERTIFICATE-----\npublic\n-----END CERTIFICATE-----", "key": pem },
            "container": [{ "name": "web", "env": { "DB": "SEED-env-value", "N": 5 }, "command": ["--dsn", "pg://u:SEED-dsn@db/x"] }],
            "registry": { "docker.io": { "username": "SEED-user", "password": "SEED-registry", "mirrors": ["https://m"] } },
            "network": { "wireguard": [{ "name": "wg0", "private_key": "SEED-wg-private", "peers": [{ "public_key": "shown", "preshared_key": "SEED-psk" }] }] },
            "proxy": { "https": "http://SEED-proxy@proxy:3128" },
            "update": { "source": "https://bot:SEED-token@repo.example.org/x" },
            "log": { "headers": { "Authorization": "Bearer SEED-bearer" } },
        });
        let secrets = Secrets::of(&config);
        let shown = secrets.without(&config).to_string();
        let log = "connecting to https://bot:SEED-token@repo.example.org/x with SEED-registry and SEED-env-value\n\
                   SEED-pem-line-one\nkey: -----BEGIN EC PRIVATE KEY-----\nother\n-----END EC PRIVATE KEY-----\n\
                   Authorization: Bearer SEED-bearer\nhttp://a:SEED-unknown@b/c SEED-wg-private\nend";
        let log = secrets.removed_from(log);
        for text in [&shown, &log] {
            assert!(!text.contains("SEED"), "{text}");
        }
        assert!(!log.contains("other") && log.ends_with("\nend") && log.contains("@repo.example.org/x"), "{log}");
        for kept in ["node-1", "wg0", "\"shown\"", "\"DB\"", "https://m", "BEGIN CERTIFICATE", "--dsn", "\"mirrors\""] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        let cut = secrets.removed_from("x\n-----BEGIN PRIVATE KEY-----\ncut off");
        assert_eq!(cut, "x\n(removed)\n");
    }
}
