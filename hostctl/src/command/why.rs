//! `hostctl why`: why versions failed.

use super::print;
use anyhow::Result;
use hostctl::why::{
    self,
    records::{RecordPaths, Records},
};

/// `hostctl why` on this host.
pub(crate) fn here(json: bool) -> Result<()> {
    let report = why::report(&Records::read(&RecordPaths::default())?);
    let time = |seconds: u64| match i64::try_from(seconds).map(jiff::Timestamp::from_second) {
        Ok(Ok(time)) => time.to_string(),
        _ => format!("{seconds} s after 1970"),
    };
    print(json, &report, || why::show(&report, time))
}
