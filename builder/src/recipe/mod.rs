//! The recipe: the description of an image.
//!
//! A file is parsed into the types of module `raw`, merged with the files that it extends, and checked. The result is a [`Recipe`]. Each
//! value is valid by itself, and keeps its place in the text for later messages. Only [`read`] reads files.

mod archives;
mod check;
mod diagnostic;
mod drops;
mod merge;
mod parse;
mod place;
mod raw;
mod read;
mod remote;
mod schema;
mod spanned;
mod update;
mod value;
mod words;

pub use berth_settings::nearest;
pub use diagnostic::Diagnostic;
pub use drops::Drops;
pub use place::{Located, Place, RecipeFile};
pub use read::{ReadError, read};
pub use schema::{is_recipe, schema};

use berth_contract::{
    arch::Arch,
    config_source::ConfigSource,
    container::{ByteSize, ContainerSpec},
    engine::EngineKind,
    remote_config::RemoteConfig,
    update::{HealthSpec, UpdateSpec},
    version::{ImageId, OsVersion},
};
use berth_fetch::url::Url;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A valid recipe. Lists have the order of the files, extended files first, without repetitions.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The files of the recipe, extended files first. The last one is the recipe file itself.
    pub files: Vec<Arc<RecipeFile>>,
    /// `id`.
    pub id: Located<ImageId>,
    /// `version`. The command line can replace it.
    pub version: Option<Located<OsVersion>>,
    /// `arch`, `x86_64` by default.
    pub arch: Arch,
    /// `[debian]`.
    pub debian: Debian,
    /// `[kernel]`.
    pub kernel: Kernel,
    /// `[engine] kind`. `None` for a host without a container engine.
    pub engine: Option<Located<EngineKind>>,
    /// `[disk]`.
    pub disk: Disk,
    /// `[update]`.
    pub update: Update,
    /// `[remote]`. `None` if the recipe does not have it.
    pub remote: Option<RemoteConfig>,
    /// `[health]`.
    pub health: HealthSpec,
    /// `[config] sources`, in order of precedence. All if the recipe names none.
    pub config_sources: Vec<ConfigSource>,
    /// `[check] allow`: files whose faults are no errors.
    pub allow: Drops,
    /// `overlays`. Files of later overlays replace files of earlier overlays.
    pub overlays: Vec<Located<Overlay>>,
    /// `[[oci]]`: images to preload.
    pub oci: Vec<OciEntry>,
    /// `[[container]]`: checked, names unique.
    pub containers: Vec<Located<ContainerSpec>>,
    /// `[[device]]`: device nodes, paths unique.
    pub devices: Vec<Located<Device>>,
    /// `[scripts]`: package name → rule for its maintainer scripts.
    pub scripts: BTreeMap<String, Located<ScriptRule>>,
}

/// `[debian]`.
#[derive(Clone, Debug)]
pub struct Debian {
    /// `suite`, e.g. `trixie`.
    pub suite: Located<String>,
    /// `valid_until`: whether archives may have expired. Those in `archives` can have another value.
    pub valid_until: ValidUntil,
    /// `archives`: additional suites, each name once. Contains `suite` only if the recipe gives it a priority.
    pub archives: Vec<Located<Archive>>,
    /// `components`, `main` by default.
    pub components: Vec<String>,
    /// `mirror`: base URLs, tried in this order. If empty, `--mirror` or the host's APT sources are used.
    pub mirror: Vec<Located<Url>>,
    /// `keyring`: already joined to the folder of the recipe file that names it.
    pub keyring: Option<Located<PathBuf>>,
    /// `packages`: names as Debian's policy allows them.
    pub packages: Vec<Located<String>>,
    /// `provided`: packages that count as installed.
    pub provided: Vec<Located<String>>,
    /// `versions`: package → pin. A pin does not request its package.
    pub versions: BTreeMap<String, Located<Pin>>,
    /// `drop`: files of packages that are not put into the image.
    pub drop: Drops,
    /// `unpack_limit`: how many bytes one package, or one kernel module, may unpack to. `None`: limits that fit Debian's packages.
    pub unpack_limit: Option<ByteSize>,
}

