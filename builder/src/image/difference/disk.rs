//! Names the place of a byte on the whole disk: in the partition table, or in a partition by its format.

use berth_contract::disk::PartitionRole;
use berth_formats::{erofs, ext4, fat, gpt, place::Place, range::Range, verity};

pub(super) fn place(disk: &Range<'_>, at: u64) -> Option<Place> {
    let table = gpt::read(&mut disk.clone()).ok();
    let partitions = table.map(|table| table.partitions).unwrap_or_default();
    let labels: Vec<_> = partitions.iter().map(|partition| partition.label.clone()).collect();
    if let Some(place) = gpt::show::place(disk, &labels, at) {
        return Some(place);
    }
    let holds = |start: u64, size: u64| (start..start + size).contains(&at);
    let Some(found) = partitions.iter().find(|partition| holds(partition.start, partition.size)) else {
        return Some(Place::new("outside of all partitions", at + 1));
    };
    let role = PartitionRole::ALL.into_iter().find(|role| role.label() == found.label)?;
    let (view, inside) = (disk.part(found.start, found.size), at - found.start);
    let (format, place) = match role {
        PartitionRole::Esp => ("FAT32", fat::show::place(&view, inside)),
        PartitionRole::RootA => ("EROFS", erofs::show::place(&view, inside)),
        PartitionRole::RootAVerity => ("hash tree", verity::show::place(&view, inside)),
        PartitionRole::Var => ("ext4", ext4::show::place(&view, inside)),
        PartitionRole::RootB | PartitionRole::RootBVerity => ("empty slot", None),
    };
    let unknown = || Place::new(format!("byte {inside}"), inside + 1);
    Some(place.unwrap_or_else(unknown).within(format!("partition {} ({format})", found.label), found.start))
}
