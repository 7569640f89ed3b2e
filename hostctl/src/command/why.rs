//! `hostctl why`: why versions failed.

use super::print;
use anyhow::Result;
use berth_contract::{image_spec::ImageSpec, paths::IMAGE_SPEC};
use hostctl::{
    file,
    why::{
        self, Extent,
        records::{RecordPaths, Records},
    },
};
use std::path::Path;

/// `hostctl why` on this host. An error if this is not a Berth host: without a record, the report would look like good news.
pub(crate) fn here(extent: Extent, json: bool) -> Result<()> {
    let _: ImageSpec = file::json(Path::new(IMAGE_SPEC))?;
    let report = why::report(&Records::read(&RecordPaths::default()));
    let time = |seconds: u64| match i64::try_from(seconds).map(jiff::Timestamp::from_second) {
        Ok(Ok(time)) => time.to_string(),
        _ => format!("{seconds} s after 1970"),
    };
    print(json, &report, || why::show(&report, extent, time))
}
