//! The host's answers as text for people.

mod clock;
mod config;
mod network;
mod upgrade;

pub use config::{diff, generations, taken};
pub use network::network;
pub use upgrade::upgrade;

use berth_contract::{
    boot_report::{PhaseStamp, Stage},
    control::{BootReport, HostState, ServiceState, ServiceStatus, StatusReport},
};
use std::fmt::Write;

/// Width of the timeline's bars, in characters.
const BAR: u64 = 40;

/// The state of the host, one fact per line. `slots` are the rows about slots and boot entries.
#[must_use]
pub fn status(status: &StatusReport, slots: Vec<(&'static str, String)>) -> String {
    let mut rows = vec![
        ("image", format!("{} {}", status.image_id, status.version)),
        ("state", state(status.state).to_owned()),
        ("slot", format!("{} ({})", status.slot, status.root_hash)),
        ("kernel", status.kernel.clone()),
        ("host name", status.hostname.clone()),
        ("machine id", status.machine_id.clone()),
        ("up", format!("{} s", seconds(status.uptime_us))),
    ];
    rows.extend(slots);
    rows.extend(status.problems.iter().map(|problem| ("problem", problem.to_string())));
    if let Some(engine) = &status.engine {
        let ready = if engine.ready { "ready" } else { "not ready" };
        rows.push(("engine", format!("{} {}, {ready}", engine.kind, engine.version)));
    }
    rows.push(("config", status.config.source.clone().unwrap_or_else(|| "none".to_owned())));
    rows.extend(status.config.note.iter().map(|note| ("config note", note.clone())));
    rows.extend(status.config.error.iter().map(|error| ("config error", error.clone())));
    for interface in status.network.iter().flat_map(|network| &network.interfaces) {
        let gateway = interface.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let carrier = if interface.carrier { "" } else { ", no carrier" };
        rows.push(("network", format!("{} {}{gateway}{carrier}", interface.name, interface.addresses.join(" "))));
    }
    if let Some(network) = status.network.as_ref().filter(|network| !network.dns.is_empty()) {
        let servers: Vec<_> = network.dns.iter().map(ToString::to_string).collect();
        rows.push(("dns", servers.join(" ")));
    }
    rows.extend(status.time.iter().map(|time| ("clock", clock::clock(time))));
    rows.push((
        "memory",
        format!("{} MiB, {} MiB available", status.memory.total_kib >> 10, status.memory.available_kib >> 10),
    ));
    let kept = if status.var.persistent { "" } else { ", IN MEMORY: its content is lost at shutdown" };
    rows.push(("/var", format!("{} MiB, {} MiB free{kept}", status.var.size >> 20, status.var.available >> 20)));
    for container in &status.containers {
        let error = container.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        rows.push(("container", format!("{} ({}) {}{error}", container.name, container.image, container.state)));
    }
    rows.iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name:<12}  {value}");
        out
    })
}

/// The timeline of the boot, one line per phase and service.
#[must_use]
pub fn boot(report: &BootReport) -> String {
    let ends = report.phases.iter().filter_map(|phase| phase.end_us);
    let last = ends.chain(report.ready_us).max().unwrap_or(1).max(1);
    let width = report.phases.iter().map(|phase| phase.name.len()).max().unwrap_or(0).max("phase".len());
    let mut out = format!("{:<width$}  {:<7}  {:>8}  {:>8}\n", "phase", "stage", "start", "took");
    for phase in &report.phases {
        let took = phase.end_us.map_or_else(|| "runs".to_owned(), |end| seconds(end.saturating_sub(phase.start_us)));
        let line = format!(
            "{:<width$}  {:<7}  {:>8}  {took:>8}  {}",
            phase.name,
            stage(phase.stage),
            seconds(phase.start_us),
            bar(phase, last)
        );
        let _ = writeln!(out, "{}", line.trim_end());
        if let Some(error) = &phase.error {
            let _ = writeln!(out, "{:<width$}  FAILED: {error}", "");
        }
    }
    for (what, at) in [("engine ready", report.engine_us), ("host ready", report.ready_us)] {
        let _ = writeln!(out, "{what} after {}", at.map_or_else(|| "...: not yet".to_owned(), |at| seconds(at) + " s"));
    }
    out
}

/// All services, one line each.
#[must_use]
pub fn services(services: &[ServiceStatus]) -> String {
    let width = services.iter().map(|service| service.name.len()).max().unwrap_or(0).max("service".len());
    let mut out = format!("{:<width$}  {:<8}  {:>6}  {:>8}  last end\n", "service", "state", "pid", "restarts");
    for service in services {
        let line = format!(
            "{:<width$}  {:<8}  {:>6}  {:>8}  {}",
            service.name,
            service_state(service.state),
            service.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            service.restarts,
            service.last_exit.as_deref().unwrap_or("-")
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn bar(phase: &PhaseStamp, last: u64) -> String {
    let cell = |at: u64| usize::try_from(at.min(last) * BAR / last).unwrap_or(0);
    let from = cell(phase.start_us);
    let to = cell(phase.end_us.unwrap_or(last)).max(from + 1);
    format!("{}{}", " ".repeat(from), "#".repeat(to - from))
}

fn seconds(us: u64) -> String {
    format!("{}.{:03}", us / 1_000_000, us / 1000 % 1000)
}

/// A state in one word.
#[must_use]
pub fn state(state: HostState) -> &'static str {
    match state {
        HostState::Booting => "booting",
        HostState::Running => "running",
        HostState::Degraded => "degraded",
        HostState::Stopping => "stopping",
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Initrd => "initrd",
        Stage::Host => "host",
        Stage::Service => "service",
    }
}

fn service_state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Waiting => "waiting",
        ServiceState::Starting => "starting",
        ServiceState::Ready => "ready",
        ServiceState::Backoff => "backoff",
        ServiceState::Stopping => "stopping",
        ServiceState::Stopped => "stopped",
        ServiceState::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_shows_parallel_phases_and_errors() {
        let phase = |name: &str, start_us, end_us, error: Option<&str>| PhaseStamp {
            name: name.into(),
            stage: Stage::Host,
            start_us,
            end_us,
            error: error.map(str::to_owned),
        };
        let report = BootReport {
            phases: vec![
                phase("mounts", 1_000_000, Some(1_500_000), None),
                phase("var", 1_500_000, Some(4_000_000), Some("no disk")),
                phase("dockerd", 2_000_000, None, None),
            ],
            ready_us: None,
            engine_us: Some(4_000_000),
        };
        let bars =
            ["          #####", "               #########################", "                    ####################"];
        let expected = format!(
            "phase    stage       start      took\n\
             mounts   host        1.000     0.500  {}\n\
             var      host        1.500     2.500  {}\n\
             \u{20}        FAILED: no disk\n\
             dockerd  host        2.000      runs  {}\n\
             engine ready after 4.000 s\n\
             host ready after ...: not yet\n",
            bars[0], bars[1], bars[2]
        );
        assert_eq!(boot(&report), expected);
    }
}
