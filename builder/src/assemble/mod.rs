//! Makes the root tree from locked and fetched packages, overlays and the recipe.
//!
//! This module runs no program and writes only to the cache. The tree does not copy the content of packages and overlays: it
//! refers to their files. Files that this module generates are in memory.

pub mod alternatives;
pub mod capability;
pub mod change;
pub mod error;
pub mod scripts;

mod account;
mod accounts;
mod certificates;
mod copyright;
mod declaration;
mod effects;
mod index;
mod kernel;
mod libraries;
mod module_cache;
mod modules;
mod os_release;
mod own;
mod packages;
mod pam;
mod preload;
mod shells;
mod skeleton;
mod spec;
mod sysusers;
mod tmpfiles;
mod unpack;
mod var;

pub use error::{AssembleError, UncoveredScript};
pub use kernel::KernelParts;
pub use libraries::folders as library_folders;
pub use os_release::os_release;
pub use own::{OwnFile, own_files};
pub use preload::{Preloaded, preload};
pub use spec::image_spec;
pub use unpack::PackageInput;

use crate::{
    recipe::{Device, Drops, Located, ScriptRule},
    tree::{Kind, Node, Tree, TreePath, Verdict},
};
use berth_contract::{container::ByteSize, image_spec::ImageSpec};
use berth_formats::data::Data;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use unpack::Unpacked;

/// The inputs of a root tree.
#[derive(Debug)]
pub struct AssembleInput<'a> {
    /// Folder of the cache. Packages are unpacked into its subfolder `unpacked/`.
    pub cache: &'a Path,
    /// Packages, in any order.
    pub packages: &'a [PackageInput],
    /// Nodes of overlays ([`crate::source::local::nodes`]). A later overlay replaces files of an earlier one. Origins are
    /// `overlay NAME`.
    pub overlays: &'a [Vec<(TreePath, Node)>],
    /// `[[device]]`.
    pub devices: &'a [Located<Device>],
    /// `debian.drop`.
    pub drop: &'a Drops,
    /// `debian.unpack_limit`.
    pub unpack_limit: Option<ByteSize>,
    /// `[scripts]`.
    pub scripts: &'a BTreeMap<String, Located<ScriptRule>>,
    /// `kernel.modules`. Each one must be in the image.
    pub modules: &'a [Located<String>],
    /// Files that the builder adds: see [`own_files`].
    pub files: &'a [OwnFile],
    /// Written to [`berth_contract::paths::IMAGE_SPEC`] after [`assemble`] has set its kernel release.
    pub image: ImageSpec,
    /// Codename of the suite, for os-release.
    pub codename: &'a str,
}

/// A finished root tree, and the parts that were taken out of it.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The root file system.
    pub tree: Tree,
    /// The kernel, for the UKI.
    pub kernel: KernelParts,
    /// systemd's EFI stub, for the UKI.
    pub stub: Data,
    /// systemd-boot, for the ESP.
    pub systemd_boot: Data,
    /// os-release, for the UKI.
    pub os_release: String,
    /// The files that packages and overlays ship below /var, as a tree whose root is /var. The host creates the same files at
    /// each boot from tmpfiles.d, so an empty /var works as well.
    pub var: Tree,
    /// The lines of maintainer scripts that have no effect in the image, because the recipe ignores these scripts.
    pub ignored: Vec<UncoveredScript>,
    /// Bytes of regular files by origin.
    pub sizes: BTreeMap<String, u64>,
    /// Messages for the author of the recipe.
    pub warnings: Vec<String>,
}

/// Folder of the package systemd-boot-efi. The root file system needs none of its files.
const BOOT_FOLDER: &str = "usr/lib/systemd/boot";

