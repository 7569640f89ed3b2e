//! What a fetch tells while it runs.

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// So much is to be fetched (what is in the store already is not counted).
    Planned {
        /// Blobs.
        files: usize,
        /// Their sizes together.
        bytes: u64,
    },
    /// A blob's fetch begins; this much of it lay in the store from an earlier try.
    Started {
        /// Name as given with the job.
        name: &'a str,
        /// Whole size.
        size: u64,
        /// Bytes that need not be fetched again.
        resumed: u64,
    },
    /// More bytes of a blob have come.
    Received {
        /// Name as given with the job.
        name: &'a str,
        /// How many.
        bytes: u64,
    },
    /// Bytes of a blob (received or resumed) were thrown away: the next mirror or try begins anew.
    Discarded {
        /// Name as given with the job.
        name: &'a str,
        /// How many.
        bytes: u64,
    },
    /// A blob is in the store.
    Finished {
        /// Name as given with the job.
        name: &'a str,
    },
}

/// Who is told. Called from several threads at once.
pub trait Progress: Sync {
    /// Takes an event; must return soon, the transfer waits for it.
    fn event(&self, event: Event<'_>);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}
