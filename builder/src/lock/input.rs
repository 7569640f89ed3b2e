//! The input of a lock.

use super::{LockError, Pin};
use crate::{
    recipe::{Archive, Located, Place, Recipe, ValidUntil},
    source::debian::{apt_sources, error::DebianError, keyring::DEBIAN_KEYRING, mirrors::Mirrors, suite::Expiry},
};
use berth_contract::{arch::Arch, digest::Sha256};
use berth_fetch::url::Url;
use sha2::Digest as _;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Debian package of the boot loader and of the stub that makes a kernel an EFI program. Every image has it.
pub const BOOT_PACKAGE: &str = "systemd-boot-efi";

/// All values from the recipe and the command line that a lock needs.
#[derive(Clone, Debug)]
pub struct LockInput {
    /// The suites, each once, e.g. `trixie` and `trixie-security`. If suites have different versions of a package, the suite
    /// with the highest priority wins. If the priorities are equal, the later version wins.
    pub suites: Vec<WantedSuite>,
    /// Components, e.g. `main`.
    pub components: Vec<String>,
    /// Architecture of the image.
    pub arch: Arch,
    /// The wanted packages, the kernel and the boot loader among them.
    pub packages: Vec<Wish>,
    /// Rules for the versions of packages, if they are needed; at most one per name.
    pub pins: Vec<Pin>,
    /// Packages, or virtual packages, that count as installed in any version.
    pub provided: Vec<String>,
    /// The mirrors of the suites. Not part of the digest: every mirror has the same packages.
    pub mirrors: Mirrors,
    /// Mirrors from the command line: they are also asked for the packages of archives with mirrors of their own.
    pub given: Vec<Url>,
    /// Keyring file. Not part of the digest.
    pub keyring: PathBuf,
    /// The recipes that this one extends, the nearest one last. Not part of the digest.
    pub bases: Vec<PathBuf>,
}

/// A suite that packages may come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedSuite {
    /// Its name in the recipe.
    pub name: String,
    /// Its name in the archive.
    pub suite: String,
    /// The priority that the recipe gives. It replaces the priority of the suite's Release file.
    pub priority: Option<i16>,
    /// Its own mirrors. If empty, [`LockInput::mirrors`] are asked. Not part of the digest.
    pub mirrors: Vec<Url>,
    /// Its own keyring file. Not part of the digest.
    pub keyring: Option<PathBuf>,
    /// Its own components.
    pub components: Option<Vec<String>>,
    /// Whether it may have expired. Not part of the digest: the lock says whether it had.
    pub expiry: Expiry,
}

impl WantedSuite {
    /// A suite without properties of its own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), suite: name.to_owned(), ..Self::default() }
    }
}

/// A wanted package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name, or the name of a virtual package that has a single provider.
    pub name: String,
    /// Where the recipe names the package. `None` for a package that every image has.
    pub place: Option<Place>,
}

impl Wish {
    /// Makes a wish for a package that the recipe does not name.
    #[must_use]
    pub fn own(name: &str) -> Self {
        Self { name: name.to_owned(), place: None }
    }
}

impl LockInput {
    /// Makes the input from a recipe. `mirrors` are from the command line and replace those of the recipe. If neither gives a
    /// mirror, the APT configuration in `etc_apt` is used.
    ///
    /// # Errors
    /// A mirror, an APT configuration or a version that cannot be read.
    pub fn new(recipe: &Recipe, mirrors: &[String], etc_apt: &Path) -> Result<Self, LockError> {
        let given = mirrors.iter().map(|text| text.parse().map_err(DebianError::Mirror));
        let given = given.collect::<Result<Vec<Url>, _>>()?;
        let mirrors = match (mirrors, recipe.debian.mirror.as_slice()) {
            ([], []) => Mirrors::Host(apt_sources::read(etc_apt)?),
            ([], given) => Mirrors::Given(given.iter().map(|url| url.value.clone()).collect()),
            (_, _) => Mirrors::Given(given.clone()),
        };
        let wish = |name: &Located<String>| Wish { name: name.value.clone(), place: Some(name.place.clone()) };
        let asked = recipe.debian.packages.iter().chain([&recipe.kernel.package]);
        let keyring = recipe.debian.keyring.as_ref();
        Ok(Self {
            suites: suites(recipe),
            components: recipe.debian.components.clone(),
            arch: recipe.arch,
            packages: asked.map(wish).chain([Wish::own(BOOT_PACKAGE)]).collect(),
            pins: recipe.debian.versions.iter().map(|(name, pin)| Pin::new(name, pin)).collect::<Result<_, _>>()?,
            provided: recipe.debian.provided.iter().map(|name| name.value.clone()).collect(),
            mirrors,
            given,
            bases: recipe.files.iter().rev().skip(1).rev().map(|file| file.path().to_owned()).collect(),
            keyring: keyring.map_or_else(|| DEBIAN_KEYRING.into(), |keyring| keyring.value.clone()),
        })
    }

    /// The components of a suite.
    #[must_use]
    pub fn components_of<'a>(&'a self, suite: &'a WantedSuite) -> &'a [String] {
        suite.components.as_deref().unwrap_or(&self.components)
    }

    /// The mirrors that may have the packages of the suite `name`, best first.
    ///
    /// # Errors
    /// [`DebianError::NoMirror`] if no mirror is known for the suite.
    pub fn mirrors_of(&self, name: &str) -> Result<Vec<Url>, DebianError> {
        match self.suites.iter().find(|suite| suite.name == name) {
            Some(suite) if !suite.mirrors.is_empty() => Ok([self.given.as_slice(), &suite.mirrors].concat()),
            Some(suite) => self.mirrors.of_suite(&suite.suite),
            None => self.mirrors.of_suite(name),
        }
    }

