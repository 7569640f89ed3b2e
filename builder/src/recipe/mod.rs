//! The recipe: what an image is made of, as its author wrote it.
//!
//! A file is parsed into its raw shape, merged with the files that it extends, and checked. The result is a [`Recipe`]: each
//! value is valid by itself, and has its place in the text for later messages. Only [`read`] reads files.

mod archives;
mod check;
mod diagnostic;
mod drops;
mod merge;
mod misfit;
mod place;
mod raw;
mod read;
mod shape;
mod update;
mod value;

pub use diagnostic::{Diagnostic, nearest};
pub use drops::Drops;
pub use place::{Located, Place, RecipeFile};
pub use read::{ReadError, read};

use berth_contract::{
    arch::Arch,
    container::{ByteSize, ContainerSpec},
    engine::EngineKind,
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

/// A valid recipe. Lists are in the order of the files, the extended ones first, without repetitions.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The files it was read from, the extended ones first; the last is the recipe itself.
    pub files: Vec<Arc<RecipeFile>>,
    /// `id`.
    pub id: Located<ImageId>,
    /// `version`; the command line may give one instead.
    pub version: Option<Located<OsVersion>>,
    /// `arch`, `x86_64` by default.
    pub arch: Arch,
    /// `[debian]`.
    pub debian: Debian,
    /// `[kernel]`.
    pub kernel: Kernel,
    /// `[engine] kind`; a host without an engine has none.
    pub engine: Option<Located<EngineKind>>,
    /// `[disk]`.
    pub disk: Disk,
    /// `[update]`.
    pub update: Update,
    /// `[health]`.
    pub health: HealthSpec,
    /// `overlays`: later ones are laid over earlier ones.
    pub overlays: Vec<Located<Overlay>>,
    /// `[[oci]]`: images to preload.
    pub oci: Vec<OciEntry>,
    /// `[[container]]`: checked, names unique.
    pub containers: Vec<Located<ContainerSpec>>,
    /// `[[device]]`: device nodes, paths unique.
    pub devices: Vec<Located<Device>>,
    /// `[scripts]`: package name → what is done about its maintainer scripts.
    pub scripts: BTreeMap<String, Located<ScriptRule>>,
}

/// `[debian]`.
#[derive(Clone, Debug)]
pub struct Debian {
    /// `suite`, e.g. `trixie`.
    pub suite: Located<String>,
    /// `archives`: further suites, each once; `suite` itself only to give it a priority.
    pub archives: Vec<Located<Archive>>,
    /// `components`, `main` by default.
    pub components: Vec<String>,
    /// `mirror`: base URLs, tried in this order; empty: `--mirror` or the host's APT sources.
    pub mirror: Vec<Located<Url>>,
    /// `keyring`: path relative to the working directory, resolved from the file that names it.
    pub keyring: Option<Located<PathBuf>>,
    /// `packages`: names as Debian's policy allows them.
    pub packages: Vec<Located<String>>,
    /// `provided`: packages taken as installed.
    pub provided: Vec<Located<String>>,
    /// `versions`: package → what it has to be, if it is needed.
    pub versions: BTreeMap<String, Located<Pin>>,
    /// `drop`: files of packages that are left out.
    pub drop: Drops,
}

/// One of `archives`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// `suite`.
    pub suite: String,
    /// `priority`, never 0; `None`: the one of its InRelease.
    pub priority: Option<i16>,
}

/// One of `versions`; at least one part is set.
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
    /// `modules`: loaded at boot, in order.
    pub modules: Vec<Located<String>>,
}

/// `[disk]`: sizes in bytes as written. The plan checks whether they fit together.
#[derive(Clone, Debug)]
pub struct Disk {
    /// `esp`, 256 MiB by default.
    pub esp: ByteSize,
    /// `slot`, 1 GiB by default.
    pub slot: ByteSize,
    /// `var`, 512 MiB by default: before it grows to the disk's end.
    pub var: ByteSize,
    /// Key → place of those that the recipe gives.
    pub places: BTreeMap<&'static str, Place>,
}

/// `[update]`.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// `trust`: path relative to the working directory, resolved from the file that names it.
    pub trust: Option<Located<PathBuf>>,
    /// The part that the image passes on to its hosts.
    pub spec: UpdateSpec,
}

/// An overlay folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// `NAME`: the folder `overlays/NAME` beside the recipe's folder or one above it.
    Named(String),
    /// `./PATH` or `../PATH`, resolved from the folder of the file that names it.
    Path(PathBuf),
}

/// One `[[oci]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OciEntry {
    /// `image`.
    pub image: Located<OciSource>,
    /// `name`; without one, the image's own.
    pub name: Option<Located<String>>,
}

/// Where an OCI image lies; paths are resolved from the folder of the file that names them.
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
    /// `ignore`: the author says that the image does not need what they would do.
    Ignore,
}

impl Recipe {
    /// The recipe of `files`, the extended ones first. Reads no file.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub fn parse(files: Vec<Arc<RecipeFile>>) -> Result<Self, Diagnostic> {
        let mut merged = merge::Merged::default();
        for file in &files {
            merged.lay(file, raw::RawRecipe::parse(file)?)?;
        }
        check::recipe(files, merged)
    }

    /// The file that was asked for.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.last().map_or(Path::new(""), |file| file.path())
    }
}

impl Overlay {
    /// The origin of its files in a tree: `overlay NAME`, of a path the last part.
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
