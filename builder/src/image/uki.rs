//! The unified kernel image: one PE file with command line, initrd and kernel (UAPI.5, Unified Kernel Image).

use berth_contract::{cmdline::ROOTHASH, digest::RootHash};

/// Seconds from a kernel panic to the reboot. The reboot uses up one try of the boot entry.
const PANIC_SECONDS: u32 = 10;

/// The kernel command line: first the root hash, which identifies the slot, then the words of every image, then the words of the
/// recipe.
#[must_use]
pub fn cmdline(root_hash: RootHash, recipe: &[String]) -> String {
    // A power cut can damage the primary partition table. Linux uses the backup table only if `gpt` is on the command line.
    let mut words = vec![format!("{ROOTHASH}={root_hash}"), "gpt".to_owned()];
    // After a panic the host must reboot without help. The recipe can set another value.
    if !recipe.iter().any(|word| word.starts_with("panic=")) {
        words.push(format!("panic={PANIC_SECONDS}"));
    }
    words.extend(recipe.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::digest::Sha256;

    #[test]
    fn the_recipe_can_set_panic() {
        let hash = RootHash(Sha256([0xab; 32]));
        let hex = "ab".repeat(32);
        assert_eq!(cmdline(hash, &["quiet".into()]), format!("roothash={hex} gpt panic=10 quiet"));
        assert_eq!(cmdline(hash, &["panic=0".into()]), format!("roothash={hex} gpt panic=0"));
    }
}
