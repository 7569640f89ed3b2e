//! The program that unpacks.

use std::path::Path;

/// This program, which is its own decoder.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// The program that unpacks: [`THIS_PROGRAM`], or in tests hostctl itself.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a>(pub &'a Path);

impl Decoder<'_> {
    /// The hostctl that runs now.
    #[must_use]
    pub fn this() -> Self {
        Self(Path::new(THIS_PROGRAM))
    }
}
