//! Shared libraries: writes `/etc/ld.so.cache` and the links that have the names of sonames, as ldconfig(8) does.

use super::{declaration, declaration::content_error, error::AssembleError};
use crate::tree::{Kind, Node, Tree, TreePath, Verdict, split};
use berth_contract::arch::Arch;
use berth_formats::ldcache::{self, Library, elf_soname};
use std::{collections::BTreeSet, sync::Arc};

const CONF: &str = "etc/ld.so.conf";
const CACHE: &str = "etc/ld.so.cache";

/// Writes the cache and makes missing links. An image without libraries gets no cache.
pub(super) fn apply(tree: &mut Tree, arch: Arch, origin: &Arc<str>) -> Result<(), AssembleError> {
    let mut libraries = Vec::new();
    for folder in folders(tree, arch)? {
        libraries.extend(in_folder(tree, &folder, arch, origin)?);
    }
    if libraries.is_empty() {
        return Ok(());
    }
    let cache = ldcache::write(&libraries, arch.ldcache_flags)?;
    tree.insert(CACHE.as_bytes(), Node::file(0o644, cache, origin), |_, _| Verdict::TakeNew)?;
    Ok(())
}

/// The folders that the dynamic loader searches, in their order: those of `/etc/ld.so.conf`, then its own.
///
/// # Errors
/// A file cannot be read.
pub fn folders(tree: &Tree, arch: Arch) -> Result<Vec<TreePath>, AssembleError> {
    let mut folders: Vec<TreePath> = Vec::new();
    let mut configured = Vec::new();
    configuration(tree, CONF.as_bytes(), &mut configured, &mut BTreeSet::new())?;
    configured.extend(["lib", "usr/lib"].map(|lib| format!("{lib}/{}", arch.multiarch)));
    configured.extend(["lib", "usr/lib"].map(str::to_owned));
    for folder in configured {
        // With a merged /usr, several paths lead to one folder.
        if let Some((real, node)) = tree.lookup(folder.trim_start_matches('/').as_bytes())
            && node.is_dir()
            && !folders.contains(&real)
        {
            folders.push(real);
        }
    }
    Ok(folders)
}

/// The libraries directly in `folder`, by name.
fn in_folder(tree: &mut Tree, folder: &[u8], arch: Arch, origin: &Arc<str>) -> Result<Vec<Library>, AssembleError> {
    let looks_like = |name: &[u8]| {
        let start = name.starts_with(b"lib") || name.starts_with(b"ld-");
        start && (name.ends_with(b".so") || name.windows(4).any(|part| part == b".so."))
    };
    // A link to a file in the same folder would add the same library again.
    let elsewhere =
        |path: &[u8]| tree.lookup(path).is_some_and(|(real, _)| split(&real).map(|(dir, _)| dir) != Some(folder));
    let files: Vec<TreePath> = tree
        .children(folder)
        .filter(|(name, path, node)| match node.kind {
            Kind::File(_) | Kind::HardLink(_) => looks_like(name),
            Kind::Symlink(_) => looks_like(name) && elsewhere(path),
            _ => false,
        })
        .map(|(_, path, _)| path.clone())
        .collect();
    // Several files may have the same soname. If a file or link of that name exists already, the cache refers to it.
    let mut best: Vec<(String, TreePath)> = Vec::new();
    for path in files {
        let Some(data) = tree.data(&path) else { continue };
        let bytes = data.to_bytes().map_err(|source| content_error(tree, &path, source))?;
        // A file without a soname is a plugin, which programs open by path, or not a library.
        let Some(soname) = elf_soname(&bytes, arch.elf_machine).filter(|name| !name.contains('/')) else { continue };
        match best.iter_mut().find(|(name, _)| *name == soname) {
            // Paths come in the order of their bytes: the later path is the newer version.
            Some((_, known)) => *known = path,
            None => best.push((soname, path)),
        }
    }
    let mut libraries = Vec::new();
    for (soname, path) in best {
        let Some((_, file)) = split(&path) else { continue };
        let link = [folder, b"/", soname.as_bytes()].concat();
        if tree.get(&link).is_none() {
            tree.insert(&link, Node::symlink(file, origin), |_, _| Verdict::KeepOld)?;
        }
        libraries.push(Library { soname, path: format!("/{}", String::from_utf8_lossy(&link)) });
    }
    libraries.sort_by(|a, b| a.soname.cmp(&b.soname));
    Ok(libraries)
}

/// Adds the folders listed in ld.so.conf and in the files that it includes.
fn configuration(
    tree: &Tree,
    path: &[u8],
    folders: &mut Vec<String>,
    seen: &mut BTreeSet<TreePath>,
) -> Result<(), AssembleError> {
    let Some((real, _)) = tree.lookup(path) else { return Ok(()) };
    if !seen.insert(real) {
        return Ok(());
    }
    let text = declaration::text(tree, path)?.unwrap_or_default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include").filter(|rest| rest.starts_with(char::is_whitespace)) {
            Some(pattern) => {
                let pattern = pattern.trim();
                let base = if pattern.starts_with('/') { "" } else { "etc/" };
                for file in matching(tree, &format!("{base}{}", pattern.trim_start_matches('/'))) {
                    configuration(tree, &file, folders, seen)?;
                }
            }
            None => folders
                .extend(line.split([' ', '\t', ',', ':']).filter(|word| word.starts_with('/')).map(str::to_owned)),
        }
    }
    Ok(())
}

/// The files that match a pattern, in the order of their paths. The last component of the pattern may have one `*`.
fn matching(tree: &Tree, pattern: &str) -> Vec<TreePath> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let Some((start, end)) = name.split_once('*') else { return vec![pattern.as_bytes().to_vec()] };
    let Some((folder, _)) = tree.lookup(folder.as_bytes()) else { return Vec::new() };
    let fits = |name: &[u8]| {
        name.len() >= start.len() + end.len() && name.starts_with(start.as_bytes()) && name.ends_with(end.as_bytes())
    };
    tree.children(&folder).filter(|(name, _, _)| fits(name)).map(|(_, path, _)| path.clone()).collect()
}
