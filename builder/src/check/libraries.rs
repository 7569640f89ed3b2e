//! The dynamic loader and the libraries of every program and library, as ld.so(8) finds them.

use super::{
    content::{Content, Contents},
    finding::{Finding, Topic},
    program::{self, count},
};
use crate::{
    recipe::Debian,
    tree::{Tree, TreePath, split},
};
use berth_contract::arch::Arch;
use berth_formats::elf::{
    ET_DYN, ET_EXEC,
    dynamic::{Class, Dynamic},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// Folders of programs. A file there for another machine is a fault, a file elsewhere may be data.
const PROGRAMS: [&[u8]; 5] = [b"usr/bin/", b"usr/sbin/", b"usr/libexec/", b"usr/local/bin/", b"usr/local/sbin/"];
/// The loader of musl has its own rules for libraries.
const MUSL: &str = "ld-musl";

/// What the loader of a file can load: libraries of the same kind.
type Format = (Class, u16);

/// Searches libraries.
struct Search<'a> {
    tree: &'a Tree,
    contents: &'a Contents,
    arch: Arch,
    /// The loader's folders, in their order.
    folders: Vec<TreePath>,
    /// Names of all shared objects, wherever they are.
    names: BTreeSet<(&'a [u8], Format)>,
    known: RefCell<BTreeMap<(String, Format), bool>>,
}

/// Faults, and the files that have them.
#[derive(Default)]
struct Faults {
    /// By name of the library.
    libraries: BTreeMap<String, Vec<TreePath>>,
    /// By sentence.
    loaders: BTreeMap<String, Vec<TreePath>>,
    /// By sentence.
    broken: BTreeMap<String, Vec<TreePath>>,
}

/// Checks all ELF files. `folders` are those that the dynamic loader searches.
pub(super) fn check(
    tree: &Tree,
    contents: &Contents,
    arch: Arch,
    mut folders: Vec<TreePath>,
    debian: &Debian,
) -> Vec<Finding> {
    folders.extend(
        arch.elf_32
            .iter()
            .flat_map(|other| [format!("usr/lib/{}", other.multiarch), "usr/lib32".to_owned()].map(String::into_bytes)),
    );
    let mut search = Search { tree, contents, arch, folders, names: BTreeSet::new(), known: RefCell::default() };
    for (path, content) in contents {
        if let (Content::Elf(file), Some((_, name))) = (content, split(path)) {
            search.names.insert((name, (file.class, file.machine)));
        }
    }
    let mut faults = Faults::default();
    for (path, content) in contents {
        search.file(path, content, &mut faults);
    }
    let finding = |fault, places, fix| Finding { topic: Topic::Programs, fault, places, fix };
    let mut findings = Vec::new();
    for (name, places) in faults.libraries {
        let fault = format!("{name} is not in the image, but {} it", count(places.len(), "file needs", "files need"));
        findings.push(finding(fault, places, fix(&name, &search.folders, debian)));
    }
    for (why, places) in faults.loaders {
        let fix = "add the package of this loader to debian.packages, or link the program statically";
        findings.push(finding(why, places, fix.to_owned()));
    }
    for (why, places) in faults.broken {
        findings.push(finding(
            why,
            places,
            "leave the file out: debian.drop, or remove it from the overlay".to_owned(),
        ));
    }
    findings
}

impl Search<'_> {
    fn file(&self, path: &TreePath, content: &Content, faults: &mut Faults) {
        let mode = self.tree.get(path).map_or(0, |node| node.meta.mode);
        let is_program = mode & 0o111 != 0 && PROGRAMS.iter().any(|folder| path.starts_with(folder));
        let file = match content {
            Content::Damaged(why) if is_program => {
                faults.broken.entry(why.clone()).or_default().push(path.clone());
                return;
            }
            Content::Damaged(_) | Content::Script(_) => return,
            Content::Elf(file) => file,
        };
        if !self.runs_here(file) {
            if is_program {
                let why = format!("a program for another machine (e_machine {})", file.machine);
                faults.broken.entry(why).or_default().push(path.clone());
            }
            return;
        }
        if let Some(loader) = &file.interpreter
            && let Err(why) = program::check(self.tree, self.contents, loader)
        {
            let fault = format!("the dynamic loader {loader} {why}");
            faults.loaders.entry(fault).or_default().push(path.clone());
            return;
        }
        for name in self.missing(path, file) {
            faults.libraries.entry(name.to_owned()).or_default().push(path.clone());
        }
    }

    fn runs_here(&self, file: &Dynamic) -> bool {
        let also = self.arch.elf_32.is_some_and(|other| file.class == Class::Elf32 && file.machine == other.machine);
        also || file.class == Class::Elf64 && file.machine == self.arch.elf_machine
    }

    /// The libraries of a file that the loader does not find.
    fn missing<'f>(&self, path: &[u8], file: &'f Dynamic) -> Vec<&'f str> {
        let is_musl = file.interpreter.as_ref().is_some_and(|loader| loader.contains(MUSL));
        if is_musl || !matches!(file.file_type, ET_EXEC | ET_DYN) {
            return Vec::new();
        }
        let format = (file.class, file.machine);
        let own = if file.runpath.is_empty() { &file.rpath } else { &file.runpath };
        let own: Vec<String> = own.iter().map(|folder| self.expanded(folder, path)).collect();
        let is_found = |name: &str| {
            if name.contains('/') {
                return self.is_library(name.as_bytes(), format);
            }
            // A library may be loaded by a program that has loaded another library by its path, or that has an RPATH.
            let elsewhere = file.interpreter.is_none() && self.names.contains(&(name.as_bytes(), format));
            elsewhere
                || own.iter().any(|folder| self.is_library(format!("{folder}/{name}").as_bytes(), format))
                || self.is_in_folders(name, format)
        };
        file.needed.iter().map(String::as_str).filter(|name| !is_found(name)).collect()
    }

    /// Replaces what ld.so(8) calls "dynamic string tokens".
    fn expanded(&self, folder: &str, path: &[u8]) -> String {
        let origin = split(path).map_or(&[][..], |(folder, _)| folder);
        let origin = format!("/{}", String::from_utf8_lossy(origin));
        let lib = format!("lib/{}", self.arch.multiarch);
        let tokens = [("${ORIGIN}", &origin), ("$ORIGIN", &origin), ("${LIB}", &lib), ("$LIB", &lib)];
        tokens.iter().fold(folder.to_owned(), |text, (token, value)| text.replace(token, value))
    }

    fn is_in_folders(&self, name: &str, format: Format) -> bool {
        let key = (name.to_owned(), format);
        if let Some(known) = self.known.borrow().get(&key) {
            return *known;
        }
        let found = self.folders.iter().any(|folder| {
            let path = [folder.as_slice(), b"/", name.as_bytes()].concat();
            self.is_library(&path, format)
        });
        self.known.borrow_mut().insert(key, found);
        found
    }

    /// Whether the path leads to a file that the loader of such files can load.
    fn is_library(&self, path: &[u8], format: Format) -> bool {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let found = program::file(self.tree, path).and_then(|(real, _)| self.contents.get(&real));
        matches!(found, Some(Content::Elf(file)) if (file.class, file.machine) == format)
    }
}

