//! The types of one recipe file for serde. Only types and keys are checked here.

use super::{
    diagnostic::{Diagnostic, nearest},
    misfit::{Asked, Fault, Found, Misfit},
    place::{Located, Place, RecipeFile},
    shape::{self, keys_of},
};
use berth_contract::container::{ByteSize, ContainerSpec};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawRecipe {
    pub(super) id: Option<Spanned<String>>,
    pub(super) version: Option<Spanned<String>>,
    pub(super) extends: Option<Spanned<String>>,
    pub(super) arch: Option<Spanned<String>>,
    pub(super) debian: RawDebian,
    pub(super) kernel: RawKernel,
    pub(super) engine: RawEngine,
    pub(super) disk: RawDisk,
    pub(super) update: RawUpdate,
    pub(super) health: RawHealth,
    pub(super) config: RawConfig,
    pub(super) check: RawCheck,
    pub(super) overlays: RawList<String>,
    pub(super) oci: RawList<RawOci>,
    pub(super) container: RawList<ContainerSpec>,
    pub(super) device: RawList<RawDevice>,
    pub(super) scripts: BTreeMap<Spanned<String>, Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawDebian {
    pub(super) suite: Option<Spanned<String>>,
    pub(super) archives: RawList<RawArchive>,
    pub(super) components: RawList<String>,
    pub(super) mirror: RawList<String>,
    pub(super) keyring: Option<Spanned<String>>,
    pub(super) valid_until: Option<Spanned<String>>,
    pub(super) packages: RawList<String>,
    pub(super) provided: RawList<String>,
    pub(super) versions: BTreeMap<Spanned<String>, Spanned<RawPin>>,
    pub(super) drop: RawList<String>,
    pub(super) unpack_limit: Option<Spanned<ByteSize>>,
}

/// The name of a suite, or a table with its properties.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveTable {
    pub(super) suite: String,
    pub(super) name: Option<Spanned<String>>,
    pub(super) priority: Option<Spanned<i64>>,
    pub(super) mirror: Option<Vec<Spanned<String>>>,
    pub(super) keyring: Option<Spanned<String>>,
    pub(super) components: Option<Vec<Spanned<String>>>,
    pub(super) valid_until: Option<Spanned<String>>,
}

/// An entry of `archives`.
#[derive(Debug)]
pub(super) struct RawArchive(pub(super) ArchiveTable);

/// A version, or a table of version and suite.
#[derive(Debug, Default)]
pub(super) struct RawPin {
    pub(super) version: Option<String>,
    pub(super) suite: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinTable {
    version: Option<String>,
    suite: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawKernel {
    pub(super) package: Option<Spanned<String>>,
    pub(super) cmdline: RawList<String>,
    pub(super) modules: RawList<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawEngine {
    pub(super) kind: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawDisk {
    pub(super) esp: Option<Spanned<ByteSize>>,
    pub(super) slot: Option<Spanned<ByteSize>>,
    pub(super) var: Option<Spanned<ByteSize>>,
    pub(super) compression: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawUpdate {
    pub(super) trust: Option<Spanned<String>>,
    pub(super) source: Option<Spanned<String>>,
    pub(super) channel: Option<Spanned<String>>,
    pub(super) ca: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawHealth {
    pub(super) limit: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawConfig {
    pub(super) sources: RawList<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawCheck {
    pub(super) allow: RawList<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawOci {
    pub(super) image: Spanned<String>,
    pub(super) name: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawDevice {
    pub(super) path: Spanned<String>,
    #[serde(rename = "type")]
    pub(super) kind: Spanned<String>,
    pub(super) major: Option<Spanned<u32>>,
    pub(super) minor: Option<Spanned<u32>>,
    pub(super) mode: Option<Spanned<String>>,
}

/// A list: either an array, or a table with items to add to the inherited list and items to remove from it.
#[derive(Debug)]
pub(super) struct RawList<T> {
    pub(super) add: Vec<Spanned<T>>,
    pub(super) remove: Vec<Spanned<String>>,
}

impl<T> Default for RawList<T> {
    fn default() -> Self {
        Self { add: Vec::new(), remove: Vec::new() }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for RawList<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = RawList<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list, or a table with the lists `add` and `remove`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = RawList::default();
                while let Some(item) = items.next_element()? {
                    list.add.push(item);
                }
                Ok(list)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Change<T> {
                    #[serde(default = "Vec::new")]
                    add: Vec<Spanned<T>>,
                    #[serde(default)]
                    remove: Vec<Spanned<String>>,
                }
                let Change { add, remove } = Change::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawList { add, remove })
            }
        }

        d.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// Accepts either a table, or a text as a short form of a table with one key.
struct Short<T, F> {
    expecting: &'static str,
    from_text: F,
    kind: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnOnce(&str) -> T> Visitor<'de> for Short<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.from_text)(text))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de> Deserialize<'de> for RawArchive {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let from_text = |text: &str| ArchiveTable {
            suite: text.to_owned(),
            name: None,
            priority: None,
            mirror: None,
            keyring: None,
            components: None,
            valid_until: None,
        };
        let expecting = "the name of a suite, or a table with `suite` and `priority`";
        d.deserialize_any(Short { expecting, from_text, kind: PhantomData }).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawPin {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let from_text = |text: &str| PinTable { version: Some(text.to_owned()), suite: None };
        let expecting = "a version like \"=26.1*\", or a table with `version` and `suite`";
        let PinTable { version, suite } = d.deserialize_any(Short { expecting, from_text, kind: PhantomData })?;
        Ok(Self { version, suite })
    }
}

impl RawRecipe {
    /// Parses one recipe file.
    pub(super) fn parse(source: &Arc<RecipeFile>) -> Result<Self, Diagnostic> {
        shape::from_text(source.text()).map_err(|misfit| diagnose(source, misfit))
    }
}

/// A value of `source` with its place.
pub(super) fn locate<T>(source: &Arc<RecipeFile>, value: Spanned<T>) -> Located<T> {
    let place = Place::new(source, value.span());
    Located { value: value.into_inner(), place }
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
