//! host.toml.

use crate::{
    explain::{Explanation, explain},
    misfit::Misfit,
    shape,
    text_fault::TextFault,
    value_place::place_of,
};
use berth_contract::{
    config_fault::ConfigFault,
    host_config::{HostConfig, KEYS},
};

/// Parses and checks a host.toml. This is the whole check that does not need the host.
///
/// # Errors
/// The first fault, with its place.
pub fn host_config(text: &str) -> Result<HostConfig, TextFault> {
    let misfit = |misfit: Misfit| TextFault::new(text, explain(text, misfit, outermost));
    let table = shape::table(text).map_err(misfit)?;
    let config: HostConfig = shape::from_table(table.clone()).map_err(misfit)?;
    config.check().map_err(|fault| {
        let span = place_of(&table, &fault.key);
        let ConfigFault { key, expected, found, hint } = fault;
        TextFault::new(text, Explanation { span, message: key, expected: Some(expected), found: Some(found), hint })
    })?;
    Ok(config)
}

/// A hint for a key that is in a table but belongs above all of them.
fn outermost(key: &str, _: &'static [&'static str]) -> Option<String> {
    KEYS.contains(&key).then(|| format!("`{key}` is a key of the file itself: write it above the first [table]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_place_and_says_what_was_expected_and_found() {
        assert_eq!(host_config("hostname = 'node-1'\n").unwrap().hostname.as_deref(), Some("node-1"));
        for (text, said, hint) in [
            (
                "hostname = 'a'\nhostnam = 'b'",
                "line 2, column 1: unknown key `hostnam`: expected hostname, ",
                Some("did you mean `hostname`?"),
            ),
            (
                "hostname = 5",
                "line 1, column 12: wrong type: expected a string, found integer `5`",
                Some("write \"5\""),
            ),
            (
                "[docker.tls]\nhostname = 'a'",
                "line 2, column 1: unknown key `hostname`: expected listen, ca, cert, key",
                Some("`hostname` is a key of the file itself: write it above the first [table]"),
            ),
            ("hostname = '-'", "line 1, column 12: hostname: expected letters, digits and -, in parts of", None),
            ("hostname = \"x", "line 1, column 14: ", Some("TOML has texts in quotes")),
            (
                "[[container]]\nname = 'web'\nimage = 'x'\nports = ['80:80', '80']",
                "line 4, column 19: value is not valid: expected a port as [ADDRESS:]HOST:CONTAINER[/tcp|/udp], found \"80\"",
                None,
            ),
            (
                "[[container]]\nname = 'web'\nimage = 'x'\nmemory = '1MiB'",
                "line 4, column 10: container[0].memory: expected at least 6MiB, found 1MiB",
                None,
            ),
            ("[[container]]\nname = 'web'", "line 1, column 1: key `image` is missing", None),
            (
                "[[network.link]]\nmatch.name = 'e'\nmtu = 60",
                "line 3, column 7: network.link[0].mtu: expected 68 to 65535, found 60",
                None,
            ),
        ] {
            let fault = host_config(text).unwrap_err();
            assert!(fault.to_string().starts_with(said), "{text}: {fault}");
            let is_right = match hint {
                Some(hint) => fault.hint.as_deref().is_some_and(|found| found.starts_with(hint)),
                None => fault.hint.is_none(),
            };
            assert!(is_right, "{text}: {:?}", fault.hint);
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let key = "-----BEGIN PRIVATE KEY-----\\nSECRET\\n-----END PRIVATE KEY-----";
        for text in [
            format!("[docker.tls]\nca = ''\ncert = ''\nkey = '''\n{key}''\n"),
            format!("[docker]\ntls = \"{key}\""),
            format!("[docker.tls]\nlisten = \"{key}\"\nca = ''\ncert = ''\nkey = ''"),
            format!("[[container]]\nname = 'web'\nimage = 'x'\ncommand = \"{key}\""),
        ] {
            let fault = host_config(&text).unwrap_err();
            assert!(!format!("{fault:?}").contains("SECRET"), "{fault:?}");
        }
    }
}
