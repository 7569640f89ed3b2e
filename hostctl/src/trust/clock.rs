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

impl Clock {
    /// The later of the two times: a host whose clock was never set can still upgrade.
    pub(super) fn now(self) -> Timestamp {
        let seconds = self.host.max(self.epoch);
        i64::try_from(seconds).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
    }
}
