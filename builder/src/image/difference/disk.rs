//! The whole disk: the table, or the partition and what its format calls the place.

use super::{erofs, ext4, fat, gpt, place::Place, verity, view::View};
use berth_contract::disk::PartitionRole;
use berth_formats::{gpt::read, range::Range};

pub(super) fn place(disk: &View, at: u64) -> Option<Place> {
    let table = read(&mut Range::new(&disk.file, disk.start, disk.len)).ok();
    let partitions = table.map(|table| table.partitions).unwrap_or_default();
    let labels: Vec<_> = partitions.iter().map(|partition| partition.label.clone()).collect();
    if let Some(place) = gpt::place(disk, &labels, at) {
        return Some(place);
    }
    let holds = |start: u64, size: u64| (start..start + size).contains(&at);
    let Some(found) = partitions.iter().find(|partition| holds(partition.start, partition.size)) else {
        return Some(Place::new("outside of all partitions", at + 1));
    };
    let role = PartitionRole::ALL.into_iter().find(|role| role.label() == found.label)?;
    let (view, inside) = (disk.part(found.start, found.size), at - found.start);
    let (format, place) = match role {
        PartitionRole::Esp => ("FAT32", fat::place(&view, inside)),
        PartitionRole::RootA => ("EROFS", erofs::place(&view, inside)),
        PartitionRole::RootAVerity => ("hash tree", verity::place(&view, inside)),
        PartitionRole::Var => ("ext4", ext4::place(&view, inside)),
        PartitionRole::RootB | PartitionRole::RootBVerity => ("empty slot", None),
    };
    let unknown = || Place::new(format!("byte {inside}"), inside + 1);
    Some(place.unwrap_or_else(unknown).within(format!("partition {} ({format})", found.label), found.start))
}
