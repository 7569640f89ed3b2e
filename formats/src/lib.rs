//! One module per on-disk format: bytes in, bytes out, no policy.
//!
//! - [`cpio`]: the initrd's archive
//! - [`deb`]: Debian packages
//! - [`delta`]: what a release holds so that a host fetches few bytes
//! - [`elf`]: programs and kernel modules
//! - [`erofs`]: the root file system
//! - [`ext4`]: the file system of /var
//! - [`fat`]: the EFI system partition
//! - [`gpt`]: the partition table
//! - [`kmod`]: index files of kernel modules
//! - [`label`]: labels of removable media
//! - [`ldcache`]: the list of shared libraries
//! - [`log_segment`]: stored lines of logs
//! - [`pe`]: unified kernel images
//! - [`qcow2`]: disk images for QEMU
//! - [`tmpfiles`]: lines of tmpfiles.d
//! - [`verity`]: the hash tree of the root file system
//!
//! Used by several formats: [`data`] and [`range`] (contents), [`node`] (metadata and kinds), [`place`] (names of places in an
//! image, which `show` of each format gives), [`glob`] (patterns), [`words`] (fields of a line), [`packing`] (compression of
//! single files).
#![deny(missing_docs)]

pub mod cpio;
pub mod data;
pub mod deb;
pub mod delta;
pub mod elf;
pub mod erofs;
pub mod ext4;
pub mod fat;
pub mod glob;
pub mod gpt;
pub mod kmod;
pub mod label;
pub mod ldcache;
pub mod log_segment;
pub mod node;
pub mod packing;
pub mod pe;
pub mod place;
pub mod qcow2;
pub mod range;
mod sparse;
pub mod sysctl;
pub mod sysusers;
pub mod tmpfiles;
pub mod verity;
pub mod words;
mod workers;
