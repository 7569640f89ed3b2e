//! Parses one recipe file, and explains what is wrong with its keys and types.

use super::{
    diagnostic::{Diagnostic, nearest},
    misfit::{Asked, Fault, Found, Misfit},
    place::{Place, RecipeFile},
    raw::{PinTable, RawCheck, RawConfig, RawDebian, RawDisk, RawEngine, RawHealth, RawKernel, RawRecipe, RawUpdate},
    shape::{self, keys_of},
};
use std::sync::Arc;

/// Parses one recipe file.
pub(super) fn parse(source: &Arc<RecipeFile>) -> Result<RawRecipe, Diagnostic> {
    shape::from_text(source.text()).map_err(|misfit| diagnose(source, misfit))
}

/// Makes the diagnostic of a deserialization error.
fn diagnose(source: &Arc<RecipeFile>, misfit: Misfit) -> Diagnostic {
    let Misfit { fault, span, asked } = misfit;
    let place = Place::new(source, span.unwrap_or_default());
    match fault {
        Fault::Syntax(message) => Diagnostic::new(&place, message)
            .with_hint("a recipe is written in TOML: texts in quotes, lists in [ ], one key = value on each line; see https://toml.io"),
        Fault::Other(message) => Diagnostic::new(&place, message),
        Fault::UnknownKey { key, known } => unknown_key(&place, &key, known),
        Fault::MissingKey(key) => Diagnostic::new(&place, format!("key `{key}` is missing")),
        Fault::WrongType { wanted, found } => wrong_type(&place, asked, wanted, found),
        Fault::BadValue { wanted, found } => {
            let wanted = match asked {
                Some(Asked::Whole { least, most }) => format!("a whole number from {least} to {most}"),
                _ => wanted,
            };
            let found = match found {
                Found::Text(text) => format!("{text:?}"),
                other => other.to_string(),
            };
            Diagnostic::new(&place, "value is not valid").wanted(wanted).found(found)
        }
        Fault::UnknownWord { found, known } => Diagnostic::new(&place, "unknown value")
            .wanted(known.join(", "))
            .found(format!("{found:?}"))
            .nearest(&found, known.iter().copied()),
    }
}

const DOTS: &str = "in TOML, a dot in a key makes a table: write a name with a dot in quotes";

fn unknown_key(place: &Place, key: &str, known: &'static [&'static str]) -> Diagnostic {
    let fault = Diagnostic::new(place, format!("unknown key `{key}`")).wanted(known.join(", "));
    match (nearest(key, known.iter().copied()), table_of(key)) {
        (Some(near), _) => fault.with_hint(format!("did you mean `{near}`?")),
        (None, Some(table)) => fault.with_hint(format!("`{key}` is a key of {table}")),
        // In the table of a pin, an unknown key is usually the part of a package's name after a dot.
        (None, None) if known == keys_of::<PinTable>() => fault.with_hint(DOTS),
        (None, None) => fault,
    }
}

fn wrong_type(place: &Place, asked: Option<Asked>, wanted: String, found: Found) -> Diagnostic {
    let wanted = match asked {
        Some(Asked::Whole { .. }) => "a whole number".to_owned(),
        Some(Asked::Number) => "a number".to_owned(),
        Some(Asked::Table) => "a table".to_owned(),
        _ => wanted,
    };
    let fault = Diagnostic::new(place, "wrong type").wanted(wanted).found(found.to_string());
    // The value is a number or a word without quotes.
    let bare = place.text().chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    match (asked, found) {
        (Some(Asked::Text), Found::Table) => fault.with_hint(DOTS),
        (Some(Asked::Text), Found::Other(_)) if bare => {
            fault.with_hint(format!("write \"{}\"", place.text().trim_start_matches("0o")))
        }
        (Some(Asked::List), Found::Text(_)) => fault.with_hint(format!("write [{}]", place.text())),
        _ => fault,
    }
}

/// The table to which a misplaced key belongs. Keys are often misplaced because all keys after `[table]` are in that table.
fn table_of(key: &str) -> Option<&'static str> {
    let tables = [
        ("[debian]", keys_of::<RawDebian>()),
        ("[kernel]", keys_of::<RawKernel>()),
        ("[engine]", keys_of::<RawEngine>()),
        ("[disk]", keys_of::<RawDisk>()),
        ("[update]", keys_of::<RawUpdate>()),
        ("[health]", keys_of::<RawHealth>()),
        ("[config]", keys_of::<RawConfig>()),
        ("[check]", keys_of::<RawCheck>()),
        ("the recipe itself: write it above the first [table]", keys_of::<RawRecipe>()),
    ];
    tables.iter().find(|(_, keys)| keys.contains(&key)).map(|(table, _)| *table)
}
