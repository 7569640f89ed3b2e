//! The words of a recipe's keys that allow only some, with their meanings.

use super::{ScriptRule, ValidUntil};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// The words of `valid_until`.
pub(super) const VALID_UNTIL: [(&str, ValidUntil); 2] = [("check", ValidUntil::Check), ("ignore", ValidUntil::Ignore)];
/// The words of `compression`.
pub(super) const COMPRESSIONS: [(&str, ()); 1] = [("none", ())];
/// The words of `type` of a device.
pub(super) const DEVICE_KINDS: [(&str, char); 3] = [("char", 'c'), ("block", 'b'), ("fifo", 'p')];
/// The words of `[scripts]`.
pub(super) const SCRIPT_RULES: [(&str, ScriptRule); 1] = [("ignore", ScriptRule::Ignore)];

/// Types whose JSON Schema allows the words of a list.
macro_rules! word_types {
    ($($(#[$doc:meta])* $type:ident of $words:ident;)*) => {$(
        $(#[$doc])*
        pub(super) enum $type {}

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "enum": $words.map(|(word, _)| word) })
            }
        }
    )*};
}
word_types! {
    /// A word of [`VALID_UNTIL`].
    ValidUntilWord of VALID_UNTIL;
    /// A word of [`COMPRESSIONS`].
    CompressionWord of COMPRESSIONS;
    /// A word of [`DEVICE_KINDS`].
    DeviceWord of DEVICE_KINDS;
    /// A word of [`SCRIPT_RULES`].
    ScriptWord of SCRIPT_RULES;
}
