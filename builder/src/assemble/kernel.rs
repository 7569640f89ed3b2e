//! Finds the kernel of the image, takes its image out of the tree for the UKI, and writes the indices of its modules.

use super::{declaration, declaration::content_error, error::AssembleError};
use crate::{
    recipe::{Diagnostic, Located, nearest},
    tree::{Kind, Node, Show, Tree, TreePath, Verdict},
};
use berth_contract::paths::MODULES_DEVNAME;
use berth_formats::{
    data::Data,
    kmod::{self, Modinfo, module_name},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The kernel of an image.
#[derive(Clone, Debug)]
pub struct KernelParts {
    /// Kernel release: the name of its folder below `/usr/lib/modules`.
    pub release: String,
    /// The kernel image. The tree no longer has it.
    pub vmlinuz: Data,
}

const MODULES: &str = "usr/lib/modules";
const BOOT: &[u8] = b"boot";

/// Takes the kernel image out of the tree, and removes /boot: the UKI has all that a boot loader needs. The tree must have
/// exactly one kernel.
pub(super) fn take(tree: &mut Tree) -> Result<KernelParts, AssembleError> {
    let part = |found: String, hint: &'static str| AssembleError::Part { what: "the kernel", found, hint };
    let releases: Vec<String> = tree
        .children(MODULES.as_bytes())
        .filter(|(_, path, node)| node.is_dir() && tree.below(path).any(|(path, _)| path.ends_with(b".ko")))
        .map(|(name, _, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    let [release] = &releases[..] else {
        return Err(match releases.is_empty() {
            true => part(format!("no modules in /{MODULES}"), "set kernel.package to the package of one kernel"),
            false => part(
                format!("modules of several kernels in /{MODULES}: {}", releases.join(", ")),
                "an image has one kernel: leave the packages of the other kernels out",
            ),
        });
    };
    let places = [format!("boot/vmlinuz-{release}"), format!("{MODULES}/{release}/vmlinuz")];
    let found = places.iter().find_map(|path| Some((path, tree.data(path.as_bytes())?.clone())));
    let Some((path, vmlinuz)) = found else {
        return Err(part(
            format!("no kernel image for the modules of {release}: expected /{}", places.join(" or /")),
            "set kernel.package to a package that ships the kernel image and its modules",
        ));
    };
    tree.remove(path.as_bytes());
    tree.remove(BOOT);
    Ok(KernelParts { release: release.clone(), vmlinuz })
}

/// Writes the indices of the modules that are in the tree. Call this after the recipe's drops. Returns warnings.
pub(super) fn index_modules(tree: &mut Tree, release: &str, origin: &Arc<str>) -> Result<Vec<String>, AssembleError> {
    let folder = format!("{MODULES}/{release}");
    let paths: Vec<TreePath> = tree
        .below(folder.as_bytes())
        .filter(|(path, node)| path.ends_with(b".ko") && matches!(node.kind, Kind::File(_)))
        .map(|(path, _)| path.clone())
        .collect();
    let mut modules: BTreeMap<String, Modinfo> = BTreeMap::new();
    for path in paths {
        let Some(data) = tree.data(&path) else { continue };
        let bytes = data.to_bytes().map_err(|source| content_error(tree, &path, source))?;
        let info = Modinfo::parse(&bytes).map_err(|source| AssembleError::Module {
            origin: tree.get(&path).map_or_else(String::new, |node| node.origin.to_string()),
            path: String::from_utf8_lossy(&path).into_owned(),
            source,
        })?;
        modules.insert(String::from_utf8_lossy(&path[folder.len() + 1..]).into_owned(), info);
    }
    let files = kmod::index(&modules);
    let texts = [
        ("modules.dep", files.dep),
        ("modules.alias", files.alias),
        ("modules.softdep", files.softdep),
        (MODULES_DEVNAME, files.devname),
    ];
    for (name, text) in texts {
        let path = format!("{folder}/{name}");
        tree.insert(path.as_bytes(), Node::file(0o644, text, origin), |_, _| Verdict::TakeNew)?;
    }
    let missing = files.missing.iter().map(|(path, name)| {
        format!("kernel module {path} needs {name}, which is not in the image: the module will not load")
    });
    Ok(missing.collect())
}

/// Checks that every module which the recipe loads at boot is in the tree, or is built into the kernel.
pub(super) fn check_modules(tree: &Tree, release: &str, wanted: &[Located<String>]) -> Result<(), AssembleError> {
    let folder = format!("{MODULES}/{release}");
    let builtin = declaration::text(tree, format!("{folder}/modules.builtin").as_bytes())?.unwrap_or_default();
    let there = tree.below(folder.as_bytes()).filter(|(path, _)| path.ends_with(b".ko"));
    let there = there.map(|(path, _)| module_name(&Show(path).to_string()));
    let known: BTreeSet<String> = builtin.lines().map(module_name).chain(there).collect();
    for module in wanted {
        if !known.contains(&module_name(&module.value)) {
            let fault = Diagnostic::new(&module.place, format!("kernel module {:?} is not in the image", module.value))
                .found(format!("{} modules of {release}, including those built into the kernel", known.len()));
            let near = nearest(&module.value, known.iter().map(String::as_str));
            return Err(match near {
                Some(near) => fault.with_hint(format!("did you mean {near:?}?")),
                None => fault.with_hint("check the name, and check that debian.drop does not remove the module"),
            }
            .into());
        }
    }
    Ok(())
}
