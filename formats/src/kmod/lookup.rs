//! The index files of one kernel's modules: modules.dep, modules.alias, modules.softdep, modules.builtin.

use super::{module_name, normalized};
use crate::glob;
use std::collections::{BTreeMap, BTreeSet};

/// A module that is a file of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// Path below `/usr/lib/modules/RELEASE`.
    pub path: String,
    /// Names of all modules that this one needs, directly or not, in the order in which they can be loaded.
    pub needs: Vec<String>,
}

/// Modules to load before and after a module, where they exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoftDependencies {
    /// Load these before the module: names or aliases.
    pub pre: Vec<String>,
    /// Load these after the module: names or aliases.
    pub post: Vec<String>,
}

/// All modules of one kernel. Names are [`normalized`].
#[derive(Clone, Debug, Default)]
pub struct Index {
    files: BTreeMap<String, ModuleFile>,
    builtin: BTreeSet<String>,
    soft: BTreeMap<String, SoftDependencies>,
    /// Pattern and module, by the pattern's first three bytes. A lookup then skips the thousands of patterns of other buses.
    aliases: BTreeMap<[u8; 3], Vec<(String, String)>>,
    /// Patterns with a wildcard, or an end, among the first three bytes.
    loose_aliases: Vec<(String, String)>,
}

/// The texts of depmod's files. A missing file is an empty text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'a> {
    /// `modules.dep`.
    pub dep: &'a str,
    /// `modules.alias`.
    pub alias: &'a str,
    /// `modules.softdep`.
    pub softdep: &'a str,
    /// `modules.builtin`.
    pub builtin: &'a str,
}

impl Index {
    /// Reads depmod's texts. A line that cannot be parsed is skipped, as modprobe does.
    #[must_use]
    pub fn parse(texts: Texts<'_>) -> Self {
        let mut index = Self::default();
        for (path, needs) in texts.dep.lines().filter_map(|line| line.split_once(':')) {
            // depmod lists dependencies in reverse: load the last one first.
            let needs = needs.split_ascii_whitespace().rev().map(module_name).collect();
            index.files.insert(module_name(path), ModuleFile { path: path.to_owned(), needs });
        }
        index.builtin = texts.builtin.lines().filter(|line| !line.is_empty()).map(module_name).collect();
        for line in texts.alias.lines().chain(texts.softdep.lines()) {
            index.add_line(line);
        }
        index
    }

    /// Adds a line `alias PATTERN MODULE` or `softdep MODULE [pre: ...] [post: ...]`, which modprobe.d(5) has too. Returns
    /// false if the line is something else.
    pub fn add_line(&mut self, line: &str) -> bool {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("alias"), Some(pattern)) => {
                let Some(module) = words.next() else { return false };
                let (pattern, module) = (normalized(pattern), normalized(module));
                match key(&pattern).filter(|key| !glob::is_pattern(key)) {
                    Some(key) => self.aliases.entry(key).or_default().push((pattern, module)),
                    None => self.loose_aliases.push((pattern, module)),
                }
                true
            }
            (Some("softdep"), Some(module)) => {
                let soft = self.soft.entry(normalized(module)).or_default();
                // Words before the first `pre:` or `post:` have no meaning; some modules have such words.
                let mut list = &mut Vec::new();
                for word in words {
                    match word {
                        "pre:" => list = &mut soft.pre,
                        "post:" => list = &mut soft.post,
                        name => list.push(name.to_owned()),
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// The file of the module with this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&ModuleFile> {
        self.files.get(&normalized(name))
    }

    /// Whether the module is part of the kernel image, so that there is no file to load.
    #[must_use]
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&normalized(name))
    }

    /// The soft dependencies of the module with this name.
    #[must_use]
    pub fn soft_dependencies(&self, name: &str) -> Option<&SoftDependencies> {
        self.soft.get(&normalized(name))
    }

    /// Whether this is the name of a module, not an alias.
    #[must_use]
    pub fn is_module(&self, name: &str) -> bool {
        self.file(name).is_some() || self.is_builtin(name)
    }

    /// Names of the modules with an alias that matches, in the order of the index, each once.
    #[must_use]
    pub fn modules_for(&self, alias: &str) -> Vec<&str> {
        let alias = normalized(alias);
        let bucket = key(&alias).and_then(|key| self.aliases.get(&key)).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<&str> = Vec::new();
        for (pattern, module) in bucket.iter().chain(&self.loose_aliases) {
            if !found.contains(&module.as_str()) && glob::matches(pattern.as_bytes(), alias.as_bytes()) {
                found.push(module);
            }
        }
        found
    }

    /// Names of the modules to load for a module's name or an alias: see [`Self::load_order`]. `None` if nothing has that
    /// name.
    #[must_use]
    pub fn resolve(&self, wanted: &str) -> Option<Vec<String>> {
        if self.is_module(wanted) {
            return Some(self.load_order([wanted]));
        }
        let modules = self.modules_for(wanted);
        if modules.is_empty() { None } else { Some(self.load_order(modules)) }
    }

