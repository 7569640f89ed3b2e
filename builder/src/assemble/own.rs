//! The files that the builder adds to an image.

use super::error::AssembleError;
use crate::{
    recipe::{Device, DeviceKind, Located},
    source::programs::Programs,
    tree::{Kind, Meta, Node, Show, Tree, TreeError, TreePath, Verdict},
};
use berth_contract::{
    image_spec::ImageSpec,
    paths::{IMAGE_SPEC, INIT, RESOLV_CONF},
};
use berth_formats::data::Data;
use std::{collections::BTreeMap, io, sync::Arc};

/// Origin of all nodes that the modules of `assemble` generate.
pub(super) const ORIGIN: &str = "berth";

/// A file that the builder adds to an image.
#[derive(Clone, Debug)]
pub struct OwnFile {
    /// A name for messages: `program init`, `image hello:1.0 of r.toml:3:9`.
    pub what: String,
    /// Absolute path in the image.
    pub path: String,
    /// Permission bits.
    pub mode: u16,
    pub data: Data,
}

/// All files that the builder adds to an image: the programs of Berth, the preloaded images, and the root metadata that hosts
/// trust.
#[must_use]
pub fn own_files(programs: &Programs, images: Vec<OwnFile>, trust: Option<OwnFile>) -> Vec<OwnFile> {
    let own = |(&path, data): (&&str, &Data)| OwnFile {
        what: format!("the program {}", path.rsplit('/').next().unwrap_or_default()),
        path: path.to_owned(),
        mode: 0o755,
        data: data.clone(),
    };
    programs.all.iter().map(own).chain(images).chain(trust).collect()
}

/// Puts `files`, device nodes, image.json, os-release and the links of every image into `tree`. They replace files of packages. A link
/// does not replace a file of an overlay. No two of them can have the same path, and none can have the path of an overlay's file.
pub(super) fn insert(
    tree: &mut Tree,
    (image, os_release): (&ImageSpec, &str),
    files: &[OwnFile],
    devices: &[Located<Device>],
) -> Result<(), AssembleError> {
    let origin: Arc<str> = ORIGIN.into();
    let json = serde_json::to_vec_pretty(image).map_err(|error| AssembleError::Content {
        origin: ORIGIN.to_owned(),
        path: IMAGE_SPEC.to_owned(),
        source: io::Error::other(error),
    })?;
    let mut owners: BTreeMap<TreePath, String> = BTreeMap::new();
    let mut put = |path: &str, node: Node, what: &str| {
        // Paths are absolute in the contract and relative in the tree.
        let path = path.trim_start_matches('/').as_bytes();
        let real = tree.place(path, &origin)?;
        if let Some(old) = owners.insert(real.clone(), what.to_owned()) {
            return Err(TreeError::Both { path: Show(&real).to_string(), old, new: what.to_owned() });
        }
        let is_link = matches!(node.kind, Kind::Symlink(_));
        let put = tree.insert(path, node, |old, _| match old.origin.starts_with("overlay ") {
            true if is_link => Verdict::KeepOld,
            true => Verdict::Refuse,
            false => Verdict::TakeNew,
        });
        put.map(drop)
    };
    put(IMAGE_SPEC, Node::file(0o644, json, &origin), "the description of the image")?;
    put("usr/lib/os-release", Node::file(0o644, os_release.to_owned(), &origin), "os-release")?;
    for (path, target) in [
        ("etc/os-release", "../usr/lib/os-release"),
        ("etc/mtab", "/proc/self/mounts"),
        ("etc/resolv.conf", RESOLV_CONF),
        // The kernel calls modprobe to load modules. kmod's modprobe needs binary indices, which the image does not have.
        ("usr/sbin/modprobe", INIT),
        ("usr/sbin/init", INIT),
    ] {
        put(path, Node::symlink(target, &origin), "a link of every image")?;
    }
    for file in files {
        put(&file.path, Node::file(file.mode, file.data.clone(), &origin), &file.what)?;
    }
    for Located { value: device, place } in devices {
        let kind = match device.kind {
            DeviceKind::Char { major, minor } => Kind::CharDevice { major, minor },
            DeviceKind::Block { major, minor } => Kind::BlockDevice { major, minor },
            DeviceKind::Fifo => Kind::Fifo,
        };
        let node = Node { meta: Meta::root(device.mode), kind, origin: Arc::clone(&origin) };
        put(&device.path, node, &format!("the device of {place}"))?;
    }
    Ok(())
}
