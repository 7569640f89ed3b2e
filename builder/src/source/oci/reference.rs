//! Parses names of OCI images by the rules of the container engines.

use std::{fmt, str::FromStr};

/// The registry of a name without a registry.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The prefix of a name with only one part in the default registry.
const DEFAULT_REPOSITORY: &str = "library/";

/// The name and tag of an OCI image: `hello` means `docker.io/library/hello:latest`. A digest is not allowed, because it
/// identifies content and is not a name.
///
/// `Display` omits `docker.io/` and `library/`, as docker does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: String,
}

/// An invalid name of an OCI image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image name {found:?}: expected {wanted}")]
pub struct BadReference {
    /// The text.
    pub found: String,
    /// The rule that the text breaks.
    pub wanted: &'static str,
}

impl FromStr for Reference {
    type Err = BadReference;

    /// Parses by the grammar of github.com/distribution/reference, which docker, containerd and podman use.
    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = |wanted| BadReference { found: text.to_owned(), wanted };
        if text.contains('@') {
            return Err(bad("NAME[:TAG], without a digest"));
        }
        let (registry, rest) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DEFAULT_REGISTRY, text),
        };
        let (repository, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
        let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.chars().all(word) {
            return Err(bad("a tag of 1 to 128 letters, digits and _ . -, not starting with . or -"));
        }
        let host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        if registry.is_empty() || !registry.chars().all(host) {
            return Err(bad("a registry as HOST or HOST:PORT"));
        }
        let part = |part: &str| {
            let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            part.starts_with(inside) && part.ends_with(inside) && part.chars().all(|c| inside(c) || "._-".contains(c))
        };
        if !repository.split('/').all(part) {
            return Err(bad("lower-case letters and digits, between them . _ or -, in parts separated by /"));
        }
        let alone = registry == DEFAULT_REGISTRY && !repository.contains('/');
        let repository = format!("{}{repository}", if alone { DEFAULT_REPOSITORY } else { "" });
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.to_owned() })
    }
}

impl Reference {
    /// The whole name: `docker.io/library/hello:latest`.
    #[must_use]
    pub fn full(&self) -> String {
        format!("{}/{}:{}", self.registry, self.repository, self.tag)
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// A file name that no other image name has: `team/app:1` is `team+app=1`. An image name has neither of the two characters.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.to_string().replace('/', "+").replace(':', "=")
    }

    /// The last part of the name: `hello`.
    #[must_use]
    pub fn stem(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.registry == DEFAULT_REGISTRY {
            let repository = self.repository.strip_prefix(DEFAULT_REPOSITORY).unwrap_or(&self.repository);
            return write!(f, "{repository}:{}", self.tag);
        }
        f.write_str(&self.full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parts_of_names_get_the_defaults_of_docker() {
        for (text, shown, full) in [
            ("hello", "hello:latest", "docker.io/library/hello:latest"),
            ("hello:1.0_a-b", "hello:1.0_a-b", "docker.io/library/hello:1.0_a-b"),
            ("me/hello", "me/hello:latest", "docker.io/me/hello:latest"),
            ("docker.io/library/hello", "hello:latest", "docker.io/library/hello:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("localhost:5000/a/b__c:2", "localhost:5000/a/b__c:2", "localhost:5000/a/b__c:2"),
            ("registry.example.org/x", "registry.example.org/x:latest", "registry.example.org/x:latest"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!((reference.to_string().as_str(), reference.full().as_str()), (shown, full));
            assert_eq!(shown.parse::<Reference>().unwrap(), reference, "{shown}");
            assert_eq!(reference.file_name().replace('+', "/").replace('=', ":"), shown);
        }
        for bad in ["", ":1", "a:", "a:-1", "A", "a//b", "a/", "/a", "-a", "a b", "a@sha256:00", "a:b:c", "ü"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
