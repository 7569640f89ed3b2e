//! The JSON Schema of a recipe, for editors.

use super::raw::RawRecipe;
use schemars::Schema;

/// The schema of one recipe file. Made from the types that read it.
#[must_use]
pub fn schema() -> Schema {
    berth_contract::schema::of_file::<RawRecipe>("Recipe of Berth")
}
