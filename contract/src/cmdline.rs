//! The kernel command line: the keys that Berth defines, and a parser.

use crate::digest::{BadDigest, RootHash};

/// Root hash of the slot to boot (the same key that systemd-veritysetup reads).
pub const ROOTHASH: &str = "roothash";
/// `berth.debug=1`: init prints more on the console.
pub const DEBUG: &str = "berth.debug";

/// A kernel command line, split as the kernel splits it: blanks separate words, except between double quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline(Vec<(String, Option<String>)>);

/// Splits a command line. Never fails: an unclosed quote extends to the end, as in the kernel.
#[must_use]
pub fn parse(text: &str) -> Cmdline {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_ascii_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    let split = |word: String| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (word, None),
    };
    Cmdline(words.into_iter().filter(|word| !word.is_empty()).map(split).collect())
}

impl Cmdline {
    /// The value of the last `key=value`.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, v)| k == key && v.is_some()).and_then(|(_, v)| v.as_deref())
    }

    /// Whether there is a word `key` without a value, or with a value other than `0`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.0.iter().any(|(k, v)| k == key && v.as_deref() != Some("0"))
    }

    /// The root hash of the key [`ROOTHASH`]; `None` if the key is absent.
    ///
    /// # Errors
    /// When the value is not a SHA-256 digest.
    pub fn root_hash(&self) -> Result<Option<RootHash>, BadDigest> {
        self.value(ROOTHASH).map(str::parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_split_as_the_kernel_does() {
        let line = parse("quiet console=ttyS0  a=\"b c\" a=2 berth.debug=1 x.y=\"open end\n");
        assert_eq!(line.value("console"), Some("ttyS0"));
        assert_eq!(line.value("a"), Some("2"));
        assert_eq!(line.value("x.y"), Some("open end\n"));
        assert!(line.flag("quiet") && line.flag(DEBUG) && !line.flag("loud"));
        assert_eq!(line.root_hash(), Ok(None));
        assert!(parse("roothash=12").root_hash().is_err());
    }
}
