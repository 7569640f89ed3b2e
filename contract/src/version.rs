//! Image id and OS version: their alphabet and their order.

use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};

/// The image's id: `IMAGE_ID` of os-release, and the first part of every file name. `[a-z0-9][a-z0-9-]*`, at most 48 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageId(String);

/// The image's version: `IMAGE_VERSION` of os-release. Letters, digits and `.~^-`, at most 48 bytes, starting with a letter or digit.
///
/// Versions are ordered by the UAPI Version Format Specification (UAPI.10). systemd-boot uses the same order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OsVersion(String);

/// A name is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {found:?} is not valid: expected {wanted}")]
pub struct BadName {
    /// The kind of the name, e.g. `version`.
    pub what: &'static str,
    /// The rule for names of this kind.
    pub wanted: &'static str,
    /// The text as given.
    pub found: String,
}

const NAME_MAX: usize = 48;

impl FromStr for ImageId {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if text.len() > NAME_MAX || text.is_empty() || text.starts_with('-') || !text.bytes().all(good) {
            return Err(BadName {
                what: "image id",
                wanted: "1 to 48 of the characters a-z, 0-9 and -, not starting with -",
                found: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for OsVersion {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        // '_' and '+' separate the parts of a boot entry's name, so a version cannot contain them.
        let good = |c: u8| c.is_ascii_alphanumeric() || b".~^-".contains(&c);
        let starts = text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if text.len() > NAME_MAX || !starts || !text.bytes().all(good) {
            return Err(BadName {
                what: "version",
                wanted: "1 to 48 of letters, digits and . ~ ^ -, starting with a letter or digit, e.g. 2026.11.0",
                found: text.to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}
text_newtype!(ImageId);
text_newtype!(OsVersion);

impl PartialOrd for OsVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OsVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0).then_with(|| self.0.cmp(&other.0))
    }
}

/// Compares two texts as versions (UAPI.10, "Version Format Specification"). Different texts can be equal: `1.01` and `1.1`.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    compare_bytes(a.as_bytes(), b.as_bytes())
}

/// The algorithm of the specification. The comments have its step numbers.
fn compare_bytes(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let known = |c: u8| c.is_ascii_alphanumeric() || b"-.~^".contains(&c);
    loop {
        // 1. Skip characters that have no meaning.
        a = skip_while(a, |c| !known(c));
        b = skip_while(b, |c| !known(c));
        // 2. A tilde sorts before everything, even before the end of the text.
        match (a.first() == Some(&b'~'), b.first() == Some(&b'~')) {
            (true, true) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        // 3. If one text has ended, the longer text is newer.
        match (a.is_empty(), b.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        // 4.-6. Dash, caret, dot: a text that has one here is older than a text that has another character.
        let mut stepped = false;
        for mark in *b"-^." {
            match (a[0] == mark, b[0] == mark) {
                (true, true) => {
                    (a, b) = (&a[1..], &b[1..]);
                    stepped = true;
                    break;
                }
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                (false, false) => {}
            }
        }
        if stepped {
            continue;
        }
        // 7. Compare numbers by value. A number is newer than letters.
        if a[0].is_ascii_digit() || b[0].is_ascii_digit() {
            let (number_a, rest_a) = split_while(a, |c| c.is_ascii_digit());
            let (number_b, rest_b) = split_while(b, |c| c.is_ascii_digit());
            if number_a.is_empty() || number_b.is_empty() {
                return number_b.is_empty().cmp(&number_a.is_empty());
            }
            let (value_a, value_b) = (skip_while(number_a, |c| c == b'0'), skip_while(number_b, |c| c == b'0'));
            match value_a.len().cmp(&value_b.len()).then_with(|| value_a.cmp(value_b)) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                unequal => return unequal,
            }
            continue;
        }
        // 8. Compare letters in ASCII order, upper case first.
        let (letters_a, rest_a) = split_while(a, |c| c.is_ascii_alphabetic());
        let (letters_b, rest_b) = split_while(b, |c| c.is_ascii_alphabetic());
        match letters_a.cmp(letters_b) {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            unequal => return unequal,
        }
    }
}

fn split_while(text: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&c| !keep(c)).unwrap_or(text.len()))
}

fn skip_while(text: &[u8], skip: impl Fn(u8) -> bool) -> &[u8] {
    split_while(text, skip).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own examples, oldest first.
    #[test]
    fn versions_are_ordered_as_uapi_10_lists_them() {
        let ascending = [
            "122.1",
            "123~rc1-1",
            "123",
            "123-a",
            "123-a.1",
            "123-1",
            "123-1.1",
            "123^post1",
            "123.a-1",
            "123.1-1",
            "123a-1",
            "124-1",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let (va, vb): (OsVersion, OsVersion) = (a.parse().unwrap(), b.parse().unwrap());
                assert_eq!(va.cmp(&vb), i.cmp(&j), "{a} against {b}");
            }
        }
        assert_eq!(compare("2026.011", "2026.11"), Ordering::Equal);
        assert_eq!(compare("2026.9.0", "2026.11.0"), Ordering::Less);
    }

    #[test]
    fn names_that_would_break_a_file_name_are_refused() {
        for bad in ["", "-a", "A", "a_b", "a/b", "a b", "ä"] {
            assert!(bad.parse::<ImageId>().is_err(), "{bad}");
        }
        for bad in ["", ".1", "1_2", "1+2", "1/2", "~1"] {
            assert!(bad.parse::<OsVersion>().is_err(), "{bad}");
        }
    }
}
