//! QEMU's arguments for the disks of a machine.

use crate::{error::VmError, program::QEMU_IMG, tool};
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
    /// Arguments that attach drive `id`. The firmware boots the drive with the lowest `rank`. It never boots a drive without a rank.
    pub(crate) fn arguments(self, id: &str, rank: Option<u32>) -> Vec<String> {
        let rank = rank.map(|rank| format!(",bootindex={rank}")).unwrap_or_default();
        let (controller, disk) = match self {
            Self::VirtioBlk => (None, format!("virtio-blk-pci,drive={id}")),
            Self::VirtioScsi => {
                (Some(format!("virtio-scsi-pci,id=bus-{id}")), format!("scsi-hd,bus=bus-{id}.0,drive={id}"))
            }
            Self::Nvme => (None, format!("nvme,serial={id},drive={id}")),
            Self::Ahci => (Some(format!("ahci,id=bus-{id}")), format!("ide-hd,bus=bus-{id}.0,drive={id}")),
            Self::Usb => (Some(format!("qemu-xhci,id=bus-{id}")), format!("usb-storage,bus=bus-{id}.0,drive={id}")),
        };
        let devices = controller.into_iter().chain([disk + &rank]);
        devices.flat_map(|device| ["-device".to_owned(), device]).collect()
    }
}

/// Creates the file `layer`, a copy-on-write layer over `image`. The machine writes only to the layer. If `size` is given, the disk has
/// that many bytes.
///
/// # Errors
/// If the image does not exist, or qemu-img fails.
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

/// Arguments for a drive with the content of a disk image file.
pub(crate) fn drive(path: &Path, id: &str) -> Vec<String> {
    let format = if path.extension().is_some_and(|e| e == "qcow2") { "qcow2" } else { "raw" };
    vec![
        "-drive".to_owned(),
        format!("if=none,id={id},format={format},discard=unmap,detect-zeroes=unmap,file={}", tool::option(path)),
    ]
}

/// Arguments for a drive with the content of a layer made by [`overlay`]. QEMU logs every write and flush in `log`.
pub(crate) fn logged(layer: &Path, log: &Path, id: &str) -> Vec<String> {
    let (layer, log) = (tool::option(layer), tool::option(log));
    let file = format!("file.driver=qcow2,file.file.driver=file,file.file.filename={layer}");
    let log = format!("log.driver=file,log.filename={log}");
    vec!["-drive".to_owned(), format!("if=none,id={id},format=blklogwrites,{file},{log}")]
}
