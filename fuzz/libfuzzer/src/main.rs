//! The fuzz target of one reader. `$BERTH_READER` is the reader's name; the arguments are libFuzzer's.
#![no_main]

#[path = "../../readers/mod.rs"]
mod readers;

use libfuzzer_sys::fuzz_target;
use readers::Reader;
use std::sync::LazyLock;

static READER: LazyLock<&Reader> = LazyLock::new(|| {
    let name = std::env::var("BERTH_READER").unwrap_or_default();
    readers::all().find(|reader| reader.name == name).expect("BERTH_READER: expected a name that `seeds` prints")
});

fuzz_target!(|bytes: &[u8]| (READER.read)(bytes));
