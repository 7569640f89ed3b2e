//! URLs to download from: `http:`, `https:` and `file:`.

use berth_contract::credentials::without_credentials;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::{ffi::OsString, fmt, os::unix::ffi::OsStringExt as _, path::PathBuf, str::FromStr};

/// Characters to escape in a path: all except letters, digits and those that RFC 3986 allows in a segment. `+` is escaped
/// too, as APT does, because some object stores read it as a space.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b':')
    .remove(b'~')
    .remove(b',')
    .remove(b'=')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b';');

/// The scheme of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP/1.1. Digests and signatures protect the content, not the connection.
    Http,
    /// HTTP over TLS.
    Https,
    /// A local file.
    File,
}

/// A valid URL: a supported scheme, an absolute path, no credentials and no fragment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    scheme: Scheme,
}

/// An invalid URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("URL {found:?}: expected {wanted}")]
pub struct BadUrl {
    /// The text, with credentials removed.
    pub found: String,
    /// The rule that the text breaks.
    pub wanted: &'static str,
}

impl FromStr for Url {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let bad = |wanted| Err(BadUrl { found: without_credentials(text), wanted });
        if text.bytes().any(|c| !c.is_ascii_graphic() || c == b'#') {
            return bad("printable ASCII without blanks or a fragment");
        }
        let Some((scheme, rest)) = text.split_once(':') else { return bad("http:, https: or file:") };
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "file" => Scheme::File,
            _ => return bad("http:, https: or file:"),
        };
        let text = if scheme == Scheme::File {
            let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
            if !path.starts_with('/') {
                return bad("an absolute path after file:");
            }
            format!("file://{path}")
        } else {
            let host = rest.strip_prefix("//").unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
            if host.is_empty() {
                return bad("a host name after //");
            }
            if without_credentials(text) != text {
                return bad("no user name or password in it");
            }
            text.to_owned()
        };
        Ok(Self { text, scheme })
    }
}

impl Url {
    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host without its port. `None` for a `file:` URL.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let rest = self.text.split_once("://").filter(|_| self.scheme != Scheme::File)?.1;
        let host = rest.split(['/', '?']).next()?;
        // [v6]:port, name:port
        let end = host.find(']').map_or_else(|| host.find(':').unwrap_or(host.len()), |end| end + 1);
        Some(host[..end].trim_start_matches('[').trim_end_matches(']'))
    }

    /// Appends `path` (relative, not escaped) to this URL.
    #[must_use]
    pub fn join(&self, path: &str) -> Self {
        let mut text = self.text.trim_end_matches('/').to_owned();
        text.push('/');
        text.extend(utf8_percent_encode(path, ESCAPED));
        Self { text, scheme: self.scheme }
    }

    /// The local path of a `file:` URL, with percent-escapes decoded.
    #[must_use]
    pub fn file_path(&self) -> PathBuf {
        let path = self.text.strip_prefix("file://").unwrap_or_default();
        PathBuf::from(OsString::from_vec(percent_decode_str(path).collect()))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_are_parsed_and_invalid_urls_are_refused() {
        for (good, same) in [
            ("http://example.org/debian", "http://example.org/debian"),
            ("HTTPS://example.org", "HTTPS://example.org"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("file:/srv/debian", "file:///srv/debian"),
            ("file:///srv/debian", "file:///srv/debian"),
            ("file://localhost/srv", "file:///srv"),
        ] {
            assert_eq!(good.parse::<Url>().unwrap().as_str(), same);
        }
        for bad in
            ["", "example.org", "ftp://example.org/", "http:/x", "http:///x", "file:x", "http://a b/", "http://a/#b"]
        {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
        for secret in
            ["https://joe:secret@example.org/x", "https://joe:a/secret@example.org/x", "https://joe@example.org/x"]
        {
            let error = secret.parse::<Url>().unwrap_err();
            assert_eq!(error.found, "https://example.org/x");
            assert_eq!(error.wanted, "no user name or password in it");
        }
    }

    #[test]
    fn join_escapes_special_characters_and_file_path_decodes_them() {
        let base: Url = "http://example.org/debian/".parse().unwrap();
        assert_eq!(base.host(), Some("example.org"));
        let host = |url: &str| url.parse::<Url>().unwrap().host().map(str::to_owned);
        assert_eq!(host("https://a.example.org:8443?x").as_deref(), Some("a.example.org"));
        assert_eq!(host("http://[fe80::1]:80/").as_deref(), Some("fe80::1"));
        assert_eq!(host("file:///x"), None);
        assert_eq!(base.join("pool/g++ 1%~é").as_str(), "http://example.org/debian/pool/g%2B%2B%201%25~%C3%A9");
        let base: Url = "file:///srv/a%20b".parse().unwrap();
        assert_eq!(base.join("pool/g++%41").file_path(), PathBuf::from("/srv/a b/pool/g++%41"));
        assert_eq!("file:///50%".parse::<Url>().unwrap().file_path(), PathBuf::from("/50%"));
    }
}
