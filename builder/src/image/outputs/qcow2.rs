//! The disk for QEMU.

use super::DiskFormat;
use anyhow::Result;
use berth_formats::qcow2;
use std::fs::File;

pub(super) const FORMAT: DiskFormat = DiskFormat { extension: "qcow2", write, place: qcow2::show::place };

fn write(raw: &File, out: &File) -> Result<()> {
    qcow2::write(raw, out)?;
    Ok(())
}
