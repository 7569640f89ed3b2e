//! The partition table of the disk.

use crate::plan::{identity::uuid, layout::Layout};
use berth_contract::{
    arch::Arch,
    digest::RootHash,
    disk::{ATTRIBUTE_GROW_FS, ATTRIBUTE_NO_AUTO, ATTRIBUTE_READ_ONLY, PartitionRole},
};
use berth_formats::gpt::Partition;

/// The entries of the partition table. The UUIDs of slot A are the halves of the root hash, so that other tools find and verify
/// slot A. Slot B is empty. Its attribute `no-auto` tells other tools not to mount it.
#[must_use]
pub fn partitions(layout: &Layout, arch: Arch, root_hash: RootHash) -> Vec<Partition> {
    let (data, verity) = root_hash.partition_uuids();
    let seed = root_hash.0.0;
    PartitionRole::ALL
        .into_iter()
        .map(|role| {
            let extent = layout.extent(role);
            let (guid, attributes) = match role {
                PartitionRole::RootA => (data, ATTRIBUTE_READ_ONLY),
                PartitionRole::RootAVerity => (verity, ATTRIBUTE_READ_ONLY),
                PartitionRole::RootB | PartitionRole::RootBVerity => {
                    (uuid(&seed, role.label()), ATTRIBUTE_READ_ONLY | ATTRIBUTE_NO_AUTO)
                }
                PartitionRole::Var => (uuid(&seed, role.label()), ATTRIBUTE_GROW_FS),
                PartitionRole::Esp => (uuid(&seed, role.label()), 0),
            };
            Partition {
                number: role.number(),
                type_guid: role.type_guid(arch),
                guid,
                start: extent.start,
                size: extent.size,
                attributes,
                label: role.label().to_owned(),
            }
        })
        .collect()
}
