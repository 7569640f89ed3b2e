//! The clocks of the host, in microseconds.

use rustix::time::{ClockId, Timespec, clock_gettime};

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

fn micros(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000)
}
