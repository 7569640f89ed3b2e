//! The JSON Schema of a recipe, for editors.

use super::raw::RawRecipe;
use berth_contract::host_config::KEYS;
use berth_settings::{keys_of, top_level_keys};
use schemars::Schema;

/// The schema of one recipe file. Made from the types that read it.
#[must_use]
pub fn schema() -> Schema {
    berth_contract::schema::of_file::<RawRecipe>("Recipe of Berth")
}

/// Whether a TOML file has a key that only recipes have.
#[must_use]
pub fn is_recipe(text: &str) -> bool {
    let recipes = keys_of::<RawRecipe>();
    top_level_keys(text).iter().any(|key| recipes.contains(&key.as_str()) && !KEYS.contains(&key.as_str()))
}
