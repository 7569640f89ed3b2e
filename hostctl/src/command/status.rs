//! `hostctl status` and `hostctl slots`: the host, its slots, and what boots next.

use super::{on_host, print};
use anyhow::{Context, Result};
use berth_contract::{control::StatusReport, update::SlotsReport};
use berth_control::Client;
use hostctl::{
    entries::{self, Installed},
    show,
};
use serde::Serialize;
use std::path::Path;

/// `hostctl status --json`.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    status: &'a StatusReport,
    /// `None` if the slots or boot entries cannot be read.
    update: Option<&'a SlotsReport>,
}

/// `hostctl status`. An error of the slots is shown as a row, because the rest is still useful.
pub(crate) fn status(client: &mut Client, is_here: bool, json: bool) -> Result<()> {
    let status = client.status()?;
    let slots = if is_here { local() } else { remote(client) };
    let rows = match &slots {
        Ok(slots) => entries::show(slots),
        Err(error) => vec![("slots", format!("unknown: {error:#}"))],
    };
    let both = Status { status: &status, update: slots.as_ref().ok() };
    print(json, &both, || show::status(&status, rows))
}

/// `hostctl slots` on this host.
pub(crate) fn here(json: bool) -> Result<()> {
    let slots = local()?;
    print(json, &slots, || text(&slots))
}

/// `hostctl slots` on the host that `client` is connected to.
pub(crate) fn there(client: &mut Client, json: bool) -> Result<()> {
    let slots = remote(client)?;
    print(json, &slots, || text(&slots))
}

fn local() -> Result<SlotsReport> {
    Ok(Installed::find(Path::new("/"))?.report()?)
}

fn remote(client: &mut Client) -> Result<SlotsReport> {
    let mut text = String::new();
    on_host(client, ["slots", "--json"], |line| {
        text.push_str(&line.text);
        Ok(())
    })?;
    serde_json::from_str(&text)
        .context("cannot read the answer of `hostctl slots` on the host: it may be another version of hostctl")
}

fn text(slots: &SlotsReport) -> String {
    entries::show(slots).iter().map(|(name, text)| format!("{name:<12}  {text}\n")).collect()
}
