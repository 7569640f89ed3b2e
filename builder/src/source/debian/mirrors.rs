//! Who serves a suite: the mirrors that the user names, or those that the host's APT uses for its own release.

use super::{
    apt_sources::{AptSource, SignedBy},
    error::DebianError,
};
use berth_fetch::url::Url;

/// Names that Debian gives to its releases: how a Debian archive is told from another one in APT's configuration.
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

/// The parts of a release that the archive of the release itself does not hold.
const SECURITY: &str = "-security";

/// Where suites come from.
#[derive(Clone, Debug)]
pub enum Mirrors {
    /// Addresses by the user (`--mirror`, the recipe), asked in order for every suite.
    Given(Vec<Url>),
    /// The host's APT sources.
    Host(Vec<AptSource>),
}

impl Mirrors {
    /// Mirrors from addresses as the user wrote them.
    ///
    /// # Errors
    /// [`DebianError::Mirror`].
    pub fn given<T: AsRef<str>>(addresses: &[T]) -> Result<Self, DebianError> {
        let urls = addresses.iter().map(|text| text.as_ref().parse().map_err(DebianError::Mirror));
        Ok(Self::Given(urls.collect::<Result<_, _>>()?))
    }

    /// Those to ask for `suite`, best first.
    ///
    /// # Errors
    /// [`DebianError::NoMirror`] when there is none.
    pub fn of_suite(&self, suite: &str) -> Result<Vec<Url>, DebianError> {
        let no_mirror = |reason: String| DebianError::NoMirror { suite: suite.to_owned(), reason };
        match self {
            Self::Given(urls) if urls.is_empty() => Err(no_mirror("the list of mirrors is empty".into())),
            Self::Given(urls) => Ok(urls.clone()),
            Self::Host(sources) => {
                let uris = derive(sources, suite);
                let urls: Vec<Url> = uris.iter().filter_map(|uri| uri.parse().ok()).collect();
                if !urls.is_empty() {
                    return Ok(urls);
                }
                Err(no_mirror(match uris.as_slice() {
                    [] => "the host's APT sources name no Debian archive for it".to_owned(),
                    [uri, ..] => format!("of APT's addresses only http, https and file can be used, found {uri}"),
                }))
            }
        }
    }
}

/// APT's addresses for `suite`: those of the suite itself; else those of the same part (updates, security) of another
/// release, else, except for security (an archive of its own), those of another release.
fn derive<'a>(sources: &'a [AptSource], suite: &str) -> Vec<&'a str> {
    let (_, part) = split(suite).unwrap_or((suite, ""));
    let same_part = |found: &str| split(found).is_some_and(|(_, found)| found == part);
    let archive = |found: &str| split(found).is_some_and(|(_, found)| found != SECURITY);
    let debian = sources.iter().filter(|source| source.components.iter().any(|component| component == "main"));
    // A source with keys of its own is somebody else's archive for a Debian release: asked last.
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

/// A suite of a Debian archive as release and part: `trixie-security` is `trixie` and `-security`, `bookworm` has the
/// part "". `None` for suites of other archives.
fn split(suite: &str) -> Option<(&str, &str)> {
    let release = RELEASES.iter().find(|release| suite.starts_with(**release))?;
    let (release, part) = suite.split_at(release.len());
    let known = ["", "-updates", SECURITY, "-backports", "-backports-sloppy", "-proposed-updates", "-debug"];
    // Until buster, the security archive called its suites "buster/updates".
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
    fn another_release_is_had_from_where_the_host_has_its_own() {
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
    fn what_cannot_be_used_is_said() {
        let error = |text: &str, suite: &str| host(text).of_suite(suite).unwrap_err().to_string();
        assert_eq!(
            error("deb http://example.org/debian bookworm main\n", "trixie-security"),
            "no mirror for suite trixie-security: the host's APT sources name no Debian archive for it"
        );
        let unknown = error("deb mirror+file:/etc/apt/mirrors.list bookworm main\n", "trixie");
        assert!(unknown.contains("found mirror+file:/etc/apt/mirrors.list"), "{unknown}");
        assert!(Mirrors::given::<&str>(&[]).unwrap().of_suite("trixie").is_err());
        assert!(Mirrors::given(&["mirror://example.org/x"]).is_err());
        assert_eq!(found(&Mirrors::given(&["http://example.org/a", "file:/b"]).unwrap(), "x").len(), 2);
    }
}