    /// Digest of all values that determine a lock. A lock with another digest was made from another version of the recipe.
    /// The order and repetition of packages and provided names do not change the digest, nor do mirrors and the keyring.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        let mut hash = sha2::Sha256::new();
        let mut add = |kind: &str, values: &mut dyn Iterator<Item = String>| {
            for value in values {
                // Names and versions never contain a newline, so the lines are unambiguous.
                hash.update(format!("{kind} {value}\n"));
            }
        };
        // In capital letters, so that digests in existing lock files stay valid.
        add("arch", &mut [self.arch.name.to_uppercase()].into_iter());
        let suite = |suite: &WantedSuite| match suite.priority {
            Some(priority) => format!("{} {priority}", suite.name),
            None => suite.name.clone(),
        };
        add("suite", &mut self.suites.iter().map(suite));
        let renamed = self.suites.iter().filter(|suite| suite.name != suite.suite);
        add("suite-of", &mut renamed.map(|suite| format!("{} {}", suite.name, suite.suite)));
        for WantedSuite { name, components, .. } in &self.suites {
            add("component-of", &mut components.iter().flatten().map(|component| format!("{name} {component}")));
        }
        add("component", &mut self.components.iter().cloned());
        add("package", &mut self.packages.iter().map(|wish| wish.name.clone()).collect::<BTreeSet<_>>().into_iter());
        let pins: BTreeSet<_> = self.pins.iter().map(|pin| format!("{} {pin}", pin.name)).collect();
        add("pin", &mut pins.into_iter());
        add("provided", &mut self.provided.iter().cloned().collect::<BTreeSet<_>>().into_iter());
        Sha256(hash.finalize().into())
    }
}

/// The recipe's main suite and its other archives, each once.
fn suites(recipe: &Recipe) -> Vec<WantedSuite> {
    let expiry = |valid_until: ValidUntil| match valid_until {
        ValidUntil::Check => Expiry::Refuse,
        ValidUntil::Ignore => Expiry::Accept,
    };
    let common = recipe.debian.valid_until;
    let main = WantedSuite { expiry: expiry(common), ..WantedSuite::new(&recipe.debian.suite.value) };
    let mut suites = vec![main];
    for archive in &recipe.debian.archives {
        let Archive { name, suite, priority, mirror, keyring, components, valid_until } = archive.value.clone();
        let expiry = expiry(valid_until.unwrap_or(common));
        match suites.iter_mut().find(|known| known.name == name) {
            Some(known) => (known.priority, known.expiry) = (priority, expiry),
            None => suites.push(WantedSuite { name, suite, priority, mirrors: mirror, keyring, components, expiry }),
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::RecipeFile;

    fn suite(name: &str, priority: Option<i16>) -> WantedSuite {
        WantedSuite { priority, ..WantedSuite::new(name) }
    }

    #[test]
    fn the_digest_changes_only_with_values_that_determine_the_lock() {
        let input = LockInput {
            suites: vec![suite("trixie", None), suite("trixie-security", None)],
            components: vec!["main".into()],
            arch: Arch::DEFAULT,
            packages: vec![Wish::own("b"), Wish::own("a")],
            pins: vec![],
            provided: vec!["d".into(), "c".into()],
            mirrors: Mirrors::Given(vec![]),
            given: vec![],
            bases: vec![],
            keyring: "/k".into(),
        };
        let same = LockInput {
            packages: vec![Wish::own("a"), Wish::own("b"), Wish::own("a")],
            provided: vec!["c".into(), "d".into()],
            keyring: "/other".into(),
            ..input.clone()
        };
        assert_eq!(input.digest(), same.digest());
        let source = RecipeFile::new("r.toml", "");
        let place = Place::new(&source, 0..0);
        let pin = |version: Option<&str>, suite: Option<&str>| Pin {
            name: "a".into(),
            version: version.map(|rule| rule.parse().unwrap()),
            suite: suite.map(String::from),
            place: place.clone(),
        };
        let others = [
            LockInput { suites: vec![suite("trixie-security", None), suite("trixie", None)], ..input.clone() },
            LockInput { suites: vec![suite("trixie", None)], ..input.clone() },
            LockInput { suites: vec![suite("trixie", None), suite("trixie-security", Some(990))], ..input.clone() },
            LockInput { components: vec!["contrib".into()], ..input.clone() },
            LockInput {
                suites: vec![
                    suite("trixie", None),
                    WantedSuite { suite: "x".into(), ..suite("trixie-security", None) },
                ],
                ..input.clone()
            },
            LockInput {
                suites: vec![
                    suite("trixie", None),
                    WantedSuite { components: Some(vec!["x".into()]), ..suite("trixie-security", None) },
                ],
                ..input.clone()
            },
            LockInput { packages: vec![Wish::own("a")], ..input.clone() },
            LockInput { pins: vec![pin(Some("=1"), None)], ..input.clone() },
            LockInput { pins: vec![pin(Some("=1"), Some("trixie"))], ..input.clone() },
            LockInput { pins: vec![pin(None, Some("trixie"))], ..input.clone() },
            LockInput { provided: vec!["c".into()], ..input.clone() },
        ];
        assert_eq!(others.iter().chain([&input]).map(LockInput::digest).collect::<BTreeSet<_>>().len(), 12);
    }
}
