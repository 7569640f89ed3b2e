//! Names of the places in a qcow2 image. <https://www.qemu.org/docs/master/interop/qcow2.html>, version 3, all numbers big
//! endian.

use crate::{
    place::{Fields, Place},
    range::Range,
};

const HEADER: Fields = &[
    (0, "magic"),
    (4, "version"),
    (8, "backing_file_offset"),
    (16, "backing_file_size"),
    (20, "cluster_bits"),
    (24, "size"),
    (32, "crypt_method"),
    (36, "l1_size"),
    (40, "l1_table_offset"),
    (48, "refcount_table_offset"),
    (56, "refcount_table_clusters"),
    (60, "nb_snapshots"),
    (64, "snapshots_offset"),
    (72, "incompatible_features"),
    (80, "compatible_features"),
    (88, "autoclear_features"),
    (96, "refcount_order"),
    (100, "header_length"),
    (104, "header extensions"),
    (112, ""),
];
/// Bits of an L1 or L2 entry that are an offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// The place of the byte `at`. `None` if the structure around it cannot be read.
#[must_use]
pub fn place(file: &Range<'_>, at: u64) -> Option<Place> {
    if let Some(field) = Place::field(HEADER, 0, at) {
        return Some(field.within("header", 0));
    }
    let number = |at: u64| Some(u64::from_be_bytes(file.array(at)?));
    let small = |at: u64| Some(u64::from(u32::from_be_bytes(file.array(at)?)));
    let cluster = 1 << small(20).filter(|bits| (9..=21).contains(bits))?;
    let begin = at / cluster * cluster;
    let entry = |name: String| Some(Place::new(format!("{name}: entry {}", (at - begin) / 8), at / 8 * 8 + 8));
    let l1 = (number(40)?, small(36)? * 8);
    let refcounts = (number(48)?, small(56)? * cluster);
    for (name, (start, len)) in [("L1 table", l1), ("refcount table", refcounts)] {
        if (start..start + len.next_multiple_of(cluster)).contains(&at) {
            return Some(Place::new(format!("{name}: entry {}", (at - start) / 8), at / 8 * 8 + 8));
        }
    }
    let blocks = (refcounts.0..refcounts.0 + refcounts.1).step_by(8).map_while(number).filter(|block| *block != 0);
    if let Some(index) = blocks.into_iter().position(|block| block == begin) {
        let first = index as u64 * (cluster / 2);
        let counted = first + (at - begin) / 2;
        return Some(Place::new(format!("refcount of cluster {counted}"), at / 2 * 2 + 2));
    }
    for (index, table) in (l1.0..l1.0 + l1.1).step_by(8).map_while(number).enumerate() {
        let table = table & OFFSET;
        if table == 0 {
            continue;
        }
        if table == begin {
            return entry(format!("L2 table {index}"));
        }
        let entries = file.bytes(table, cluster)?;
        let holds = |raw: &[u8]| raw.try_into().is_ok_and(|raw| u64::from_be_bytes(raw) & OFFSET == begin);
        if let Some(inside) = entries.chunks_exact(8).position(holds) {
            let guest = (index as u64 * (cluster / 8) + inside as u64) * cluster + at - begin;
            return Some(Place::new(format!("byte {guest} of the disk"), begin + cluster));
        }
    }
    Some(Place::new("a cluster that is not used", begin + cluster))
}
