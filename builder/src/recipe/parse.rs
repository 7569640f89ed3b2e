//! Parses one recipe file, and explains what is wrong with its keys and types.

use super::{
    diagnostic::Diagnostic,
    place::{Place, RecipeFile},
    raw::{PinTable, RawCheck, RawConfig, RawDebian, RawDisk, RawEngine, RawHealth, RawKernel, RawRecipe, RawUpdate},
};
use berth_settings::{Explanation, explain, from_text, keys_of};
use std::sync::Arc;

/// Parses one recipe file.
pub(super) fn parse(source: &Arc<RecipeFile>) -> Result<RawRecipe, Diagnostic> {
    from_text(source.text()).map_err(|misfit| {
        let Explanation { span, message, expected, found, hint } = explain(source.text(), misfit, place_of);
        let fault = Diagnostic::new(&Place::new(source, span), message);
        let fault = expected.into_iter().fold(fault, Diagnostic::wanted);
        let fault = found.into_iter().fold(fault, Diagnostic::found);
        hint.into_iter().fold(fault, Diagnostic::with_hint)
    })
}

/// A hint for an unknown key.
fn place_of(key: &str, known: &'static [&'static str]) -> Option<String> {
    match table_of(key) {
        Some(table) => Some(format!("`{key}` is a key of {table}")),
        // In the table of a pin, an unknown key is usually the part of a package's name after a dot.
        None => (known == keys_of::<PinTable>()).then(Explanation::dots),
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
