//! The kernel command line: the keys that Berth defines, and a parser.

use crate::digest::{BadDigest, RootHash};

/// Root hash of the slot to boot (the same key that systemd-veritysetup reads).
pub const ROOTHASH: &str = "roothash";
/// `berth.debug=1`: init prints more on the console.
pub const DEBUG: &str = "berth.debug";

/// `berth.config=URL`: the address of host.toml. hostctl fetches it when there is a network.
pub const CONFIG: &str = "berth.config";
/// `berth.config.sha256=DIGEST`: SHA-256 of the text at the address. An address without TLS needs it.
pub const CONFIG_SHA256: &str = "berth.config.sha256";

/// A kernel command line, split as the kernel splits it: blanks separate words, except between double quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline(Vec<(String, Option<String>)>);

/// Why a value of the command line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmdlineError {
    /// The key has two or more values. Firmware tables (SMBIOS), addons and the boot loader's editor can add words to the command line of
    /// the image, so neither the first value nor the last one can be trusted.
    #[error(
        "kernel command line: expected {key}= once, found {} values: {}; words from outside the image must not set it",
        values.len(),
        values.join(", ")
    )]
    Repeated {
        /// The key.
        key: &'static str,
        /// Its values, in order.
        values: Vec<String>,
    },
    /// The value has another form.
    #[error("kernel command line: {key}=: {source}")]
    Value {
        /// The key.
        key: &'static str,
        /// The cause.
        source: BadDigest,
    },
}

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
    /// The value of the only `key=value`; `None` if the key is absent.
    ///
    /// # Errors
    /// When there are several, even if they are equal.
    pub fn sole(&self, key: &'static str) -> Result<Option<&str>, CmdlineError> {
        let values: Vec<&str> = self.0.iter().filter(|(k, _)| k == key).filter_map(|(_, v)| v.as_deref()).collect();
        match values[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(CmdlineError::Repeated { key, values: values.into_iter().map(str::to_owned).collect() }),
        }
    }

    /// Whether there is a word `key` without a value, or with a value other than `0`.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        self.0.iter().any(|(k, v)| k == key && v.as_deref() != Some("0"))
    }

    /// The root hash of the key [`ROOTHASH`]; `None` if the key is absent.
    ///
    /// # Errors
    /// When the key has several values, or its value is not a SHA-256 digest.
    pub fn root_hash(&self) -> Result<Option<RootHash>, CmdlineError> {
        let value = self.sole(ROOTHASH)?.map(str::parse).transpose();
        value.map_err(|source| CmdlineError::Value { key: ROOTHASH, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_split_as_the_kernel_does() {
        let line = parse("quiet console=ttyS0  a=\"b c\" berth.debug=1 x.y=\"open end\n");
        assert_eq!(line.sole("console"), Ok(Some("ttyS0")));
        assert_eq!(line.sole("a"), Ok(Some("b c")));
        assert_eq!(line.sole("x.y"), Ok(Some("open end\n")));
        assert_eq!(line.sole("quiet"), Ok(None));
        assert!(line.flag("quiet") && line.flag(DEBUG) && !line.flag("loud"));
        assert_eq!(line.root_hash(), Ok(None));
        assert!(parse("roothash=12").root_hash().is_err());
    }

    #[test]
    fn a_second_root_hash_is_refused_wherever_it_stands_and_however_it_is_written() {
        let (ours, other) = ("ab".repeat(32), "cd".repeat(32));
        assert_eq!(parse(&format!("roothash={ours} quiet")).root_hash(), Ok(ours.parse().ok()));
        for (first, last) in [(&ours, &other), (&other, &ours), (&ours, &ours)] {
            for last in [format!("roothash={last}"), format!("\"roothash={last}\""), format!("roothash=\"{last}\"")] {
                let error = parse(&format!("roothash={first} gpt {last}")).root_hash().unwrap_err();
                assert!(matches!(&error, CmdlineError::Repeated { values, .. } if values.len() == 2), "{error}");
                assert!(error.to_string().contains("expected roothash= once, found 2 values"), "{error}");
            }
        }
        assert!(parse(&format!("roothash={ours} roothash=")).root_hash().is_err());
    }
}
