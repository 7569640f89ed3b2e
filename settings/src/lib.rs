//! Reads TOML files that users write: recipes, host.toml and service files. A fault has its place, the expected and the found value, and a hint.
//!
//! Text in, values out: without I/O. PID 1, hostctl and the builder use the same code, so a file that is good on a desk is good on a host.
#![deny(missing_docs)]

mod explain;
mod host_toml;
mod misfit;
mod nearest;
mod secrets;
mod shape;
mod text_fault;
mod value_place;

pub use explain::{Explanation, explain};
pub use host_toml::host_config;
pub use nearest::nearest;
pub use secrets::without_secrets;
pub use shape::{from_text, keys_of, top_level_keys};
pub use text_fault::TextFault;

use serde::Deserialize;

/// Parses a file.
///
/// # Errors
/// The first fault: not TOML, an unknown key, a value of another type, a value that its type refuses.
pub fn parse<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, TextFault> {
    shape::from_text(text).map_err(|misfit| TextFault::new(text, explain(text, misfit, |_, _| None)))
}
