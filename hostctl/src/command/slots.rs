//! `hostctl status`, `slots` and `rollback`: what is on the disk, and which of it boots next.

use super::{on_host, print, write_out};
use anyhow::{Context, Result};
use berth_contract::{control::StatusReport, paths::BASELINE, update::SlotsReport, version::OsVersion};
use berth_control::Client;
use hostctl::{
    entries::{self, Host, Target},
    file,
    health::baseline,
    machine::Machine,
    show,
    upgrade::alone,
};
use serde::Serialize;
use std::path::Path;

/// `hostctl status --json`.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    status: &'a StatusReport,
    /// Nothing where slots or boot entries cannot be read.
    update: Option<&'a SlotsReport>,
}

/// The host at a glance. It is worth a look also where its disk is not.
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

/// Both slots of this host.
pub(crate) fn here(json: bool) -> Result<()> {
    let slots = local()?;
    print(json, &slots, || text(&slots))
}

/// Those of the host behind `client`.
pub(crate) fn there(client: &mut Client, json: bool) -> Result<()> {
    let slots = remote(client)?;
    print(json, &slots, || text(&slots))
}

fn local() -> Result<SlotsReport> {
    Ok(Host::find(Path::new("/"))?.report()?)
}

fn remote(client: &mut Client) -> Result<SlotsReport> {
    let mut text = String::new();
    on_host(client, ["slots", "--json"], |line| {
        text.push_str(&line.text);
        Ok(())
    })?;
    serde_json::from_str(&text).context("the host's hostctl says something else than slots: it is of another version")
}

fn text(slots: &SlotsReport) -> String {
    entries::show(slots).iter().map(|(name, text)| format!("{name:<12}  {text}\n")).collect()
}

/// Makes the other version of this host the one that boots next, and calls `reboot`.
pub(crate) fn rollback(version: Option<&OsVersion>, reboot: impl FnOnce() -> Result<()>) -> Result<()> {
    let alone = alone()?;
    let host = Host::find(Path::new("/"))?;
    let source = Machine::read().ok().and_then(|machine| machine.source_host());
    // A /var that is full, or cannot be written, must keep nobody from going back; but what was noted for another journey to the same
    // version must not judge this one.
    let take = |to: &OsVersion| {
        let taken = baseline::take(&host.running().version, to, source.as_deref());
        let removed = taken.or_else(|_| file::remove(Path::new(BASELINE)));
        removed.or_else(|error| if baseline::is_for(Path::new(BASELINE), to) { Err(error) } else { Ok(()) })
    };
    let entry = host.rollback(version.map_or(Target::Other, Target::Named), take)?;
    drop(alone);
    // Also when nobody listens.
    reboot()?;
    write_out(&format!("version {} boots next\n", entry.version))
}

/// The same on the host behind `client`.
pub(crate) fn rollback_there(
    mut client: Client,
    version: Option<&OsVersion>,
    reboot: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut said = String::new();
    on_host(&mut client, ["rollback"].into_iter().chain(version.map(OsVersion::as_str)), |line| {
        said += &format!("{}\n", line.text);
        Ok(())
    })?;
    // A serial port serves one after the other.
    drop(client);
    reboot()?;
    write_out(&said)
}