/// Makes the root tree.
///
/// # Errors
/// - A package cannot be unpacked, or two packages conflict.
/// - A maintainer script is not covered.
/// - A line of sysusers.d or tmpfiles.d cannot be applied.
/// - A part that every image needs is missing.
pub fn assemble(input: AssembleInput<'_>) -> Result<Assembled, AssembleError> {
    let origin: Arc<str> = own::ORIGIN.into();
    let mut warnings = Vec::new();
    let mut packages: Vec<(&PackageInput, Unpacked)> =
        input.packages.iter().zip(unpack::unpack(input.cache, input.packages, input.unpack_limit)?).collect();
    packages.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let effects = effects::of(&packages, input.scripts, &mut warnings)?;

    let mut tree = skeleton::tree(&origin)?;
    let owned = packages::insert(&mut tree, &packages, &effects.diversions)?;
    for (path, node) in input.overlays.iter().flatten() {
        skeleton::give_way(&mut tree, path, node);
        tree.insert(path, node.clone(), |_, _| Verdict::TakeNew)?;
    }
    let arch = input.image.arch;
    let stub = take_part(&mut tree, &format!("linux{}.efi.stub", arch.efi), "systemd's EFI stub")?;
    let systemd_boot = take_part(&mut tree, &format!("systemd-boot{}.efi", arch.efi), "systemd-boot")?;
    tree.remove(BOOT_FOLDER.as_bytes());
    let packed = modules::rename(&mut tree)?;
    let kernel = kernel::take(&mut tree)?;

    // Order: first the steps that read files which the recipe may drop, then the drop, then the steps that list files.
    let accounts = accounts::apply(&mut tree, &effects.sysusers, &origin)?;
    packages::own(&mut tree, &owned, &accounts);
    change::apply(&mut tree, &effects.changes, &accounts)?;
    let mut lines = declaration::read(&tree, "tmpfiles")?;
    lines.extend(effects.tmpfiles.iter().cloned());
    tmpfiles::apply(&mut tree, &lines, &accounts, &origin, &mut warnings)?;
    certificates::apply(&mut tree, &origin)?;
    pam::apply(&mut tree)?;
    shells::apply(&mut tree)?;
    let notices = copyright::find(&tree, packages.iter().map(|(package, _)| *package), &mut warnings);
    drop_files(&mut tree, input.drop, &packed, &mut warnings);
    modules::unpack(&mut tree, &packed, input.unpack_limit)?;
    copyright::keep(&mut tree, &notices)?;
    alternatives::apply(&mut tree, &effects.alternatives, &origin)?;
    alternatives::remove_dangling(&mut tree);
    libraries::apply(&mut tree, arch, &origin)?;
    kernel::check_modules(&tree, &kernel.release, input.modules)?;
    warnings.extend(kernel::index_modules(&mut tree, &kernel.release, &origin)?);

    let os_release = os_release(&input.image.id, &input.image.version, input.codename);
    let image = ImageSpec { kernel: kernel.release.clone(), ..input.image };
    own::insert(&mut tree, (&image, &os_release), input.files, input.devices)?;
    let (var, left_out) = var::take(&mut tree, &effects.tmpfiles, &origin)?;
    warnings.extend(left_out);
    let sizes = sizes(&tree);
    Ok(Assembled { tree, kernel, stub, systemd_boot, os_release, var, ignored: effects.ignored, sizes, warnings })
}

/// Takes the file `name` of systemd-boot-efi out of the tree. `what` is its name in messages.
fn take_part(tree: &mut Tree, name: &str, what: &'static str) -> Result<Data, AssembleError> {
    let path = format!("{BOOT_FOLDER}/efi/{name}");
    match tree.remove(path.as_bytes()).map(|node| node.kind) {
        Some(Kind::File(data)) => Ok(data),
        _ => Err(AssembleError::Part {
            what,
            found: format!("no file /{path}"),
            hint: "the package systemd-boot-efi ships this file: check that the image has this package",
        }),
    }
}

/// Removes the files that `debian.drop` matches, but only files of packages. A glob can name a kernel module with or without the
/// extension of its compression.
fn drop_files(tree: &mut Tree, drop: &Drops, packed: &modules::Modules, warnings: &mut Vec<String>) {
    let mut used = vec![false; drop.globs().len()];
    tree.remove_if(|path, node| {
        if !node.origin.starts_with(packages::ORIGIN) && &*node.origin != crate::tree::IMPLIED {
            return false;
        }
        let mut matching = drop.matching(path);
        matching.extend(packed.get(path).map(|module| drop.matching(&module.shipped)).unwrap_or_default());
        matching.iter().for_each(|&at| used[at] = true);
        !matching.is_empty()
    });
    for (glob, _) in drop.globs().iter().zip(used).filter(|(_, used)| !used) {
        warnings.push(format!("{}: debian.drop {:?} matches no file", glob.place, glob.value));
    }
}

fn sizes(tree: &Tree) -> BTreeMap<String, u64> {
    let mut sizes = BTreeMap::new();
    for (_, node) in tree.iter() {
        if let Kind::File(data) = &node.kind {
            *sizes.entry(node.origin.to_string()).or_insert(0) += data.len();
        }
    }
    sizes
}
