//! The two places where a version of the OS lives, and how the idle one is filled.
//!
//! A slot is what its hash tree says. [`Slots`] finds both, [`Upgrade::ways`] tells what it costs to bring a release into the
//! idle one, and [`Upgrade::bring`] does it: the image is made from its first to its last block, blocks that are right
//! already are not written, the hash tree grows on the way and its root is compared with the signed one; then everything is
//! made durable and read back from the disk. While this goes on the slot has no superblock and so is no version. An
//! interrupted run leaves blocks, of which the next one fetches none again where parts of files can be had: it hashes what is
//! there and believes nothing else. None of them is written again in any case.
//!
//! Nothing here touches the ESP: whoever calls [`Upgrade::bring`] has removed the idle slot's boot entry before, and adds the
//! new one after.

mod block_map;
mod blocks;
mod content;
mod device;
mod error;
mod full;
mod marks;
mod patch;
mod remote;
mod sink;
pub mod uki;
mod upgrade;

pub use blocks::MAX_IMAGE;
pub use content::Content;
pub use device::{Access, Device, SlotDevices, Slots, partition};
pub use error::SlotError;
pub use remote::{Remote, RemoteError};
pub use upgrade::{Brought, Survey, Upgrade, Ways};
