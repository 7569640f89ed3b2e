//! What a new configuration changes.

use berth_contract::{control::ConfigChange, host_config::HostConfig};
use serde_json::{Map, Value};

/// Keys that programs read only when they start at boot.
const AFTER_REBOOT: [&str; 3] = ["docker", "engine", "proxy"];
/// Keys of which only additions take effect at once. What was removed stays until the next boot.
const REMOVED_AFTER_REBOOT: [&str; 3] = ["ca", "kernel", "sysctl"];

/// Compares two configurations, key by key.
#[must_use]
pub fn compare(old: &HostConfig, new: &HostConfig) -> ConfigChange {
    let (old, new) = (keys(old), keys(new));
    let mut all: Vec<&String> = old.keys().chain(new.keys()).collect();
    all.sort_unstable();
    all.dedup();
    let mut change = ConfigChange::default();
    for key in all.into_iter().filter(|&key| old.get(key) != new.get(key)) {
        change.changed.push(key.clone());
        let needs_reboot = AFTER_REBOOT.contains(&key.as_str())
            || REMOVED_AFTER_REBOOT.contains(&key.as_str()) && !is_within(old.get(key), new.get(key));
        if needs_reboot {
            change.reboot.push(key.clone());
        }
    }
    change
}

/// By way of its text: the code that makes a value of the types directly is large.
fn keys(config: &HostConfig) -> Map<String, Value> {
    let text = serde_json::to_vec(config).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Whether everything of the old value is in the new one.
fn is_within(old: Option<&Value>, new: Option<&Value>) -> bool {
    match (old, new) {
        (None, _) => true,
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            old.iter().all(|(key, value)| is_within(Some(value), new.get(key)))
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => old.iter().all(|item| new.contains(item)),
        // A value that has changed is set again.
        (Some(_), Some(_)) => true,
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_found_by_key_and_some_need_a_reboot() {
        let config = |text: &str| -> HostConfig { toml::from_str(text).unwrap() };
        let compare = |old: &str, new: &str| {
            let found = compare(&config(old), &config(new));
            (found.changed.join(" "), found.reboot.join(" "))
        };
        let pair = |changed: &str, reboot: &str| (changed.to_owned(), reboot.to_owned());
        assert_eq!(compare("hostname = 'a'", "hostname = 'a'"), pair("", ""));
        assert_eq!(compare("", "hostname = 'a'\n[update]\nsource = 'x'"), pair("hostname update", ""));
        let tls = "[docker.tls]\nca = 'x'\ncert = 'x'\nkey = 'x'";
        assert_eq!(compare(tls, ""), pair("docker", "docker"));
        assert_eq!(compare("sysctl.a = 1", "sysctl.a = 2\nsysctl.b = 1"), pair("sysctl", ""));
        assert_eq!(compare("sysctl.a = 1\nsysctl.b = 1", "sysctl.a = 1"), pair("sysctl", "sysctl"));
        assert_eq!(compare("kernel.modules = ['a']", "kernel.modules = ['b', 'a']"), pair("kernel", ""));
        assert_eq!(compare("kernel.modules = ['a']", "kernel.modules = ['b']"), pair("kernel", "kernel"));
    }
}
