//! Both slots, and how the idle one is filled.
//!
//! A slot is identified by its hash tree. [`Slots`] finds both slots, [`Filling::ways`] tells what each way to fill the idle slot costs, and
//! [`Filling::fill`] fills it:
//!
//! - The image is written from its first block to its last. A block that is right already is not written.
//! - The hash tree is built at the same time. Its root must equal the signed root hash.
//! - Then everything is synced and read back from the disk.
//!
//! While this goes on the slot has no superblock, so it holds no version. An interrupted run leaves blocks in the slot. The next run hashes
//! them, trusts nothing else, and writes none of them again. Where parts of files can be fetched, it does not fetch them again either.
//!
//! This module never touches the ESP. The caller of [`Filling::fill`] removes the boot entry of the idle slot before, and adds the new one
//! after.

mod block_map;
mod blocks;
mod content;
mod device;
mod disk;
mod error;
mod filling;
mod full;
mod marks;
mod patch;
mod remote;
mod repair;
mod sink;
pub mod uki;

pub use blocks::MAX_IMAGE;
pub use content::Content;
pub use device::{Access, Device, SlotDevices};
pub use disk::{Slots, copies, partition};
pub use error::{RemoteError, SlotError};
pub use filling::{Filled, Filling, Idle, Survey, Ways};
pub use remote::Remote;
