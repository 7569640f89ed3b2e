//! The parameters of a dm-verity device.

use super::{BLOCK, Superblock};
use berth_contract::digest::RootHash;

/// The parameter string for DM_TABLE_LOAD: version 1, with the tree after the superblock on a device of its own. `options` are
/// the optional parameters, one word each, such as `panic_on_corruption`. The length of the device-mapper target is
/// `data_size() / 512` sectors.
#[must_use]
pub fn table(
    superblock: &Superblock,
    data_device: &str,
    hash_device: &str,
    root: &RootHash,
    options: &[&str],
) -> String {
    let salt = match superblock.salt.as_slice() {
        [] => "-".to_owned(),
        salt => salt.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    // Blocks are counted from the superblock, which is block 0: the tree begins at 1.
    let blocks = superblock.data_blocks;
    let table = format!("1 {data_device} {hash_device} {BLOCK} {BLOCK} {blocks} 1 sha256 {root} {salt}");
    if options.is_empty() { table } else { format!("{table} {} {}", options.len(), options.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::digest::Sha256;

    #[test]
    fn parameters_are_those_of_the_kernels_documentation() {
        let root = RootHash(Sha256([0xab; 32]));
        let mut superblock = Superblock { uuid: [0; 16], data_blocks: 262_144, salt: vec![] };
        let digest = "ab".repeat(32);
        assert_eq!(
            table(&superblock, "/dev/vda2", "254:3", &root, &[]),
            format!("1 /dev/vda2 254:3 4096 4096 262144 1 sha256 {digest} -")
        );
        superblock.salt = vec![0x12, 0x0f];
        assert_eq!(
            table(&superblock, "a", "b", &root, &["panic_on_corruption", "ignore_zero_blocks"]),
            format!("1 a b 4096 4096 262144 1 sha256 {digest} 120f 2 panic_on_corruption ignore_zero_blocks")
        );
    }
}
