//! Checks `debian.archives` (additional suites) and `debian.versions` (pins of packages).

use super::{
    Archive, Located, Pin,
    diagnostic::Diagnostic,
    raw::{RawArchive, RawPin},
    value::{Checked, package, suite},
};
use std::collections::BTreeMap;

/// Checks the suites. A suite that is named several times stays at its first position, and gets the last priority given.
pub(super) fn archives(entries: Vec<Located<RawArchive>>) -> Checked<Vec<Located<Archive>>> {
    let mut archives: Vec<Located<Archive>> = Vec::new();
    for Located { value: RawArchive { suite: name, priority }, place } in entries {
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
        let (name, priority) = (suite(Located { value: name, place })?, priority.transpose()?);
        match archives.iter_mut().find(|before| before.value.suite == name.value) {
            Some(before) => before.value.priority = priority.or(before.value.priority),
            None => archives.push(name.map(|suite| Archive { suite, priority })),
        }
    }
    Ok(archives)
}

/// Checks the pins of packages. The lock checks the syntax of versions later.
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
