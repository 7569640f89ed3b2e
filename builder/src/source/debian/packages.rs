//! Parses Packages indices: one paragraph per package. The fields borrow from the text of the index.

use super::{
    archive::IndexText,
    debs::is_safe_path,
    error::DebianError,
    relation::is_name,
    stanza::{Stanza, stanzas},
    version::Version,
};
use berth_fetch::blob::Want;

/// Limit for the size of a .deb: an ar(5) header has ten decimal digits for the size of a member.
const DEB_LIMIT: u64 = 20_000_000_000;

/// `Priority` (Debian Policy 2.5), most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// The system does not work without these packages.
    Required,
    /// Programs that users expect on every Unix-like system.
    Important,
    /// Part of a standard installation.
    Standard,
    /// All other packages.
    Optional,
    /// Deprecated name for `Optional`; also used here for unknown values.
    Extra,
}

/// `Multi-Arch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiArch {
    /// `no`, or the field is absent.
    No,
    /// The package can be installed for several architectures at once.
    Same,
    /// The package satisfies dependencies of packages of other architectures.
    Foreign,
    /// The package satisfies dependencies of other architectures if they have the qualifier `:any`.
    Allowed,
}

/// A package as an index lists it. Relations stay text: only a few of them are ever parsed.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// `Package`.
    pub name: &'a str,
    /// `Version`.
    pub version: Version<'a>,
    /// `Architecture`: the requested architecture, or `all`.
    pub architecture: &'a str,
    /// `Multi-Arch`.
    pub multi_arch: MultiArch,
    /// `Essential: yes`.
    pub essential: bool,
    /// `Priority`.
    pub priority: Priority,
    /// `Section`.
    pub section: &'a str,
    /// `Source`: the source package, followed by its version in parentheses if that differs. Empty if the source package
    /// has the same name and version.
    pub source: &'a str,
    /// `Pre-Depends`.
    pub pre_depends: &'a str,
    /// `Depends`.
    pub depends: &'a str,
    /// `Recommends`.
    pub recommends: &'a str,
    /// `Provides`.
    pub provides: &'a str,
    /// `Conflicts`.
    pub conflicts: &'a str,
    /// `Breaks`.
    pub breaks: &'a str,
    /// `Replaces`.
    pub replaces: &'a str,
    /// `Filename`: relative path of the .deb below the archive's root. Checked: it cannot leave that folder.
    pub file: &'a str,
    /// `SHA256` and `Size` of the .deb.
    pub want: Want,
    /// `Installed-Size` in bytes, if present.
    pub installed_size: Option<u64>,
}

/// The packages of an index.
#[derive(Debug)]
pub struct Packages<'a> {
    /// Those that can be used.
    pub good: Vec<Package<'a>>,
    /// Those with a field that is missing or invalid. Only an image that needs one of them cannot be made.
    pub odd: Vec<OddPackage>,
}

/// A package that cannot be used.
#[derive(Debug)]
pub struct OddPackage {
    /// Its name; empty if that is not valid.
    pub name: String,
    /// What is wrong: a [`DebianError::Package`].
    pub error: DebianError,
}

/// Parses the packages of an index that are for the Debian architecture `arch` or for `all`. Skips all others.
#[must_use]
pub fn parse<'a>(index: &'a IndexText, arch: &str) -> Packages<'a> {
    // A package takes about 900 bytes.
    let mut good = Vec::with_capacity(index.text.len() / 900);
    let mut odd = Vec::new();
    let mut before = "the start";
    for stanza in stanzas(&index.text) {
        match parse_one(stanza) {
            Ok(package) => {
                before = package.name;
                if package.architecture == arch || package.architecture == "all" {
                    good.push(package);
                }
            }
            Err((name, field, wanted, found)) => odd.push(OddPackage {
                name: name.to_owned(),
                error: DebianError::Package {
                    place: index.place.clone(),
                    package: if name.is_empty() { format!("(after {before})") } else { name.to_owned() },
                    field,
                    wanted,
                    found: found.to_owned(),
                },
            }),
        }
    }
    Packages { good, odd }
}

/// The fields that are read.
const FIELDS: [&str; 19] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Essential",
    "Priority",
    "Section",
    "Source",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Provides",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Filename",
    "Size",
    "SHA256",
    "Installed-Size",
];

/// The usual spelling of a field's name. deb822(5): upper and lower case are equal.
fn spelling(field: &str) -> &str {
    FIELDS.iter().find(|known| known.eq_ignore_ascii_case(field)).copied().unwrap_or(field)
}

/// An invalid field: package name (empty if not known), field name, expected form, value found.
type Bad<'a> = (&'a str, &'static str, &'static str, &'a str);

fn parse_one(stanza: Stanza<'_>) -> Result<Package<'_>, Bad<'_>> {
    let empty = Want { sha256: berth_contract::digest::Sha256([0; 32]), size: 0 };
    let mut package = Package {
        name: "",
        version: Version(""),
        architecture: "",
        multi_arch: MultiArch::No,
        essential: false,
        priority: Priority::Extra,
        section: "",
        source: "",
        pre_depends: "",
        depends: "",
        recommends: "",
        provides: "",
        conflicts: "",
        breaks: "",
        replaces: "",
        file: "",
        want: empty,
        installed_size: None,
    };
    let (mut size, mut sha256) = ("", "");
    for (field, value) in stanza.fields() {
        match spelling(field) {
            "Package" => package.name = value,
            "Version" => package.version = Version(value),
            "Architecture" => package.architecture = value,
            "Multi-Arch" => {
                package.multi_arch = match value {
                    "same" => MultiArch::Same,
                    "foreign" => MultiArch::Foreign,
                    "allowed" => MultiArch::Allowed,
                    _ => MultiArch::No,
                }
            }
            "Essential" => package.essential = value == "yes",
            "Priority" => {
                package.priority = match value {
                    "required" => Priority::Required,
                    "important" => Priority::Important,
                    "standard" => Priority::Standard,
                    "optional" => Priority::Optional,
                    _ => Priority::Extra,
                }
            }
            "Section" => package.section = value,
            "Source" => package.source = value,
            "Pre-Depends" => package.pre_depends = value,
            "Depends" => package.depends = value,
            "Recommends" => package.recommends = value,
            "Provides" => package.provides = value,
            "Conflicts" => package.conflicts = value,
            "Breaks" => package.breaks = value,
            "Replaces" => package.replaces = value,
            "Filename" => package.file = value.strip_prefix("./").unwrap_or(value),
            "Size" => size = value,
            "SHA256" => sha256 = value,
            // Only a limit for unpacking. Some tools write it in other forms, which APT accepts.
            "Installed-Size" => {
                package.installed_size = value.parse::<u32>().ok().map(|kib| u64::from(kib) * 1024);
            }
            _ => {}
        }
    }
    let name = package.name;
    let graphic = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic());
    if !is_name(name) {
        return Err(("", "Package", "the name of a package", name));
    }
    if !graphic(package.version.0) {
        return Err((name, "Version", "a version", package.version.0));
    }
    if !is_name(package.architecture) {
        return Err((name, "Architecture", "an architecture", package.architecture));
    }
    if !is_safe_path(package.file) {
        return Err((name, "Filename", "a relative path below the archive", package.file));
    }
    package.want = Want {
        sha256: sha256.parse().map_err(|_| (name, "SHA256", "64 hex digits", sha256))?,
        size: size.parse().ok().filter(|size| *size <= DEB_LIMIT).ok_or((name, "Size", "a number of bytes", size))?,
    };
    Ok(package)
}
