//! Compressed kernel modules. An image has its modules uncompressed: the compression of the whole image is better, and deltas are
//! smaller. A module is unpacked only if the image keeps it, so what `debian.drop` leaves out costs nothing.

use super::{
    error::AssembleError,
    module_cache::{self, Wanted},
    packages,
};
use crate::tree::{Kind, Node, Tree, TreePath, Verdict};
use berth_contract::{container::ByteSize, paths::MODULES};
use berth_formats::{data::Data, kmod, packing::Packing};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Largest unpacked module in bytes, unless the recipe says otherwise. The largest of Debian's kernels has 14 MB.
const MODULE_LIMIT: u64 = 256 << 20;

/// The compressed modules of a tree, by their path in the image, which has no extension of a compression.
pub(super) type Modules = BTreeMap<TreePath, Packed>;

/// A module whose content in the tree is still compressed.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// Its path in the package.
    pub(super) shipped: TreePath,
    packing: Packing,
}

/// The path of a module without the extension of its compression, and the compression.
fn split(path: &[u8]) -> Option<(&str, Packing)> {
    Packing::split(str::from_utf8(path).ok()?).filter(|(plain, _)| plain.ends_with(".ko"))
}

/// Gives each compressed module the path that it has in the image. The content stays compressed until [`unpack`]. A module of an overlay
/// replaces one of a package, compressed or not.
pub(super) fn rename(tree: &mut Tree) -> Result<Modules, AssembleError> {
    let folder = MODULES.trim_start_matches('/').as_bytes();
    let shipped: Vec<TreePath> =
        tree.below(folder).filter(|(path, _)| split(path).is_some()).map(|(path, _)| path.clone()).collect();
    let mut modules = Modules::new();
    for shipped in shipped {
        let Some((plain, packing)) = split(&shipped).map(|(plain, packing)| (plain.as_bytes().to_vec(), packing))
        else {
            continue;
        };
        // If the file of a hard link is removed, the link becomes the file.
        let is_file = tree.get(&shipped).is_some_and(|node| matches!(node.kind, Kind::File(_)));
        let Some(node) = is_file.then(|| tree.remove(&shipped)).flatten() else { continue };
        let of_overlay = |node: &Node| node.origin.starts_with("overlay ");
        let keeps = tree.get(&plain).is_some_and(|old| of_overlay(old) && !of_overlay(&node));
        let is_ours = of_overlay(&node);
        tree.insert(&plain, node, |_, _| match (keeps, is_ours) {
            (true, _) => Verdict::KeepOld,
            (false, true) => Verdict::TakeNew,
            (false, false) => Verdict::Refuse,
        })?;
        if !keeps {
            modules.insert(plain, Packed { shipped, packing });
        }
    }
    Ok(modules)
}

/// Unpacks the modules that are still in the tree. The modules of packages are kept in the cache.
pub(super) fn unpack(tree: &mut Tree, modules: &Modules, limit: Option<ByteSize>) -> Result<(), AssembleError> {
    let limit = limit.map_or(MODULE_LIMIT, |limit| limit.0);
    let mut cached: BTreeMap<Arc<Path>, Vec<(TreePath, Wanted)>> = BTreeMap::new();
    for (path, packed) in modules {
        let Some(node) = tree.get(path) else { continue };
        let Kind::File(data) = &node.kind else { continue };
        let name = String::from_utf8_lossy(path).into_owned();
        let origin = node.origin.to_string();
        match data {
            Data::File { path: file, offset, len } if origin.starts_with(packages::ORIGIN) => {
                let wanted = Wanted { offset: *offset, len: *len, packing: packed.packing, origin, path: name };
                cached.entry(Arc::clone(file)).or_default().push((path.clone(), wanted));
            }
            data => {
                let read = |source| AssembleError::Content { origin: origin.clone(), path: name.clone(), source };
                let bytes = data.to_bytes().map_err(read)?;
                let module =
                    kmod::unpack(&bytes, packed.packing, limit).map_err(AssembleError::module(&origin, &name))?;
                set(tree, path, module.into());
            }
        }
    }
    for (file, wanted) in cached {
        let (paths, wanted): (Vec<TreePath>, Vec<Wanted>) = wanted.into_iter().unzip();
        for (path, data) in paths.iter().zip(module_cache::unpack(&file, &wanted, limit)?) {
            set(tree, path, data);
        }
    }
    Ok(())
}

fn set(tree: &mut Tree, path: &[u8], data: Data) {
    if let Some(node) = tree.get_mut(path) {
        node.kind = Kind::File(data);
    }
}
