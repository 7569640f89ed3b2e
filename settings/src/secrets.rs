//! A text of settings without its secrets.

use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Keys whose values are secrets.
const SECRET: [&str; 6] = ["key", "private_key", "preshared_key", "password", "token", "secret"];
/// Keys of tables whose values may all be secrets: the environment of a container.
const SECRET_TABLES: [&str; 1] = ["env"];
/// Shown instead of a secret.
const MASK: &str = "\"(not shown)\"";

/// The same text, with `"(not shown)"` in the place of each secret. Passwords in addresses are left out. A text that is not valid TOML is not
/// shown at all.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let Ok(table) = DeTable::parse(text) else { return String::new() };
    let mut found = Vec::new();
    in_table(table.get_ref(), false, &mut found);
    found.sort_by_key(|span| span.start);
    let (mut shown, mut at) = (String::new(), 0);
    for span in found {
        shown.push_str(text.get(at..span.start).unwrap_or_default());
        shown.push_str(MASK);
        at = span.end;
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    berth_contract::credentials::without_credentials(&shown)
}

fn in_table(table: &DeTable<'_>, all: bool, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        in_value(value, all || SECRET.contains(&key), SECRET_TABLES.contains(&key), found);
    }
}

fn in_value(value: &Spanned<DeValue<'_>>, is_secret: bool, all: bool, found: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(inner) => in_table(inner, is_secret || all, found),
        DeValue::Array(items) => items.iter().for_each(|item| in_value(item, is_secret, all, found)),
        _ if is_secret => found.push(value.span()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let text = "a = 1 # x\n[docker.tls]\nkey = '''\nSECRET\n'''\nca = 'ca'\n[[container]]\nname = 'key'\nenv = { A = 'SECRET', B = 2 }\n\
                    [update]\nsource = 'https://joe:SECRET@h/x'\n[[network.wireguard]]\nprivate_key = 'SECRET'\n";
        let shown = without_secrets(text);
        assert!(!shown.contains("SECRET"), "{shown}");
        assert_eq!(shown.matches("(not shown)").count(), 4, "{shown}");
        for kept in ["a = 1 # x\n", "ca = 'ca'", "name = 'key'", "https://h/x", "env = { A = \"(not shown)\", B = "] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert_eq!(without_secrets("key = 'SECRET"), "");
    }
}
