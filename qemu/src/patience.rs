//! Longer time limits on a busy computer.

use std::{fs, thread, time::Duration};

/// Largest factor for a time limit.
const MOST: f64 = 4.0;

/// Returns `limit`, stretched according to the present load of this computer.
#[must_use]
pub fn stretched_now(limit: Duration) -> Duration {
    let load = fs::read_to_string("/proc/loadavg").ok();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    stretched(limit, load.as_deref().and_then(parse).unwrap_or(0.0), processors)
}

/// `load` is the number of threads that want a processor, as /proc/loadavg counts them. The limit is stretched only if the load is more
/// than twice the number of processors: a guest itself has two processors, and its own load must not stretch the limit.
fn stretched(limit: Duration, load: f64, processors: usize) -> Duration {
    let processors = u32::try_from(processors.max(1)).unwrap_or(u32::MAX);
    limit.mul_f64((load / (2.0 * f64::from(processors))).clamp(1.0, MOST))
}

/// The mean load of the last minute.
fn parse(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok().filter(|load: &f64| load.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_load_within_bounds() {
        let limit = |load| stretched(Duration::from_secs(10), load, 2).as_secs_f64();
        assert_eq!([0.0, 4.0, 8.0, 1000.0].map(limit), [10.0, 10.0, 20.0, 40.0]);
        assert_eq!(stretched(Duration::from_secs(10), 6.0, 0), Duration::from_secs(30));
    }

    #[test]
    fn the_load_is_the_first_number() {
        assert_eq!(parse("2.25 1.60 0.84 3/512 1234\n"), Some(2.25));
        assert_eq!([parse(""), parse("NaN 1 1"), parse("x")], [None; 3]);
    }
}
