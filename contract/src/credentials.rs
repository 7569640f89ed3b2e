//! User names and passwords in addresses (RFC 3986, 3.2.1): `https://user:password@host/`. The outputs of builds and hosts end in logs that
//! many people read, so no message may show them.

use std::ops::Range;

/// Removes user name and password from all addresses in a text.
#[must_use]
pub fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for secret in find(text) {
        shown.push_str(&text[at..secret.start]);
        at = secret.end;
    }
    shown + &text[at..]
}

/// Replaces each character of user names and passwords with `*`, so that columns stay the same.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for Range { start, end } in find(text) {
        shown.push_str(&text[at..start]);
        shown.extend(text[start..end].chars().map(|_| '*'));
        at = end;
    }
    shown + &text[at..]
}

/// The user names and passwords of all addresses in a text, with the `@` behind them.
fn find(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("//").map(|slashes| at + slashes + 2) {
        // Blanks and quotes end an address in a text.
        let ends = |c: char| c.is_whitespace() || "\"'`<>".contains(c);
        let address = &text[start..start + text[start..].find(ends).unwrap_or(text.len() - start)];
        let host_end = address.find(['/', '?', '#']).unwrap_or(address.len());
        let (authority, rest) = address.split_at(host_end);
        let secret = match authority.rfind('@') {
            Some(sign) => sign + 1,
            // A password with a slash in it: what looks like a port is no number.
            None if is_no_port(authority) => rest.rfind('@').map_or(0, |sign| host_end + sign + 1),
            None => 0,
        };
        if secret > 0 {
            found.push(start..start + secret);
        }
        at = start + secret;
    }
    found
}

fn is_no_port(authority: &str) -> bool {
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    !authority.starts_with('[') && port.is_some_and(|port| !port.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_each_address_of_a_text() {
        for (text, shown) in [
            ("https://joe:secret@example.org/x", "https://example.org/x"),
            ("https://token@example.org", "https://example.org"),
            (
                "deb [signed-by=/k.asc] http://a:b@h/debian trixie main",
                "deb [signed-by=/k.asc] http://h/debian trixie main",
            ),
            ("http://a:b@h, \"http://c:d@i/\" and http://j/", "http://h, \"http://i/\" and http://j/"),
            ("http://a:b@c@h/x@y", "http://h/x@y"),
            ("http://a:b/c@h/x", "http://h/x"),
            ("http://a:b?c@h/x", "http://h/x"),
            ("mirror = 'https://é:ü@h/'", "mirror = 'https://h/'"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
        for text in [
            "http://h/pool/x@1:2",
            "http://h:8080/x@y",
            "http://[fe80::1]/x@y",
            "file:///srv/a:b@c",
            "team/app:1@sha256:00",
            "Kit <kit@example.org>",
            "// a comment: x@y",
            "",
        ] {
            assert_eq!(without_credentials(text), text);
        }
        assert_eq!(masked("m = 'https://é:ü@h/' # x"), "m = 'https://****h/' # x");
    }
}
