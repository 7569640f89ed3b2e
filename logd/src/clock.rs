//! The clocks of the host, in microseconds.

use berth_contract::{paths, time_config::TimeStatus};
use berth_file::read_json;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::{path::Path, time::Duration};

/// Time since kernel start, as init stamps its lines.
#[must_use]
pub fn now_us() -> i64 {
    micros(clock_gettime(ClockId::Monotonic))
}

/// Wall clock minus time since kernel start.
#[must_use]
pub fn offset_us() -> i64 {
    micros(clock_gettime(ClockId::Realtime)) - now_us()
}

/// Whether timed reports that the clock follows a server.
#[must_use]
pub fn is_followed(report: &Path) -> bool {
    let since_start = u64::try_from(micros(clock_gettime(ClockId::Boottime))).unwrap_or(u64::MAX);
    let status: TimeStatus = read_json(report, paths::MAX_JSON).unwrap_or_default();
    status.is_followed(Duration::from_micros(since_start))
}

fn micros(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000)
}
