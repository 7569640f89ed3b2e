//! `debian.archives` and `debian.versions`: where packages may come from, and in which version.

use super::{
    Archive, Located, Pin,
    diagnostic::Diagnostic,
    raw::{RawArchive, RawPin},
    value::{Checked, package, suite},
};
use std::collections::BTreeMap;

/// Each suite once, at the place where it is first named; the last priority counts.
pub(super) fn archives(entries: Vec<Located<RawArchive>>) -> Checked<Vec<Located<Archive>>> {
    let mut archives: Vec<Located<Archive>> = Vec::new();
    for Located { value: RawArchive { suite: name, priority }, place } in entries {
        let priority = priority.map(|number| {
            let number = place.locate(number);
            i16::try_from(number.value).ok().filter(|number| *number != 0).ok_or_else(|| {
                Diagnostic::new(&number.place, "priority is not valid")
                    .wanted(
                        "a number from -32768 to 32767, but not 0; most suites have 500, a negative one is never taken",
                    )
                    .found(number.value.to_string())
            })
        });
        let (name, priority) = (suite(Located { value: name, place })?, priority.transpose()?);
        match archives.iter_mut().find(|before| before.value.suite == name.value) {
            Some(before) => before.value.priority = priority.or(before.value.priority),
            None => archives.push(name.map(|suite| Archive { suite, priority })),
        }
    }
    Ok(archives)
}

/// Pins of packages. The lock checks the syntax of versions.
pub(super) fn versions(
    pins: BTreeMap<String, (Located<()>, Located<RawPin>)>,
    main: &Located<String>,
    archives: &[Located<Archive>],
) -> Checked<BTreeMap<String, Located<Pin>>> {
    let suites = || archives.iter().map(|archive| archive.value.suite.as_str()).chain([main.value.as_str()]);
    let pins = pins.into_iter().map(|(name, (key, pin))| {
        let name = package(Located { value: name, place: key.place })?.value;
        let RawPin { version, suite } = &pin.value;
        if version.is_none() && suite.is_none() {
            return Err(Diagnostic::new(&pin.place, "nothing is said about the version")
                .wanted("`version`, `suite` or both, e.g. { suite = \"trixie-backports\" }"));
        }
        if let Some(unknown) = suite.as_ref().filter(|name| suites().all(|suite| suite != name.as_str())) {
            let known: Vec<&str> = suites().collect();
            return Err(Diagnostic::new(&pin.place, format!("{unknown:?} is no suite of this recipe"))
                .wanted(format!("one of {}", known.join(", ")))
                .nearest(unknown, known));
        }
        Ok((name, pin.map(|RawPin { version, suite }| Pin { version, suite })))
    });
    pins.collect()
}
