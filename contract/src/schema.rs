//! JSON Schemas of values that are written as one text, and the schema of a whole file. Editors check and complete TOML files with them.

use crate::{
    arch::Arch,
    container::{ByteSize, NetworkMode, PortSpec, VolumeSpec},
    digest::RootHash,
    entry::BootEntry,
    system_config::Parameter,
    time_config::TimeServer,
    version::{ImageId, OsVersion},
};
use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema, transform::transform_subschemas,
};
use serde_json::Value;
use std::borrow::Cow;

/// Implements [`JsonSchema`] for types that are written as a text with a pattern.
macro_rules! texts {
    ($($type:ident: $pattern:literal, $description:literal;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    )*};
}

texts! {
    NetworkMode: "^(bridge|host|none|container:.+)$", "bridge, host, none, or container:NAME";
    PortSpec: r"^((\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]+):)?[0-9]{1,5}:[0-9]{1,5}(/(tcp|udp))?$", "[ADDRESS:]HOST:CONTAINER[/tcp|/udp]";
    BootEntry: r"^[a-z0-9-]+_[^_+]+([+][0-9]+(-[0-9]+)?)?[.]efi$", "Name of a boot entry: ID_VERSION.efi or ID_VERSION+LEFT-DONE.efi";
    ImageId: "^[a-z0-9][a-z0-9-]{0,47}$", "Id of an image";
    OsVersion: "^[A-Za-z0-9][A-Za-z0-9.~^-]{0,47}$", "Version of an image, e.g. 2026.11.0";
    RootHash: "^[0-9a-f]{64}$", "A root hash";
    VolumeSpec: "^([A-Za-z0-9][A-Za-z0-9_.-]*|/[^:]*):/[^:]*(:ro|:rw)?$", "NAME:/TARGET[:ro], or /PATH:/TARGET[:ro]";
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size: a number of bytes, or a text such as \"512MiB\" or \"1GiB\"",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)?$" },
            ],
        })
    }
}

impl JsonSchema for Parameter {
    fn schema_name() -> Cow<'static, str> {
        "Parameter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "description": "A kernel parameter: a text or a whole number" })
    }
}

impl JsonSchema for TimeServer {
    fn schema_name() -> Cow<'static, str> {
        "TimeServer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time server: a name or address with an optional port, or a table with `address` and `nts`",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "address": { "type": "string" }, "nts": { "type": "boolean" } },
                    "required": ["address"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl JsonSchema for Arch {
    fn schema_name() -> Cow<'static, str> {
        "Arch".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::all().map(|arch| arch.name).collect();
        json_schema!({ "type": "string", "enum": names, "description": "Architecture of the image" })
    }
}

/// The schema of a TOML file with the content `T`, in draft 07, which editors know best.
#[must_use]
pub fn of_file<T: JsonSchema>(title: &str) -> Schema {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    without_null(&mut schema);
    schema.insert("title".to_owned(), title.into());
    schema
}

/// TOML has no null: an optional key is left out instead. So the schema must not offer it.
fn without_null(schema: &mut Schema) {
    transform_subschemas(&mut without_null, schema);
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [one] = &kinds[..] {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}
