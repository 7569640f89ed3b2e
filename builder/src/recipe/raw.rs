//! The types of one recipe file for serde. Only types and keys are checked here.

use super::{
    place::{Located, Place, RecipeFile},
    spanned::Spanned,
    words::{CompressionWord, DeviceWord, ScriptWord, ValidUntilWord},
};
use berth_contract::container::{ByteSize, ContainerSpec};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, sync::Arc};

/// A recipe: the description of an image (docs/recipe.md).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawRecipe {
    /// Image id: 1 to 48 of a-z, 0-9 and `-`. Required in the recipe or in one that it extends.
    pub(super) id: Option<Spanned<String>>,
    /// Version of the image: letters, digits and `.~^-`. `--version` replaces it.
    pub(super) version: Option<Spanned<String>>,
    /// Recipe that this one is applied on top of, relative to this file.
    pub(super) extends: Option<Spanned<String>>,
    /// Architecture. Default: `x86_64`.
    #[schemars(with = "Option<berth_contract::arch::Arch>")]
    pub(super) arch: Option<Spanned<String>>,
    /// Packages and their archives.
    pub(super) debian: RawDebian,
    /// The kernel.
    pub(super) kernel: RawKernel,
    /// The container engine.
    pub(super) engine: RawEngine,
    /// Sizes of the partitions.
    pub(super) disk: RawDisk,
    /// Where hosts get new versions from.
    pub(super) update: RawUpdate,
    /// The API of the host over the network.
    pub(super) remote: RawRemote,
    /// The verdict on a new version.
    pub(super) health: RawHealth,
    /// Places of host.toml.
    pub(super) config: RawConfig,
    /// The check of the image.
    pub(super) check: RawCheck,
    /// Overlay folders: `NAME` for overlays/NAME, or `./PATH`.
    pub(super) overlays: RawList<String>,
    /// Container images to preload.
    pub(super) oci: RawList<RawOci>,
    /// Containers that each host starts.
    pub(super) container: RawList<ContainerSpec>,
    /// Device nodes in the image.
    pub(super) device: RawList<RawDevice>,
    /// Rules for maintainer scripts, by package: `"ignore"`.
    #[schemars(with = "BTreeMap<String, ScriptWord>")]
    pub(super) scripts: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// `[debian]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawDebian {
    /// Suite, e.g. `trixie`. Required in the recipe or in one that it extends.
    pub(super) suite: Option<Spanned<String>>,
    /// Further suites, and archives of others.
    pub(super) archives: RawList<RawArchive>,
    /// Components. Default: `main`.
    pub(super) components: RawList<String>,
    /// Base URLs of mirrors, tried in order.
    pub(super) mirror: RawList<String>,
    /// OpenPGP keys that may sign InRelease, relative to this file.
    pub(super) keyring: Option<Spanned<String>>,
    /// `ignore` accepts an archive after its date `Valid-Until`. Default: `check`.
    #[schemars(with = "Option<ValidUntilWord>")]
    pub(super) valid_until: Option<Spanned<String>>,
    /// Packages of the image. Dependencies are added.
    pub(super) packages: RawList<String>,
    /// Packages that count as installed without being in the image.
    pub(super) provided: RawList<String>,
    /// Version requirements, by package.
    pub(super) versions: BTreeMap<Spanned<String>, Spanned<RawPin>>,
    /// Globs of package files to leave out, without a leading `/`.
    pub(super) drop: RawList<String>,
    /// How many bytes one package, and one kernel module, may unpack to.
    pub(super) unpack_limit: Option<Spanned<ByteSize>>,
}

/// A suite or an archive, with its properties.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveTable {
    /// The archive's own name of the suite. A path that ends in a slash for a flat archive.
    pub(super) suite: String,
    /// Name in `versions`, messages and the lock. Default: the suite.
    pub(super) name: Option<Spanned<String>>,
    /// Priority as in apt_preferences(5), not 0.
    pub(super) priority: Option<Spanned<i64>>,
    /// Base URLs. Default: those of `[debian]`.
    pub(super) mirror: Option<Vec<Spanned<String>>>,
    /// OpenPGP keys that may sign this archive, relative to this file.
    pub(super) keyring: Option<Spanned<String>>,
    /// Components. Default: those of `[debian]`.
    pub(super) components: Option<Vec<Spanned<String>>>,
    /// As in `[debian]`.
    #[schemars(with = "Option<ValidUntilWord>")]
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

/// A version requirement of a package.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PinTable {
    /// Allowed versions: `=V`, `=V*`, `<<V`, `<=V`, `>=V` or `>>V`.
    version: Option<String>,
    /// Suite that the package comes from.
    suite: Option<String>,
}

