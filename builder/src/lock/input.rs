//! The input of a lock.

use super::{LockError, Pin};
use crate::{
    recipe::{Archive, Located, Place, Recipe},
    source::debian::{apt_sources, keyring::DEBIAN_KEYRING, mirrors::Mirrors},
};
use berth_contract::{arch::Arch, digest::Sha256};
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
    /// Keyring file. Not part of the digest.
    pub keyring: PathBuf,
}

/// A suite that packages may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedSuite {
    /// Its name.
    pub name: String,
    /// The priority that the recipe gives. It replaces the priority of the suite's Release file.
    pub priority: Option<i16>,
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
        let mirrors = match (mirrors, recipe.debian.mirror.as_slice()) {
            ([], []) => Mirrors::Host(apt_sources::read(etc_apt)?),
            ([], given) => Mirrors::Given(given.iter().map(|url| url.value.clone()).collect()),
            (given, _) => Mirrors::given(given)?,
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
            keyring: keyring.map_or_else(|| DEBIAN_KEYRING.into(), |keyring| keyring.value.clone()),
        })
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
    let mut suites = vec![WantedSuite { name: recipe.debian.suite.value.clone(), priority: None }];
    for archive in &recipe.debian.archives {
        let Archive { suite, priority } = &archive.value;
        match suites.iter_mut().find(|known| known.name == *suite) {
            Some(known) => known.priority = *priority,
            None => suites.push(WantedSuite { name: suite.clone(), priority: *priority }),
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::RecipeFile;

    fn suite(name: &str, priority: Option<i16>) -> WantedSuite {
        WantedSuite { name: name.into(), priority }
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
            LockInput { packages: vec![Wish::own("a")], ..input.clone() },
            LockInput { pins: vec![pin(Some("=1"), None)], ..input.clone() },
            LockInput { pins: vec![pin(Some("=1"), Some("trixie"))], ..input.clone() },
            LockInput { pins: vec![pin(None, Some("trixie"))], ..input.clone() },
            LockInput { provided: vec!["c".into()], ..input.clone() },
        ];
        assert_eq!(others.iter().chain([&input]).map(LockInput::digest).collect::<BTreeSet<_>>().len(), 10);
    }
}
