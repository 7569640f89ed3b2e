//! Limits how often the links are scanned.
//!
//! A scan changes the kernel, the kernel reports the change, and the report asks for the next scan. If the kernel lists something in
//! another form than netd has set it, or refuses a step after a change, this would go on without an end and use a whole processor.

use crate::client::Moment;
use std::time::Duration;

/// Scans that may follow each other at once: a boot with many cards needs some dozens.
const BURST: u32 = 50;
/// In the long run there is one scan in this time.
const EACH: Duration = Duration::from_millis(100);
/// A scan with refused steps counts as so many scans.
const REFUSED: u32 = 10;

/// The scans of the last seconds.
#[derive(Debug, Default)]
pub struct Pace {
    /// When the scans so far are paid for: each adds [`EACH`].
    paid: Moment,
}

impl Pace {
    /// When the next scan may start. A time that has passed means: at once.
    #[must_use]
    pub fn next(&self) -> Moment {
        self.paid.saturating_sub(EACH * BURST)
    }

    /// Counts a scan.
    pub fn count(&mut self, is_refused: bool, now: Moment) {
        self.paid = self.paid.max(now) + EACH * if is_refused { REFUSED } else { 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans as often as possible; returns the scans until each of the seconds.
    fn scans(is_refused: bool, seconds: u64) -> usize {
        let (mut pace, mut now, mut count) = (Pace::default(), Duration::from_secs(100), 0);
        let end = now + Duration::from_secs(seconds);
        while now < end {
            pace.count(is_refused, now);
            count += 1;
            now = now.max(pace.next());
        }
        count
    }

    #[test]
    fn a_burst_is_not_delayed_and_an_endless_loop_is() {
        assert_eq!(scans(false, 1), 60, "a burst, then ten in a second");
        assert_eq!(scans(false, 11) - scans(false, 1), 100);
        assert_eq!(scans(true, 11) - scans(true, 1), 10, "one in a second");
    }
}
