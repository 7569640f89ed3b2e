//! Progress events of downloads.

/// A progress event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The amount to download. Blobs that are already in the store are not counted.
    Planned {
        /// Number of blobs.
        files: usize,
        /// Sum of their sizes in bytes.
        bytes: u64,
    },
    /// The download of a blob starts.
    Started {
        /// Name of the job.
        name: &'a str,
        /// Size of the whole blob in bytes.
        size: u64,
        /// Bytes that an earlier attempt left in the store.
        resumed: u64,
    },
    /// More bytes of a blob were received.
    Received {
        /// Name of the job.
        name: &'a str,
        /// Number of new bytes.
        bytes: u64,
    },
    /// Bytes of a blob (received or resumed) were discarded. The next attempt or mirror starts from the first byte.
    Discarded {
        /// Name of the job.
        name: &'a str,
        /// Number of discarded bytes.
        bytes: u64,
    },
    /// A blob is now in the store.
    Finished {
        /// Name of the job.
        name: &'a str,
    },
}

/// Receives progress events. Several threads call it at once.
pub trait Progress: Sync {
    /// Handles an event. Must return quickly: the transfer waits for it.
    fn event(&self, event: Event<'_>);
}

/// Ignores all events.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}
