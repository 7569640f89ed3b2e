//! Writes the output files of a build from the assembled tree.

pub mod compressed;
pub mod difference;
pub mod disk;
pub mod esp;
pub mod initrd;
pub mod manifest;
pub mod measure;
pub mod outputs;
pub mod rootfs;
pub mod size;
pub mod staging;
pub mod twice;
pub mod uki;
pub mod write;
