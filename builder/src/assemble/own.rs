//! The files that the builder adds to an image.

use super::error::AssembleError;
use crate::{
    recipe::{Device, DeviceKind, Located},
    source::programs::Programs,
    tree::{Kind, Meta, Node, Tree, Verdict},
};
use berth_contract::{
    image_spec::ImageSpec,
    paths::{IMAGE_SPEC, INIT, RESOLV_CONF},
};
use berth_formats::data::Data;
use std::{io, sync::Arc};

/// Origin of all nodes that the modules of `assemble` generate.
pub(super) const ORIGIN: &str = "berth";

/// A file that the builder adds to an image.
#[derive(Clone, Debug)]
pub struct OwnFile {
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
    let own = |(&path, data): (&&str, &Data)| OwnFile { path: path.to_owned(), mode: 0o755, data: data.clone() };
    programs.all.iter().map(own).chain(images).chain(trust).collect()
}

/// Puts `files`, device nodes, image.json, os-release and the links of every image into `tree`. A link does not replace a file
/// of an overlay; everything else does.
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
    let mut put = |path: &str, node: Node| {
        // Paths are absolute in the contract and relative in the tree.
        tree.insert(path.trim_start_matches('/').as_bytes(), node, |old, new| {
            let overlay_wins = matches!(new.kind, Kind::Symlink(_)) && old.origin.starts_with("overlay ");
            if overlay_wins { Verdict::KeepOld } else { Verdict::TakeNew }
        })
    };
    put(IMAGE_SPEC, Node::file(0o644, json, &origin))?;
    put("usr/lib/os-release", Node::file(0o644, os_release.to_owned(), &origin))?;
    for (path, target) in [
        ("etc/os-release", "../usr/lib/os-release"),
        ("etc/mtab", "/proc/self/mounts"),
        ("etc/resolv.conf", RESOLV_CONF),
        // The kernel calls modprobe to load modules. kmod's modprobe needs binary indices, which the image does not have.
        ("usr/sbin/modprobe", INIT),
        ("usr/sbin/init", INIT),
    ] {
        put(path, Node::symlink(target, &origin))?;
    }
    for file in files {
        put(&file.path, Node::file(file.mode, file.data.clone(), &origin))?;
    }
    for Located { value: device, .. } in devices {
        let kind = match device.kind {
            DeviceKind::Char { major, minor } => Kind::CharDevice { major, minor },
            DeviceKind::Block { major, minor } => Kind::BlockDevice { major, minor },
            DeviceKind::Fifo => Kind::Fifo,
        };
        put(&device.path, Node { meta: Meta::root(device.mode), kind, origin: Arc::clone(&origin) })?;
    }
    Ok(())
}