/// `[kernel]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawKernel {
    /// Kernel package, e.g. `linux-image-cloud-amd64`.
    pub(super) package: Option<Spanned<String>>,
    /// Words of the kernel command line.
    pub(super) cmdline: RawList<String>,
    /// Kernel modules to load at boot, in this order.
    pub(super) modules: RawList<String>,
}

/// `[engine]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawEngine {
    /// The container engine.
    #[schemars(with = "Option<berth_contract::engine::EngineKind>")]
    pub(super) kind: Option<Spanned<String>>,
}

/// `[disk]`. Sizes are multiples of 1 MiB.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawDisk {
    /// EFI system partition. Default: 256MiB.
    pub(super) esp: Option<Spanned<ByteSize>>,
    /// Root file system of each slot. Default: 1GiB.
    pub(super) slot: Option<Spanned<ByteSize>>,
    /// `/var`; grows to the end of the disk at the first boot. Default: 512MiB.
    pub(super) var: Option<Spanned<ByteSize>>,
    /// Only `none`: the root file system is never compressed on disk.
    #[schemars(with = "Option<CompressionWord>")]
    pub(super) compression: Option<Spanned<String>>,
}

/// `[update]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawUpdate {
    /// root.json with the keys that sign releases, relative to this file.
    pub(super) trust: Option<Spanned<String>>,
    /// Where releases are: a URL, a folder or bundle on the host, or `disk:LABEL[/PATH]`.
    pub(super) source: Option<Spanned<String>>,
    /// Channel. Default: `stable`.
    pub(super) channel: Option<Spanned<String>>,
    /// PEM text of a certificate authority that is trusted for `source`, in addition to those of the image.
    pub(super) ca: Option<Spanned<String>>,
}

/// `[remote]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawRemote {
    /// Address and port to listen on. Default: `0.0.0.0:7443`.
    pub(super) listen: Option<Spanned<String>>,
    /// PEM text of the authorities that sign clients' certificates.
    pub(super) ca: Option<Spanned<String>>,
    /// PEM text of certificate revocation lists.
    pub(super) crl: Option<Spanned<String>>,
    /// Serial numbers of client certificates that are refused, in hexadecimal digits.
    pub(super) revoked: RawList<String>,
}

/// `[health]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawHealth {
    /// Time limit for the verdict on a new version, in seconds since the start of the kernel. Default: 300.
    pub(super) limit: Option<Spanned<u32>>,
}

/// `[config]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawConfig {
    /// Places where a host may look for host.toml. Default: all.
    #[schemars(with = "RawList<berth_contract::config_source::ConfigSource>")]
    pub(super) sources: RawList<String>,
}

/// `[check]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(super) struct RawCheck {
    /// Globs of files whose faults are no errors; `container/NAME` for a container.
    pub(super) allow: RawList<String>,
}

/// A container image to preload.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawOci {
    /// `oci-archive:FILE.tar` or `oci:FOLDER`, relative to this file.
    pub(super) image: Spanned<String>,
    /// Name that the engine gives the image. Default: the image's own.
    pub(super) name: Option<Spanned<String>>,
}

/// A device node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RawDevice {
    /// Path in the image.
    pub(super) path: Spanned<String>,
    /// Kind of the device.
    #[schemars(with = "DeviceWord")]
    #[serde(rename = "type")]
    pub(super) kind: Spanned<String>,
    /// Major number. Not for `fifo`.
    pub(super) major: Option<Spanned<u32>>,
    /// Minor number. Not for `fifo`.
    pub(super) minor: Option<Spanned<u32>>,
    /// Permission bits, octal. Default: "0600".
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

/// A value of `source` with its place.
pub(super) fn locate<T>(source: &Arc<RecipeFile>, value: Spanned<T>) -> Located<T> {
    let place = Place::new(source, value.span());
    Located { value: value.into_inner(), place }
}

impl<T: JsonSchema> JsonSchema for RawList<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ListOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({
            "anyOf": [
                { "type": "array", "items": items },
                {
                    "type": "object",
                    "description": "Changes an inherited list",
                    "properties": {
                        "add": { "type": "array", "items": items, "description": "Items to add" },
                        "remove": {
                            "type": "array",
                            "items": { "type": "string" },
                            "description": "Names of inherited items to remove",
                        },
                    },
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// The schema of a value that is a text or a table.
macro_rules! text_or {
    ($($type:ident $table:ident;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<$table>()] })
            }
        }
    )*};
}
text_or! {
    RawArchive ArchiveTable;
    RawPin PinTable;
}
