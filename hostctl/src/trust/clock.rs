//! The time by which signatures expire.

use jiff::Timestamp;

/// Two sources of the present time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Seconds since 1970 by the host's clock.
    pub host: u64,
    /// Build time of the running image in seconds since 1970. The real time cannot be earlier.
    pub epoch: u64,
}

/// Where the present time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSource {
    /// The host's clock.
    Host,
    /// The date of the running image, because the host's clock is earlier.
    Image,
    /// The time at which this host has verified metadata before, because the host's clock is earlier.
    Memory,
}

/// The present time, as assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) seconds: u64,
    pub(super) source: TimeSource,
}

impl Clock {
    /// The latest of the known times: a host whose clock was never set can still upgrade, and a clock that is set back makes no expired
    /// metadata valid again. `remembered` is the highest time in the memory.
    pub(super) fn now(self, remembered: u64) -> Now {
        let (seconds, source) =
            [(self.host, TimeSource::Host), (self.epoch, TimeSource::Image), (remembered, TimeSource::Memory)]
                .into_iter()
                // Of equal times the first is named.
                .rev()
                .max_by_key(|(seconds, _)| *seconds)
                .unwrap_or((self.host, TimeSource::Host));
        Now { seconds, source }
    }
}

impl Now {
    pub(super) fn timestamp(self) -> Timestamp {
        i64::try_from(self.seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
    }
}

impl std::fmt::Display for TimeSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Host => "this host's clock",
            Self::Image => "the date of the running image (the host's clock, being earlier, is wrong)",
            Self::Memory => {
                "the time when this host last verified metadata (the host's clock, being earlier, was set back)"
            }
        })
    }
}