/// One entry of `archives`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// `name`, or `suite` without it: the name in pins and in the lock.
    pub name: String,
    /// `suite`.
    pub suite: String,
    /// `priority`, never 0. `None`: use the priority of its InRelease.
    pub priority: Option<i16>,
    /// `mirror`: its own mirrors. If empty, it is in the archive of the main suite, or in one of the same mirrors.
    pub mirror: Vec<Url>,
    /// `keyring`: already joined to the folder of the recipe file. `None`: the keyring of the main suite.
    pub keyring: Option<PathBuf>,
    /// `components`. `None`: those of the main suite.
    pub components: Option<Vec<String>>,
    /// `valid_until`. `None`: as for the main suite.
    pub valid_until: Option<ValidUntil>,
}

/// `valid_until`: what to do with an archive that has expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValidUntil {
    /// `check`: it is an error.
    #[default]
    Check,
    /// `ignore`: use it.
    Ignore,
}

/// One entry of `versions`. At least one field is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// `version`, as written.
    pub version: Option<String>,
    /// `suite`, one of the recipe's.
    pub suite: Option<String>,
}

/// `[kernel]`.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `package`, e.g. `linux-image-cloud-amd64`.
    pub package: Located<String>,
    /// `cmdline`: words of the kernel command line, in order.
    pub cmdline: Vec<String>,
    /// `modules`: kernel modules to load at boot, in order.
    pub modules: Vec<Located<String>>,
}

/// `[disk]`: sizes in bytes as in the recipe. The module `plan` checks whether they fit together.
#[derive(Clone, Debug)]
pub struct Disk {
    /// `esp`, 256 MiB by default.
    pub esp: ByteSize,
    /// `slot`, 1 GiB by default.
    pub slot: ByteSize,
    /// `var`, 512 MiB by default. At the first boot, the partition grows to the end of the disk.
    pub var: ByteSize,
    /// Key → place, for the sizes that the recipe gives.
    pub places: BTreeMap<&'static str, Place>,
}

/// `[update]`.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// `trust`: already joined to the folder of the recipe file that names it.
    pub trust: Option<Located<PathBuf>>,
    /// The settings that are stored in the image, for `hostctl`.
    pub spec: UpdateSpec,
}

/// An overlay folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// `NAME`: the folder `overlays/NAME` in the folder of the recipe file or in a folder above.
    Named(String),
    /// `./PATH` or `../PATH`, already joined to the folder of the recipe file that names it.
    Path(PathBuf),
}

/// One `[[oci]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciEntry {
    /// `image`.
    pub image: Located<OciSource>,
    /// `name`. `None`: use the name in the image's annotations, or the name of its file.
    pub name: Option<Located<String>>,
}

/// The path of an OCI image, already joined to the folder of the recipe file that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OciSource {
    /// `oci-archive:PATH`: a tar of an image layout.
    Archive(PathBuf),
    /// `oci:PATH`: the folder of an image layout.
    Layout(PathBuf),
}

/// One `[[device]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `path` in the image, without a leading `/`.
    pub path: String,
    /// `type`, `major` and `minor`.
    pub kind: DeviceKind,
    /// `mode`: permission bits, 0600 by default.
    pub mode: u16,
}

/// The kind of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `char`.
    Char {
        /// Major number, below 4096.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
    /// `block`.
    Block {
        /// Major number, below 4096.
        major: u32,
        /// Minor number, below 2^20.
        minor: u32,
    },
    /// `fifo`.
    Fifo,
}

/// The rule for a package's maintainer scripts that the builder does not cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptRule {
    /// `ignore`: the image does not need the effect of these scripts.
    Ignore,
}

impl Recipe {
    /// Makes the recipe from `files`, extended files first. Does not read from disk.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(files: Vec<Arc<RecipeFile>>) -> Result<Self, Diagnostic> {
        let mut merged = merge::Merged::default();
        for file in &files {
            merged.lay(file, parse::parse(file)?)?;
        }
        check::recipe(files, merged)
    }

    /// The path of the recipe file itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.last().map_or(Path::new(""), |file| file.path())
    }
}

impl Overlay {
    /// The origin of its files in a tree: `overlay NAME`. For a path, NAME is its last part.
    #[must_use]
    pub fn origin(&self) -> String {
        match self {
            Self::Named(name) => format!("overlay {name}"),
            Self::Path(path) => format!("overlay {}", path.file_name().unwrap_or_default().to_string_lossy()),
        }
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}
