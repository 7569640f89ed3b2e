//! What depmod(8) wrote about the modules of one kernel: modules.dep(5), modules.alias, modules.softdep, modules.builtin.

use super::{glob, normalized};
use std::collections::{BTreeMap, BTreeSet};

/// A module that is a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// Path below `/usr/lib/modules/RELEASE`.
    pub path: String,
    /// Names of all modules it needs, directly or not, in the order in which they can be loaded.
    pub needs: Vec<String>,
}

/// Modules to be loaded around another one, where they exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoftDependencies {
    /// Before it: names or aliases.
    pub pre: Vec<String>,
    /// After it.
    pub post: Vec<String>,
}

/// All that is known of one kernel's modules. Names are normalized.
#[derive(Clone, Debug, Default)]
pub struct Index {
    files: BTreeMap<String, ModuleFile>,
    builtin: BTreeSet<String>,
    soft: BTreeMap<String, SoftDependencies>,
    /// Pattern and module by the pattern's first three bytes: a device's few hundred bytes need not be matched against
    /// thousands of patterns of other buses.
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
    /// Reads depmod's texts. Lines that make no sense are skipped, as kmod does.
    #[must_use]
    pub fn parse(texts: Texts<'_>) -> Self {
        let mut index = Self::default();
        for (path, needs) in texts.dep.lines().filter_map(|line| line.split_once(':')) {
            // depmod lists what must be loaded first last.
            let needs = needs.split_ascii_whitespace().rev().map(module_name).collect();
            index.files.insert(module_name(path), ModuleFile { path: path.to_owned(), needs });
        }
        index.builtin = texts.builtin.lines().filter(|line| !line.is_empty()).map(module_name).collect();
        for line in texts.alias.lines().chain(texts.softdep.lines()) {
            index.add_line(line);
        }
        index
    }

    /// Takes a line `alias PATTERN MODULE` or `softdep MODULE [pre: ...] [post: ...]`; returns whether it was one.
    pub(super) fn add_line(&mut self, line: &str) -> bool {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("alias"), Some(pattern)) => {
                let Some(module) = words.next() else { return false };
                let (pattern, module) = (normalized(pattern), normalized(module));
                match key(&pattern).filter(|key| !key.iter().any(|c| b"*?[".contains(c))) {
                    Some(key) => self.aliases.entry(key).or_default().push((pattern, module)),
                    None => self.loose_aliases.push((pattern, module)),
                }
                true
            }
            (Some("softdep"), Some(module)) => {
                let soft = self.soft.entry(normalized(module)).or_default();
                // Words before the first `pre:` or `post:` mean nothing; some modules have them.
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

    /// The file of a module.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&ModuleFile> {
        self.files.get(&normalized(name))
    }

    /// Whether the kernel has it without a file.
    #[must_use]
    pub fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&normalized(name))
    }

    /// What should be loaded around a module.
    #[must_use]
    pub fn soft_dependencies(&self, name: &str) -> Option<&SoftDependencies> {
        self.soft.get(&normalized(name))
    }

    /// All modules with an alias that matches, in depmod's order, each once.
    #[must_use]
    pub fn modules_for(&self, alias: &str) -> Vec<&str> {
        let alias = normalized(alias);
        let bucket = key(&alias).and_then(|key| self.aliases.get(&key)).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<&str> = Vec::new();
        for (pattern, module) in bucket.iter().chain(&self.loose_aliases) {
            if !found.contains(&module.as_str()) && glob::matches(pattern, &alias) {
                found.push(module);
            }
        }
        found
    }
}

fn key(text: &str) -> Option<[u8; 3]> {
    text.as_bytes().first_chunk::<3>().copied()
}

/// `kernel/net/bridge/br-netfilter.ko.xz` is the module `br_netfilter`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalized(file.split_once(".ko").map_or(file, |(stem, _)| stem))
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
    fn dependencies_come_in_loading_order_and_dashes_do_not_matter() {
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
}
