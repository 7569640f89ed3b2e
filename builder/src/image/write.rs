//! The steps that write the outputs of a build. Each step writes one file.

use super::{disk, esp, rootfs, staging::Staging};
use crate::{
    plan::{Plan, identity},
    tree::Tree,
};
use anyhow::{Context, Result};
use berth_contract::{digest::RootHash, disk::PartitionRole};
use berth_formats::{
    data::Data,
    erofs, ext4, fat, gpt,
    node::{Kind, Meta, Node},
    pe,
    range::Range,
    verity,
};
use std::{collections::BTreeMap, fs::File};

/// Label of the EROFS: at most 16 bytes.
const ROOT_LABEL: &str = "berth-root";

/// Writes the root file system of slot A. Checks before writing that it fits the slot.
///
/// # Errors
/// If the tree cannot be stored in EROFS, the file system is larger than its slot, content cannot be read, or the output cannot be
/// written.
pub fn root(tree: &Tree, plan: &Plan, staging: &Staging) -> Result<File> {
    let inodes = root_inodes(tree, plan)?;
    plan.check_root(erofs::Plan::new(&inodes)?.size())?;
    let out = staging.create(&plan.outputs.root)?;
    erofs::write(&inodes, &out).context("root file system")?;
    Ok(out)
}

/// Size in bytes of the root file system.
///
/// # Errors
/// If the tree cannot be stored in EROFS.
pub fn root_size(tree: &Tree, plan: &Plan) -> Result<u64> {
    Ok(erofs::Plan::new(&root_inodes(tree, plan)?)?.size())
}

fn root_inodes(tree: &Tree, plan: &Plan) -> Result<erofs::FileSystem> {
    let seed = format!("{} {}", plan.id, plan.version);
    Ok(rootfs::inodes(tree, plan.epoch, identity::uuid(seed.as_bytes(), "root"), ROOT_LABEL)?)
}

/// Writes the hash tree of the root file system.
///
/// # Errors
/// If the root file system cannot be read, or the hash tree cannot be written.
pub fn hash_tree(root: &File, plan: &Plan, staging: &Staging) -> Result<RootHash> {
    let len = root.metadata().context("root file system")?.len();
    let out = staging.create(&plan.outputs.verity)?;
    let seed = format!("{} {}", plan.id, plan.version);
    let tree = verity::build(root, len, identity::uuid(seed.as_bytes(), "verity"), &out).context("hash tree")?;
    Ok(tree.root_hash)
}

/// Parts of the unified kernel image.
#[derive(Debug)]
pub struct UkiParts<'a> {
    /// systemd's EFI stub.
    pub stub: &'a Data,
    /// The kernel image.
    pub vmlinuz: &'a Data,
    /// The kernel release.
    pub release: &'a str,
    /// The kernel command line.
    pub cmdline: &'a str,
    /// os-release of the image.
    pub os_release: &'a str,
    pub initrd: Vec<u8>,
}

/// Writes the unified kernel image and returns it.
///
/// # Errors
/// If the stub is not a valid PE file, the image does not fit the ESP, or the output cannot be written.
pub fn uki(parts: UkiParts<'_>, plan: &Plan, staging: &Staging) -> Result<Data> {
    let stub = parts.stub.to_bytes().context("systemd's EFI stub")?;
    let text = |text: &str| Data::from(text.to_owned());
    let sections = [
        (".osrel", text(parts.os_release)),
        (".cmdline", text(parts.cmdline)),
        (".uname", text(parts.release)),
        (".initrd", parts.initrd.into()),
        (".linux", parts.vmlinuz.clone()),
    ];
    let image = pe::append_sections(&stub, &sections).context("unified kernel image")?;
    plan.check_uki(image.len() as u64)?;
    let out = staging.path(&plan.outputs.uki);
    std::fs::write(&out, &image).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(image.into())
}

/// Writes the whole disk: partition table, ESP, slot A and /var. The file is sparse.
///
/// # Errors
/// If content does not fit its partition, or the output cannot be written.
pub fn disk(parts: DiskParts<'_>, plan: &Plan, staging: &Staging) -> Result<File> {
    let mut raw = staging.create(&plan.outputs.raw)?;
    raw.set_len(plan.layout.disk_size()).context("disk")?;
    let seed = parts.root_hash.0.0;
    let range = |role| {
        let extent = plan.layout.extent(role);
        Range::new(&raw, extent.start, extent.size)
    };
    let serial = identity::uuid(&seed, "fat");
    let serial = u32::from_be_bytes([serial[0], serial[1], serial[2], serial[3]]);
    let esp_files = esp::files(plan.arch, parts.systemd_boot, &plan.entry, parts.uki);
    fat::write(&range(PartitionRole::Esp), "ESP", serial, plan.epoch, &esp_files).context("EFI system partition")?;
    let var = var_nodes(parts.var)?;
    ext4::write(&range(PartitionRole::Var), identity::uuid(&seed, "ext4"), "var", plan.epoch, &var).context("var")?;
    let copy = |output: &str, role| {
        let path = staging.path(output);
        let copied = File::open(&path).and_then(|file| range(role).fill(&file));
        copied.with_context(|| format!("cannot copy {} into the disk", path.display()))
    };
    copy(&plan.outputs.root, PartitionRole::RootA)?;
    copy(&plan.outputs.verity, PartitionRole::RootAVerity)?;
    gpt::write(&mut raw, identity::uuid(&seed, "disk"), &disk::partitions(&plan.layout, plan.arch, parts.root_hash))?;
    Ok(raw)
}

/// Parts of the disk. The root file system and the hash tree are not here, but in the staging folder.
#[derive(Debug)]
pub struct DiskParts<'a> {
    /// Root hash of the root file system.
    pub root_hash: RootHash,
    /// The boot loader.
    pub systemd_boot: &'a Data,
    /// The unified kernel image.
    pub uki: Data,
    /// The content of /var.
    pub var: &'a Tree,
}

fn var_nodes(var: &Tree) -> Result<BTreeMap<String, Node>> {
    let mut nodes = BTreeMap::new();
    for (path, node) in var.iter().filter(|(path, _)| !path.is_empty()) {
        // Nodes of other kinds are left out. They are not created at boot either, and `assemble` has given a warning for them.
        if !matches!(node.kind, Kind::Directory | Kind::File(_) | Kind::Symlink(_)) {
            continue;
        }
        let name = String::from_utf8(path.clone());
        let name = name.with_context(|| format!("/var/{}", String::from_utf8_lossy(path)))?;
        // Drop extended attributes, because a /var that is created at boot has none either.
        let Meta { mode, uid, gid, .. } = node.meta;
        nodes.insert(name, Node { meta: Meta::new(mode, uid, gid), kind: node.kind.clone() });
    }
    Ok(nodes)
}
