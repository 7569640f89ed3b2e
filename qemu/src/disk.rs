//! Disks of a machine.

use crate::{
    error::VmError,
    tool::{self, QEMU_IMG},
};
use std::{fs, path::Path};

/// The interface that a disk is attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bus {
    /// virtio-blk.
    #[default]
    VirtioBlk,
    /// virtio-scsi.
    VirtioScsi,
    /// NVMe.
    Nvme,
    /// SATA.
    Ahci,
    /// USB mass storage.
    Usb,
}

impl Bus {
    /// Arguments that attach drive `id`.
    pub(crate) fn arguments(self, id: &str) -> Vec<String> {
        let device = |text: String| vec!["-device".to_owned(), text];
        match self {
            Self::VirtioBlk => device(format!("virtio-blk-pci,drive={id}")),
            Self::VirtioScsi => {
                [device(format!("virtio-scsi-pci,id=bus-{id}")), device(format!("scsi-hd,bus=bus-{id}.0,drive={id}"))]
                    .concat()
            }
            Self::Nvme => device(format!("nvme,serial={id},drive={id}")),
            Self::Ahci => {
                [device(format!("ahci,id=bus-{id}")), device(format!("ide-hd,bus=bus-{id}.0,drive={id}"))].concat()
            }
            Self::Usb => {
                [device(format!("qemu-xhci,id=bus-{id}")), device(format!("usb-storage,bus=bus-{id}.0,drive={id}"))]
                    .concat()
            }
        }
    }
}

/// Makes a throw-away layer over `image`, at `layer`; what is written goes there. `size` makes the disk larger, in bytes.
///
/// # Errors
/// When the image is not there, or qemu-img refuses.
pub fn overlay(image: &Path, layer: &Path, size: Option<u64>) -> Result<(), VmError> {
    let io = |source| VmError::Io { doing: "find", path: image.to_owned(), source };
    let image = fs::canonicalize(image).map_err(io)?;
    let format = if image.extension().is_some_and(|e| e == "qcow2") { "qcow2" } else { "raw" };
    let (image, layer) = (image.to_string_lossy(), layer.to_string_lossy());
    let mut arguments = vec!["create", "-q", "-f", "qcow2", "-F", format, "-b", &image, &layer];
    let size = size.map(|bytes| bytes.to_string());
    arguments.extend(size.as_deref());
    tool::run(QEMU_IMG, &arguments).map(drop)
}

/// Options of a drive for a disk image file.
pub(crate) fn drive(path: &Path, id: &str) -> Vec<String> {
    let format = if path.extension().is_some_and(|e| e == "qcow2") { "qcow2" } else { "raw" };
    vec![
        "-drive".to_owned(),
        format!("if=none,id={id},format={format},discard=unmap,detect-zeroes=unmap,file={}", tool::option(path)),
    ]
}
