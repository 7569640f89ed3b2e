//! Checks of single values that several tables of a recipe have.

use super::{Located, diagnostic::Diagnostic};
use berth_fetch::url::{BadUrl, Url};
use std::{collections::BTreeSet, path::PathBuf};

/// A checked value, or the diagnostic of its fault.
pub(super) type Checked<T> = Result<T, Diagnostic>;

/// Checks that `text` consists of letters, digits and `others`, and starts with a letter or digit.
pub(super) fn spelled(text: Located<String>, what: &str, others: &str, example: &str) -> Checked<Located<String>> {
    let good = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let starts = text.value.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && text.value.chars().all(good) && !text.value.contains("..") {
        return Ok(text);
    }
    let others: Vec<_> = others.chars().map(String::from).collect();
    Err(Diagnostic::new(&text.place, format!("{what} is not valid"))
        .wanted(format!("letters, digits and {}, e.g. {example:?}", others.join(" ")))
        .found(format!("{:?}", text.value)))
}

pub(super) fn suite(text: Located<String>) -> Checked<Located<String>> {
    spelled(text, "name of a suite", "-._/", "trixie")
}

/// Debian policy 5.6.7: at least two characters, lower-case letters, digits, `+ - .`, starting with a letter or digit.
pub(super) fn package(text: Located<String>) -> Checked<Located<String>> {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"+-.".contains(&c);
    let starts = text.value.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && text.value.len() >= 2 && text.value.bytes().all(good) {
        return Ok(text);
    }
    Err(Diagnostic::new(&text.place, "name of a package is not valid")
        .wanted("at least two lower-case letters, digits and + - .")
        .found(format!("{:?}", text.value)))
}

pub(super) fn path(text: Located<String>) -> Located<PathBuf> {
    Located { value: text.place.folder().join(&text.value), place: text.place }
}

/// The value with the name `text`.
pub(super) fn one_of<T: Copy>(text: &Located<String>, known: &[(&str, T)]) -> Checked<T> {
    known.iter().find(|(name, _)| *name == text.value).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        Diagnostic::new(&text.place, "unknown value")
            .wanted(names.join(", "))
            .found(format!("{:?}", text.value))
            .nearest(&text.value, names)
    })
}

/// Removes repetitions (a recipe may repeat items of the file that it extends) and checks the remaining items.
pub(super) fn set<T>(
    items: Vec<Located<String>>,
    check: impl Fn(Located<String>) -> Checked<Located<T>>,
) -> Checked<Vec<Located<T>>> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(item.value.clone())).map(check).collect()
}

/// `components`; `main` if there are none.
pub(super) fn components(items: Vec<Located<String>>) -> Checked<Vec<String>> {
    let items = set(items, |text| spelled(text, "name of a component", "-._/", "main"))?;
    Ok(if items.is_empty() { vec!["main".to_owned()] } else { items.into_iter().map(|item| item.value).collect() })
}

pub(super) fn mirror(text: Located<String>) -> Checked<Located<Url>> {
    match text.value.parse() {
        Ok(value) => Ok(Located { value, place: text.place }),
        Err(BadUrl { found, wanted }) => Err(Diagnostic::new(&text.place, "mirror is not valid")
            .wanted(format!("a URL with {wanted}"))
            .found(format!("{found:?}"))),
    }
}
