//! The last messages of a kernel that panicked, as lines of the boot in which it panicked.

use super::{LogPaths, line::StoredLine};
use crate::why::records::{RecordPaths, Records};

/// Name of these lines' log.
const LOG: &str = "crash";
/// Severity: critical.
const LEVEL: u8 = 2;

/// The crash records of a boot. `started` and `next` are the starts of this and the following boot in seconds since 1970; a crash record
/// has the time of the crash.
pub(super) fn lines(paths: &LogPaths, template: &StoredLine, started: i64, next: i64) -> Vec<StoredLine> {
    let records = Records::read(&RecordPaths { pstore: paths.pstore.clone(), ..RecordPaths::default() });
    let of_boot =
        records.dumps.iter().filter(|dump| i64::try_from(dump.at).is_ok_and(|at| (started..=next).contains(&at)));
    let mut lines = Vec::new();
    for dump in of_boot {
        let wall_us = i64::try_from(dump.at).unwrap_or(0).saturating_mul(1_000_000);
        for text in [&format!("{}:", dump.reason)].into_iter().chain(&dump.lines) {
            lines.push(StoredLine {
                wall_us: Some(wall_us),
                at_us: wall_us - started * 1_000_000,
                log: LOG.to_owned(),
                level: LEVEL,
                text: text.clone(),
                ..template.clone()
            });
        }
    }
    lines
}