    /// Names of the modules to load for `modules`, in modprobe's order: first all dependencies of a module, then its soft
    /// dependencies of the kind `pre`, the module, and its soft dependencies of the kind `post`. Each name comes once. A
    /// module that is part of the kernel image is listed too. A soft dependency that does not exist is left out.
    #[must_use]
    pub fn load_order<'a>(&self, modules: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut order = Order { index: self, entered: BTreeSet::new(), names: Vec::new() };
        modules.into_iter().for_each(|module| order.add(&normalized(module)));
        order.names
    }
}

/// A load order that is being made.
struct Order<'a> {
    index: &'a Index,
    /// Modules whose turn has begun. Soft dependencies may form a cycle, so a module must be entered only once.
    entered: BTreeSet<String>,
    names: Vec<String>,
}

impl Order<'_> {
    fn add(&mut self, name: &str) {
        if !self.entered.insert(name.to_owned()) {
            return;
        }
        let index = self.index;
        for needed in index.file(name).iter().flat_map(|file| &file.needs) {
            self.add(needed);
        }
        let soft = index.soft_dependencies(name);
        soft.iter().flat_map(|soft| &soft.pre).for_each(|other| self.add_soft(other));
        self.names.push(name.to_owned());
        soft.iter().flat_map(|soft| &soft.post).for_each(|other| self.add_soft(other));
    }

    fn add_soft(&mut self, name: &str) {
        if self.index.is_module(name) {
            return self.add(&normalized(name));
        }
        for module in self.index.modules_for(name) {
            self.add(module);
        }
    }
}

fn key(text: &str) -> Option<[u8; 3]> {
    text.as_bytes().first_chunk::<3>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        Index::parse(Texts {
            dep: "kernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko kernel/net/802/stp.ko kernel/net/llc/llc.ko\n\
                  kernel/net/llc/llc.ko:\nkernel/crypto/crc32c-intel.ko.xz:\n",
            alias: "# comment\nalias virtio:d00000002v* virtio_blk\nalias acpi*:PNP0C0C:* button\n\
                    alias fs-ext4 ext4\nalias crypto-crc32c crc32c_intel\nalias crypto-crc32c crc32c_generic\n\
                    alias crypto-crc32c crc32c_intel\nalias ?x:y loose-one\nalias broken\n",
            softdep: "softdep ext4 pre: crypto-crc32c\nsoftdep vfio post: vfio_iommu_type1 a\nsoftdep cifs gcm\n",
            builtin: "kernel/fs/ext4/ext4.ko\nkernel/drivers/virtio/virtio-pci.ko\n",
        })
    }

    #[test]
    fn dependencies_are_in_load_order_and_dashes_equal_underscores() {
        let index = index();
        assert_eq!(index.file("br-netfilter").unwrap().needs, ["llc", "stp", "bridge"]);
        assert_eq!(index.file("crc32c_intel").unwrap().path, "kernel/crypto/crc32c-intel.ko.xz");
        assert!(index.is_builtin("virtio_pci") && !index.is_builtin("llc"));
        assert!(index.file("nothing").is_none());
    }

    #[test]
    fn aliases_are_found_by_device_and_by_name() {
        let index = index();
        assert_eq!(index.modules_for("virtio:d00000002v00001AF4"), ["virtio_blk"]);
        assert_eq!(index.modules_for("acpi:PNP0C0C:"), ["button"]);
        assert_eq!(index.modules_for("crypto-crc32c"), ["crc32c_intel", "crc32c_generic"]);
        assert_eq!(index.modules_for("ax:y"), ["loose_one"]);
        assert!(index.modules_for("virtio:d00000003v00001AF4").is_empty());
        assert!(index.modules_for("a").is_empty());
    }

    #[test]
    fn soft_dependencies_need_pre_or_post() {
        let index = index();
        assert_eq!(index.soft_dependencies("ext4").unwrap().pre, ["crypto-crc32c"]);
        assert_eq!(index.soft_dependencies("vfio").unwrap().post, ["vfio_iommu_type1", "a"]);
        assert_eq!(index.soft_dependencies("cifs"), Some(&SoftDependencies::default()));
    }

    #[test]
    fn hostile_index_files_neither_panic_nor_hang() {
        let text = "softdep a pre: b post: a\nsoftdep b pre: a\nalias * a\nalias * b\nalias [ \nsoftdep\n:\na.ko: a.ko b.ko\nb.ko: a.ko\n";
        let index = Index::parse(Texts { dep: text, alias: text, softdep: text, builtin: text });
        assert_eq!(index.resolve("anything").unwrap(), ["b", "a"]);
        assert_eq!(index.resolve("a"), index.resolve("anything"));
    }
}