/// What the author of the recipe can do for a missing library.
fn fix(name: &str, folders: &[TreePath], debian: &Debian) -> String {
    let packages = packages_of(name);
    if let Some(provided) = debian.provided.iter().find(|provided| packages.contains(&provided.value)) {
        let (place, package) = (&provided.place, &provided.value);
        return format!(
            "install {package}, which {place} only declares as provided: debian.provided = {{ remove = [{package:?}] }} in a recipe \
             that extends that one, or delete the entry; then run berth lock"
        );
    }
    let paths = folders.iter().map(|folder| [folder.as_slice(), b"/", name.as_bytes()].concat());
    let globs: Vec<&str> = paths
        .flat_map(|path| debian.drop.matching(&path))
        .filter_map(|at| debian.drop.globs().get(at))
        .map(|glob| glob.value.as_str())
        .collect();
    match (globs.first(), packages.first()) {
        (Some(glob), _) => format!("keep the library: debian.drop = {{ remove = [{glob:?}] }}, or delete the entry"),
        (None, Some(package)) => {
            format!(
                "add the package of {name} to debian.packages (its name may be {package}), then run berth lock; or leave the files out: debian.drop"
            )
        }
        (None, None) => format!("add the package of {name} to debian.packages, then run berth lock"),
    }
}

/// The names that Debian's policy gives to the package of a library: `libselinux.so.1` is in `libselinux1`.
fn packages_of(name: &str) -> Vec<String> {
    let (stem, version) = name.split_once(".so").unwrap_or((name, ""));
    let stem = stem.to_ascii_lowercase().replace('_', "-");
    let version = version.trim_start_matches('.');
    let dash = if stem.ends_with(|c: char| c.is_ascii_digit()) && !version.is_empty() { "-" } else { "" };
    let package = format!("{stem}{dash}{version}");
    vec![package.clone(), format!("{package}t64")]
}

#[cfg(test)]
mod tests {
    use super::packages_of;

    #[test]
    fn packages_have_the_names_of_their_libraries() {
        for (library, package) in [
            ("libselinux.so.1", "libselinux1"),
            ("libpcre2-8.so.0", "libpcre2-8-0"),
            ("libstdc++.so.6", "libstdc++6"),
            ("libX11_xcb.so.1", "libx11-xcb1"),
            ("libplain.so", "libplain"),
        ] {
            assert_eq!(packages_of(library)[0], package);
        }
    }
}
