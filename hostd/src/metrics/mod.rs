//! The host's figures as Prometheus text.

mod gather;
mod text;

use crate::{
    answer::{Answer, METRICS, content},
    control::Control,
    counters::Counters,
    failure::Failure,
};
use berth_contract::{
    control::{Reply, Request},
    update::SlotsReport,
};
use hyper::StatusCode;
use std::time::Duration;
use tokio::time::Instant;

/// How long the state of the slots is kept: to read it, init starts a program.
const SLOTS_KEPT: Duration = Duration::from_secs(60);

/// All figures.
pub(crate) async fn answer(control: &Control, counters: &Counters) -> Result<Answer, Failure> {
    let Reply::Status(status) = control.reply(Request::Status).await? else {
        return Err(Failure::Answer("the status"));
    };
    let Reply::Boot(boot) = control.reply(Request::Boot).await? else {
        return Err(Failure::Answer("the boot's timeline"));
    };
    let Reply::Services(services) = control.reply(Request::Services).await? else {
        return Err(Failure::Answer("the services"));
    };
    let slots = slots(control, counters).await;
    let mut text = text::Text::default();
    gather::host(&mut text, &status);
    gather::boot(&mut text, &boot);
    gather::services(&mut text, &services);
    gather::containers(&mut text, &status.containers);
    gather::memory(&mut text, &status);
    gather::network(&mut text, &status, &std::fs::read_to_string("/proc/net/dev").unwrap_or_default());
    gather::clock(&mut text);
    // A host that cannot read its slots still has its other figures.
    if let Ok(slots) = &slots {
        gather::slots(&mut text, slots);
    }
    text.family("berth_slots_readable", "gauge", "1 if slots and boot entries could be read.");
    text.sample("berth_slots_readable", &[], u8::from(slots.is_ok()));
    gather::api(&mut text, counters);
    Ok(content(StatusCode::OK, METRICS, text.end()))
}

async fn slots(control: &Control, counters: &Counters) -> Result<SlotsReport, Failure> {
    let now = Instant::now();
    if let Some(slots) = counters.slots(now, SLOTS_KEPT) {
        return Ok(slots);
    }
    let lines = control.lines(vec!["slots".to_owned(), "--json".to_owned()]).await?;
    let slots: SlotsReport =
        serde_json::from_str(&lines.join("\n")).map_err(|_| Failure::Answer("a report about the slots"))?;
    counters.keep_slots(now, slots.clone());
    Ok(slots)
}
