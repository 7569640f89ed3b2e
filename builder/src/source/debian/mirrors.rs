//! Finds the mirrors for a suite: the mirrors that the user gives, or those in the host's APT sources.

use super::{
    apt_sources::{AptSource, SignedBy},
    error::DebianError,
};
use berth_fetch::url::Url;

/// Names of Debian's releases. They identify the Debian archives among the host's APT sources.
const RELEASES: [&str; 14] = [
    "stretch",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// Suffix of security suites. These are in a separate archive, not in the archive of the release.
const SECURITY: &str = "-security";

/// Where to find mirrors.
#[derive(Clone, Debug)]
pub enum Mirrors {
    /// Addresses from the user (`--mirror` or the recipe), tried in this order for every suite.
    Given(Vec<Url>),
    /// The host's APT sources.
    Host(Vec<AptSource>),
}

impl Mirrors {
    /// Parses the addresses that the user gave.
    ///
    /// # Errors
    /// [`DebianError::Mirror`] for an invalid address.
    pub fn given<T: AsRef<str>>(addresses: &[T]) -> Result<Self, DebianError> {
        let urls = addresses.iter().map(|text| text.as_ref().parse().map_err(DebianError::Mirror));
        Ok(Self::Given(urls.collect::<Result<_, _>>()?))
    }

    /// The mirrors for `suite`, best first.
    ///
    /// # Errors
    /// [`DebianError::NoMirror`] if no mirror is known for the suite.
    pub fn of_suite(&self, suite: &str) -> Result<Vec<Url>, DebianError> {
        let no_mirror = |reason: String| DebianError::NoMirror { suite: suite.to_owned(), reason };
        match self {
            Self::Given(urls) if urls.is_empty() => Err(no_mirror("the list of mirrors is empty".into())),
            Self::Given(urls) => Ok(urls.clone()),
            Self::Host(sources) => {
                let uris = derive(sources, suite);
                let (urls, bad): (Vec<_>, Vec<_>) = uris.iter().map(|uri| uri.parse::<Url>()).partition(Result::is_ok);
                if !urls.is_empty() {
                    return Ok(urls.into_iter().flatten().collect());
                }
                Err(no_mirror(match bad.into_iter().find_map(Result::err) {
                    None => "the host's APT sources have no Debian archive for this suite".to_owned(),
                    Some(bad) => format!("the host's APT sources have one that cannot be used: {bad}"),
                }))
            }
        }
    }
}

/// Derives the addresses for `suite` from APT's sources. First choice: sources of this suite. Second: sources of the same
/// part (updates, security) of another release. Third: sources of another release, but not for security suites, which are
/// in a separate archive.
fn derive<'a>(sources: &'a [AptSource], suite: &str) -> Vec<&'a str> {
    let (_, part) = split(suite).unwrap_or((suite, ""));
    let same_part = |found: &str| split(found).is_some_and(|(_, found)| found == part);
    let archive = |found: &str| split(found).is_some_and(|(_, found)| found != SECURITY);
    let debian = sources.iter().filter(|source| source.components.iter().any(|component| component == "main"));
    // A source with a key that is not Debian's is a third-party archive for a Debian release: try it last.
    let (mut ours, others): (Vec<_>, Vec<_>) = debian.partition(|source| may_be_debians(&source.signed_by));
    ours.extend(others);
    let with = |wanted: &dyn Fn(&str) -> bool| -> Vec<&'a str> {
        let mut uris = Vec::new();
        for source in ours.iter().filter(|source| source.suites.iter().any(|suite| wanted(suite))) {
            for uri in source.uris.iter().map(String::as_str) {
                if !uris.contains(&uri) {
                    uris.push(uri);
                }
            }
        }
        uris
    };
    let exact = with(&|found| found == suite);
    if !exact.is_empty() || split(suite).is_none() {
        return exact;
    }
    let same = with(&same_part);
    if !same.is_empty() || part == SECURITY { same } else { with(&archive) }
}

/// Splits the name of a Debian suite into release and part: `trixie-security` is `trixie` and `-security`, `bookworm` is
/// `bookworm` and "". Returns `None` for suites of other archives.
fn split(suite: &str) -> Option<(&str, &str)> {
    let release = RELEASES.iter().find(|release| suite.starts_with(**release))?;
    let (release, part) = suite.split_at(release.len());
    let known = ["", "-updates", SECURITY, "-backports", "-backports-sloppy", "-proposed-updates", "-debug"];
    // Up to buster, security suites had names like "buster/updates".
    if part == "/updates" { Some((release, SECURITY)) } else { known.contains(&part).then_some((release, part)) }
}

fn may_be_debians(signed_by: &SignedBy) -> bool {
    match signed_by {
        SignedBy::Unset => true,
        SignedBy::Named(names) => names.iter().any(|name| name.contains("debian-archive")),
        SignedBy::Inline(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::apt_sources::parse_list, *};
    use std::path::Path;

    fn host(text: &str) -> Mirrors {
        Mirrors::Host(parse_list(text, Path::new("x")).unwrap())
    }

    fn found(mirrors: &Mirrors, suite: &str) -> Vec<String> {
        mirrors.of_suite(suite).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn another_release_uses_the_mirrors_of_the_hosts_release() {
        let mirrors = host(
            "deb [signed-by=/k.gpg] http://example.com/extras bookworm main\n\
             deb http://example.net/tool tool-bookworm main\n\
             deb http://example.net/x bookworm stable\n\
             deb http://example.org/debian bookworm main\n\
             deb http://example.org/debian bookworm-updates main\n\
             deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://example.org/bpo bookworm-backports main\n\
             deb http://example.org/debian-security bookworm-security main\n",
        );
        let (plain, extras) = ("http://example.org/debian", "http://example.com/extras");
        for (suite, wanted) in [
            ("trixie", vec![plain, extras]),
            ("bookworm", vec![plain, extras]),
            ("stable", vec![plain, extras]),
            ("trixie-updates", vec![plain]),
            ("trixie-backports", vec!["http://example.org/bpo"]),
            ("trixie-proposed-updates", vec![plain, "http://example.org/bpo", extras]),
            ("trixie-security", vec!["http://example.org/debian-security"]),
            ("tool-bookworm", vec!["http://example.net/tool"]),
        ] {
            assert_eq!(found(&mirrors, suite), wanted, "{suite}");
        }
        assert!(mirrors.of_suite("noble").is_err());
    }

    #[test]
    fn the_error_names_addresses_that_cannot_be_used() {
        let error = |text: &str, suite: &str| host(text).of_suite(suite).unwrap_err().to_string();
        assert_eq!(
            error("deb http://example.org/debian bookworm main\n", "trixie-security"),
            "no mirror for suite trixie-security: the host's APT sources have no Debian archive for this suite"
        );
        let unknown = error("deb mirror+file:/etc/apt/mirrors.list bookworm main\n", "trixie");
        assert!(unknown.contains("mirror+file:/etc/apt/mirrors.list"), "{unknown}");
        let secret = error("deb https://builder:hunter2@apt.example.org/debian trixie main\n", "trixie");
        assert_eq!(
            secret,
            "no mirror for suite trixie: the host's APT sources have one that cannot be used: URL \
             \"https://apt.example.org/debian\": expected no user name or password in it"
        );
        assert!(Mirrors::given::<&str>(&[]).unwrap().of_suite("trixie").is_err());
        assert!(Mirrors::given(&["mirror://example.org/x"]).is_err());
        assert_eq!(found(&Mirrors::given(&["http://example.org/a", "file:/b"]).unwrap(), "x").len(), 2);
    }
}
