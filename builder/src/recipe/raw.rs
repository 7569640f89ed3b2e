//! One recipe file as serde reads it: nothing but its shape is checked.

use super::{
    diagnostic::Diagnostic,
    place::{Located, Place, Source},
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
    pub(super) packages: RawList<String>,
    pub(super) provided: RawList<String>,
    pub(super) versions: BTreeMap<Spanned<String>, Spanned<RawPin>>,
    pub(super) drop: RawList<String>,
}

/// The name of a suite, or a table with its priority.
#[derive(Debug)]
pub(super) struct RawArchive {
    pub(super) suite: String,
    pub(super) priority: Option<Spanned<i64>>,
}

/// A version, or a table of version and suite.
#[derive(Debug, Default)]
pub(super) struct RawPin {
    pub(super) version: Option<String>,
    pub(super) suite: Option<String>,
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

/// A list: an array, or a table of what is taken away from the inherited list and what is added to it.
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

        d.deserialize_any(ListVisitor(PhantomData))
    }
}

/// A text that stands for a table with one key, or the table itself.
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
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            suite: String,
            priority: Option<Spanned<i64>>,
        }
        let from_text = |text: &str| Table { suite: text.to_owned(), priority: None };
        let expecting = "the name of a suite, or a table with `suite` and `priority`";
        let Table { suite, priority } = d.deserialize_any(Short { expecting, from_text, kind: PhantomData })?;
        Ok(Self { suite, priority })
    }
}

impl<'de> Deserialize<'de> for RawPin {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            version: Option<String>,
            suite: Option<String>,
        }
        let from_text = |text: &str| Table { version: Some(text.to_owned()), suite: None };
        let expecting = "a version like \"=26.1*\", or a table with `version` and `suite`";
        let Table { version, suite } = d.deserialize_any(Short { expecting, from_text, kind: PhantomData })?;
        Ok(Self { version, suite })
    }
}

impl RawRecipe {
    /// Reads the shape of one file.
    pub(super) fn parse(source: &Arc<Source>) -> Result<Self, Diagnostic> {
        toml::from_str(source.text()).map_err(|error| Diagnostic::from_toml(source, &error, table_of))
    }
}

/// A value of `source` with its place.
pub(super) fn locate<T>(source: &Arc<Source>, value: Spanned<T>) -> Located<T> {
    let place = Place::new(source, value.span());
    Located { value: value.into_inner(), place }
}

/// Where a key belongs that stands in the wrong table (in TOML, whatever follows `[table]` is in that table).
fn table_of(key: &str) -> Option<String> {
    let tables = [
        ("[debian]", keys_of::<RawDebian>()),
        ("[kernel]", keys_of::<RawKernel>()),
        ("[engine]", keys_of::<RawEngine>()),
        ("[disk]", keys_of::<RawDisk>()),
        ("[update]", keys_of::<RawUpdate>()),
        ("[health]", keys_of::<RawHealth>()),
        ("the recipe itself: write it above the first [table]", keys_of::<RawRecipe>()),
    ];
    tables.iter().find(|(_, keys)| keys.iter().any(|known| known == key)).map(|(table, _)| (*table).to_owned())
}

/// The keys of a table, asked of serde, which alone knows them.
fn keys_of<T: for<'de> Deserialize<'de>>() -> Vec<String> {
    let message = toml::from_str::<T>("'?' = 0").err().map(|error| error.message().to_owned()).unwrap_or_default();
    message.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}
