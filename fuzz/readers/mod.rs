//! The readers of untrusted bytes.

pub(crate) mod init;
pub(crate) mod logd;
pub(crate) mod netd;

pub(crate) use reader::Reader;

#[path = "reader.rs"]
pub(crate) mod reader;

/// All readers.
pub(crate) fn all() -> impl Iterator<Item = &'static Reader> {
    netd::READERS.iter().chain(init::READERS).chain(logd::READERS)
}
