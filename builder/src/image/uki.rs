//! The unified kernel image: one PE file with command line, initrd and kernel (UAPI.5, Unified Kernel Image).

use berth_contract::{cmdline::ROOTHASH, digest::RootHash};

/// Seconds from a kernel panic to the reboot that takes a try off the boot entry.
const PANIC_SECONDS: u32 = 10;

/// The kernel command line: the slot's identity first, then what every image has, then the recipe's words.
#[must_use]
pub fn cmdline(root_hash: RootHash, recipe: &[String]) -> String {
    // Without `gpt`, Linux ignores a good backup table when a power cut has torn the primary one.
    let mut words = vec![format!("{ROOTHASH}={root_hash}"), "gpt".to_owned()];
    // A panicked machine that nobody can reach has to boot again; a recipe that knows better says so.
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
    fn a_recipes_panic_word_wins() {
        let hash = RootHash(Sha256([0xab; 32]));
        let hex = "ab".repeat(32);
        assert_eq!(cmdline(hash, &["quiet".into()]), format!("roothash={hex} gpt panic=10 quiet"));
        assert_eq!(cmdline(hash, &["panic=0".into()]), format!("roothash={hex} gpt panic=0"));
    }
}
