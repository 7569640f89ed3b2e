//! Each reader of untrusted bytes with damaged and random bytes. `ci/fuzz` gives the same readers to a fuzzer.

#[path = "../../fuzz/readers/logd.rs"]
mod logd;
#[path = "../../fuzz/readers/reader.rs"]
mod reader;

/// Number of changed and of random inputs for each reader.
const ROUNDS: u32 = 5000;

#[test]
fn damaged_and_random_bytes_cause_no_panic() {
    for reader in logd::READERS {
        reader::smoke(reader, ROUNDS);
    }
}
