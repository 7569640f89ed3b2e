//! Parses InRelease files: the description of a suite and the digests of its indices.

use super::{
    certificate::SKEW,
    debs::is_safe_path,
    error::DebianError,
    keyring::SignedText,
    stanza::stanzas,
    suite::{Expiry, SuiteName},
};
use crate::date::Date;
use berth_fetch::blob::Want;
use std::collections::BTreeMap;

/// An InRelease with a valid signature.
#[derive(Clone, Debug)]
pub struct InRelease {
    /// Its URL, for messages.
    pub place: String,
    /// `Origin` and `Label`: the copies of an archive have the same.
    pub origin: String,
    /// `Suite`: its role, e.g. `stable-security`. May be empty.
    pub suite: String,
    /// `Codename`: its name, e.g. `trixie-security`. May be empty.
    pub codename: String,
    /// `Date`.
    pub date: Date,
    /// `Valid-Until`, if present.
    pub valid_until: Option<Date>,
    /// Whether indices can be fetched by their digest (`Acquire-By-Hash`).
    pub by_hash: bool,
    /// Whether packages of `Architecture: all` are in a separate index, which must be read too.
    pub separate_all: bool,
    /// APT's default priority of the suite's packages: 500, or less for suites used only on request (apt_preferences(5)).
    pub priority: i16,
    files: BTreeMap<String, Want>,
}

impl InRelease {
    /// Parses an InRelease. `place` is its URL, for messages.
    ///
    /// # Errors
    /// [`DebianError::InRelease`].
    pub fn parse(text: &SignedText, place: &str) -> Result<Self, DebianError> {
        let bad = |field, wanted: &str, found: &str| DebianError::InRelease {
            place: place.to_owned(),
            field,
            wanted: wanted.to_owned(),
            found: found.to_owned(),
        };
        let mut paragraphs = stanzas(text.as_str());
        let (Some(stanza), None) = (paragraphs.next(), paragraphs.next()) else {
            return Err(bad("Release", "one paragraph", &format!("{}", stanzas(text.as_str()).count())));
        };
        let get = |field| stanza.get(field).unwrap_or_default();
        let date = |field, text: &str| Date::parse_in_release(text).map_err(|error| bad(field, error.wanted, text));
        let yes = |field| get(field).eq_ignore_ascii_case("yes");
        let mut files = BTreeMap::new();
        for line in get("SHA256").lines().filter(|line| !line.trim().is_empty()) {
            let entry = || {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                let [sha256, size, file] = *words.as_slice() else { return None };
                let want = Want { sha256: sha256.parse().ok()?, size: size.parse().ok()? };
                // Flat archives write `./Packages`.
                Some((file.strip_prefix("./").unwrap_or(file).to_owned(), want))
            };
            let (file, want) = entry().ok_or_else(|| bad("SHA256", "lines of digest, size and path", line))?;
            if is_safe_path(&file) {
                files.insert(file, want);
            }
        }
        if files.is_empty() {
            return Err(bad("SHA256", "digests of indices", get("SHA256")));
        }
        let words = |field| get(field).split_ascii_whitespace();
        Ok(Self {
            place: place.to_owned(),
            origin: format!("{} {}", get("Origin"), get("Label")).trim().to_owned(),
            suite: get("Suite").to_owned(),
            codename: get("Codename").to_owned(),
            date: date("Date", get("Date"))?,
            valid_until: stanza.get("Valid-Until").map(|text| date("Valid-Until", text)).transpose()?,
            by_hash: yes("Acquire-By-Hash"),
            separate_all: words("Architectures").any(|arch| arch == "all")
                && !words("No-Support-for-Architecture-all").any(|index| index == "Packages"),
            priority: match (yes("NotAutomatic"), yes("ButAutomaticUpgrades")) {
                (false, _) => 500,
                (true, true) => 100,
                (true, false) => 1,
            },
            files,
        })
    }

    /// Checks that this is the requested suite, that its date is not in the future, and that it has not expired. A flat archive has
    /// only one suite. Returns `Valid-Until` if it is past and `expiry` accepts that.
    ///
    /// # Errors
    /// [`DebianError::InRelease`], [`DebianError::NotYet`], [`DebianError::Expired`].
    pub fn check(&self, suite: &SuiteName, expiry: Expiry, now: Date) -> Result<Option<Date>, DebianError> {
        let asked = suite.as_str();
        if !suite.is_flat() && asked != self.suite && asked != self.codename {
            return Err(DebianError::InRelease {
                place: self.place.clone(),
                field: "Suite and Codename",
                wanted: format!("one of them to be {asked}"),
                found: format!("{} and {}", self.suite, self.codename),
            });
        }
        if self.date.0 > now.0 + SKEW {
            return Err(DebianError::NotYet { place: self.place.clone(), date: self.date, now });
        }
        match self.valid_until {
            Some(until) if until < now && expiry == Expiry::Refuse => {
                Err(DebianError::Expired { place: self.place.clone(), until, now })
            }
            until => Ok(until.filter(|until| *until < now)),
        }
    }

    /// Digest and size of a file, by its path below the suite.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<Want> {
        self.files.get(path).copied()
    }

    /// The files that are other forms of `path`: `Packages.bz2`.
    #[must_use]
    pub fn files_of(&self, path: &str) -> Vec<String> {
        let same = |file: &&String| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.files.keys().filter(same).cloned().collect()
    }
}
