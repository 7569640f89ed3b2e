//! Checks `debian.archives` (additional suites and archives) and `debian.versions` (pins of packages).

use super::{
    Archive, Located, Pin,
    diagnostic::Diagnostic,
    raw::{ArchiveTable, RawArchive, RawPin},
    value::{Checked, components, mirror, one_of, package, path, set, spelled, suite},
    words::VALID_UNTIL,
};
use std::collections::BTreeMap;

/// Checks the archives. One that is named several times stays at its first position, and gets the last of each value given.
pub(super) fn archives(entries: Vec<Located<RawArchive>>, main: &Located<String>) -> Checked<Vec<Located<Archive>>> {
    let mut archives: Vec<Located<Archive>> = Vec::new();
    for entry in entries {
        let new = archive(entry)?;
        if new.value.is_separate() && new.value.name == main.value {
            return Err(nameless(&new, "the main suite"));
        }
        match archives.iter_mut().find(|before| before.value.name == new.value.name) {
            Some(before)
                if before.value.is_separate() && new.value.is_separate() && before.place.path() == new.place.path() =>
            {
                return Err(nameless(&new, &format!("the one at {}", before.place)));
            }
            Some(before) => before.value.lay(new.value),
            None => archives.push(new),
        }
    }
    Ok(archives)
}

fn nameless(archive: &Located<Archive>, other: &str) -> Diagnostic {
    Diagnostic::new(&archive.place, format!("two archives have the name {:?}: this one and {other}", archive.value.name))
        .wanted("a `name` of its own for an archive with a `mirror`, e.g. { name = \"tools\", suite = \"trixie\", mirror = [...] }")
}

fn archive(entry: Located<RawArchive>) -> Checked<Located<Archive>> {
    let Located { value: RawArchive(table), place } = entry;
    let ArchiveTable { suite: text, name, priority, mirror: mirrors, keyring, components: parts, valid_until } = table;
    let at = |value| place.locate(value);
    let priority = priority.map(|number| {
        let number = place.locate(number);
        i16::try_from(number.value).ok().filter(|number| *number != 0).ok_or_else(|| {
            Diagnostic::new(&number.place, "priority is not valid")
                .wanted(
                    "a number from -32768 to 32767, but not 0; the usual priority is 500, and a suite with a negative \
                     priority is used only for pins",
                )
                .found(number.value.to_string())
        })
    });
    let named = name.map(|name| spelled(at(name), "name of an archive", "-._", "tools")).transpose()?;
    let mirror = set(mirrors.into_iter().flatten().map(at).collect(), mirror)?;
    let is_flat = text.ends_with('/');
    if is_flat && (named.is_none() || mirror.is_empty()) {
        return Err(Diagnostic::new(&place, "an archive without suites needs a name and a mirror")
            .wanted("{ name = \"tools\", suite = \"./\", mirror = [\"https://...\"] }"));
    }
    let suite = match is_flat {
        true => flat(Located { value: text, place: place.clone() })?,
        false => suite(Located { value: text, place: place.clone() })?,
    };
    let parts = parts.map(|parts| components(parts.into_iter().map(at).collect())).transpose()?;
    let archive = Archive {
        name: named.map_or_else(|| suite.value.clone(), |name| name.value),
        suite: suite.value,
        priority: priority.transpose()?,
        mirror: mirror.into_iter().map(|mirror| mirror.value).collect(),
        keyring: keyring.map(|keyring| path(at(keyring)).value),
        components: parts,
        valid_until: valid_until.map(|word| one_of(&at(word), &VALID_UNTIL)).transpose()?,
    };
    Ok(Located { value: archive, place })
}

/// The path of a flat archive.
fn flat(text: Located<String>) -> Checked<Located<String>> {
    let part = |part: &str| {
        !part.starts_with("..") && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._+~".contains(&c))
    };
    if !text.value.starts_with('/')
        && text.value.trim_end_matches('/').split('/').all(part)
        && !text.value.contains("//")
    {
        return Ok(text);
    }
    Err(Diagnostic::new(&text.place, "path of an archive is not valid")
        .wanted("\"./\", or a relative path that ends in a slash")
        .found(format!("{:?}", text.value)))
}

impl Archive {
    /// Whether it says where it is and who signs it.
    fn is_separate(&self) -> bool {
        !self.mirror.is_empty() || self.keyring.is_some() || self.components.is_some()
    }

    /// Takes the values that a later entry of the same name gives.
    fn lay(&mut self, later: Self) {
        self.suite = later.suite;
        self.priority = later.priority.or(self.priority);
        if !later.mirror.is_empty() {
            self.mirror = later.mirror;
        }
        self.keyring = later.keyring.or(self.keyring.take());
        self.components = later.components.or(self.components.take());
        self.valid_until = later.valid_until.or(self.valid_until);
    }
}

/// Checks the pins of packages. The lock checks the syntax of versions later.
pub(super) fn versions(
    pins: BTreeMap<String, (Located<()>, Located<RawPin>)>,
    main: &Located<String>,
    archives: &[Located<Archive>],
) -> Checked<BTreeMap<String, Located<Pin>>> {
    let suites = || archives.iter().map(|archive| archive.value.name.as_str()).chain([main.value.as_str()]);
    let pins = pins.into_iter().map(|(name, (key, pin))| {
        let name = package(Located { value: name, place: key.place })?.value;
        let RawPin { version, suite } = &pin.value;
        if version.is_none() && suite.is_none() {
            return Err(Diagnostic::new(&pin.place, "the pin has neither a version nor a suite")
                .wanted("`version`, `suite` or both, e.g. { suite = \"trixie-backports\" }"));
        }
        if let Some(unknown) = suite.as_ref().filter(|name| suites().all(|suite| suite != name.as_str())) {
            let known: Vec<&str> = suites().collect();
            return Err(Diagnostic::new(&pin.place, format!("{unknown:?} is not a suite of this recipe"))
                .wanted(format!("one of {}", known.join(", ")))
                .nearest(unknown, known));
        }
        Ok((name, pin.map(|RawPin { version, suite }| Pin { version, suite })))
    });
    pins.collect()
}
