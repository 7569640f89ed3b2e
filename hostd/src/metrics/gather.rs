//! The figures. Their names are a contract with users: add, do not rename.

use super::text::{Seconds, Text};
use crate::{counters::Counters, sys};
use berth_contract::{
    boot_report::Stage,
    container_state::ContainerState,
    control::{BootReport, ContainerStatus, HostState, ServiceState, ServiceStatus, StatusReport},
    update::{EntryState, SlotsReport},
};
use rustix::time::{ClockId, clock_gettime};

pub(super) fn host(text: &mut Text, status: &StatusReport) {
    text.family("berth_image_info", "gauge", "The image that runs; always 1.");
    let engine = status.engine.as_ref().map(|engine| format!("{} {}", engine.kind, engine.version)).unwrap_or_default();
    text.sample(
        "berth_image_info",
        &[
            ("id", &status.image_id),
            ("version", &status.version),
            ("slot", &status.slot),
            ("kernel", &status.kernel),
            ("engine", &engine),
        ],
        1,
    );
    text.one("berth_uptime_seconds", "gauge", "Seconds since the kernel started.", Seconds(status.uptime_us));
    text.family("berth_host_state", "gauge", "1 for the state of the host, 0 for the other states.");
    for (name, state) in [
        ("booting", HostState::Booting),
        ("running", HostState::Running),
        ("degraded", HostState::Degraded),
        ("stopping", HostState::Stopping),
    ] {
        text.sample("berth_host_state", &[("state", &name)], u8::from(state == status.state));
    }
    text.one("berth_problems", "gauge", "Number of problems of the host.", status.problems.len());
    let ready = status.engine.as_ref().is_some_and(|engine| engine.ready);
    text.one("berth_engine_ready", "gauge", "1 if the container engine answers.", u8::from(ready));
    let failed = u8::from(status.config.error.is_some());
    text.one("berth_config_failed", "gauge", "1 if the host.toml that was found is not in force.", failed);
}

pub(super) fn boot(text: &mut Text, boot: &BootReport) {
    text.family("berth_boot_phase_seconds", "gauge", "How long a phase of the boot or the start of a service took.");
    for phase in &boot.phases {
        let Some(end) = phase.end_us else { continue };
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("phase", &phase.name), ("stage", &stage(phase.stage))];
        text.sample("berth_boot_phase_seconds", &labels, Seconds(end.saturating_sub(phase.start_us)));
    }
    let failed = boot.phases.iter().filter(|phase| phase.error.is_some()).count();
    text.one("berth_boot_failed_phases", "gauge", "Number of phases of the boot that failed.", failed);
    for (name, help, at) in [
        ("berth_boot_ready_seconds", "Seconds from the kernel's start until the host was ready.", boot.ready_us),
        ("berth_boot_engine_seconds", "Seconds from the kernel's start until the engine was ready.", boot.engine_us),
    ] {
        if let Some(at) = at {
            text.one(name, "gauge", help, Seconds(at));
        }
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Initrd => "initrd",
        Stage::Host => "host",
        Stage::Service => "service",
    }
}

pub(super) fn services(text: &mut Text, services: &[ServiceStatus]) {
    text.family("berth_service_ready", "gauge", "1 if a service is ready.");
    for service in services {
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("service", &service.name), ("required", &service.required)];
        text.sample("berth_service_ready", &labels, u8::from(service.state == ServiceState::Ready));
    }
    text.family("berth_service_restarts_total", "counter", "How often a service was started again.");
    for service in services {
        text.sample("berth_service_restarts_total", &[("service", &service.name)], service.restarts);
    }
}

pub(super) fn containers(text: &mut Text, containers: &[ContainerStatus]) {
    text.family("berth_container_running", "gauge", "1 if a declared container runs.");
    for one in containers {
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("container", &one.name), ("required", &one.required)];
        text.sample("berth_container_running", &labels, u8::from(one.state == ContainerState::Running));
    }
}

pub(super) fn memory(text: &mut Text, status: &StatusReport) {
    for (name, help, value) in [
        ("berth_memory_total_bytes", "Memory of the host.", status.memory.total_kib << 10),
        ("berth_memory_available_bytes", "Memory that programs can still get.", status.memory.available_kib << 10),
        ("berth_var_size_bytes", "Size of the file system on /var.", status.var.size),
        ("berth_var_available_bytes", "Free space of /var.", status.var.available),
    ] {
        text.one(name, "gauge", help, value);
    }
    let help = "1 if /var is on the disk, 0 if it is in memory.";
    text.one("berth_var_persistent", "gauge", help, u8::from(status.var.persistent));
}

pub(super) fn network(text: &mut Text, status: &StatusReport, counts: &str) {
    text.family("berth_network_carrier", "gauge", "1 if an interface has a carrier.");
    for one in status.network.iter().flat_map(|network| &network.interfaces) {
        text.sample("berth_network_carrier", &[("interface", &one.name)], u8::from(one.carrier));
    }
    // /proc/net/dev: "NAME: BYTES PACKETS ERRORS DROPPED ..." with eight columns for each direction.
    let rows: Vec<(&str, Vec<u64>)> = counts
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, rest)| (name.trim(), rest.split_whitespace().filter_map(|word| word.parse().ok()).collect()))
        .collect();
    for (name, help, column) in [
        ("berth_network_receive_bytes_total", "Bytes that an interface has received.", 0),
        ("berth_network_receive_errors_total", "Errors when an interface received.", 2),
        ("berth_network_transmit_bytes_total", "Bytes that an interface has sent.", 8),
        ("berth_network_transmit_errors_total", "Errors when an interface sent.", 10),
    ] {
        text.family(name, "counter", help);
        for (interface, columns) in &rows {
            if let Some(value) = columns.get(column) {
                text.sample(name, &[("interface", interface)], value);
            }
        }
    }
}

pub(super) fn clock(text: &mut Text) {
    let now = clock_gettime(ClockId::Realtime);
    text.one("berth_clock_seconds", "gauge", "The clock of the host, in seconds since 1970.", now.tv_sec);
    let synchronised = sys::clock_is_synchronised();
    text.one(
        "berth_clock_synchronised",
        "gauge",
        "1 if the kernel knows that the clock is right.",
        u8::from(synchronised),
    );
}

pub(super) fn slots(text: &mut Text, report: &SlotsReport) {
    text.family("berth_slot_info", "gauge", "A slot, its version and the state of its boot entry; always 1.");
    for slot in &report.slots {
        let version = slot.version.as_ref().map(ToString::to_string).unwrap_or_default();
        text.sample(
            "berth_slot_info",
            &[
                ("slot", &slot.slot),
                ("version", &version),
                ("state", &entry_state(slot.state)),
                ("running", &slot.running),
            ],
            1,
        );
    }
    let on_trial = report.slots.iter().any(|slot| slot.running && matches!(slot.state, EntryState::Trial(_)));
    text.one("berth_trial", "gauge", "1 while the running version is on trial.", u8::from(on_trial));
    text.one(
        "berth_quarantined_versions",
        "gauge",
        "Number of versions that have failed here.",
        report.quarantine.len(),
    );
    let checked = || report.slots.iter().filter_map(|slot| Some((slot.slot, slot.check.as_ref()?)));
    text.family("berth_verity_damaged_blocks", "gauge", "Damaged blocks of a slot that could not be repaired.");
    for (slot, check) in checked() {
        text.sample("berth_verity_damaged_blocks", &[("slot", &slot)], check.left);
    }
}

fn entry_state(state: EntryState) -> &'static str {
    match state {
        EntryState::None => "none",
        EntryState::Staged => "staged",
        EntryState::Blessed => "blessed",
        EntryState::Trial(_) => "trial",
        EntryState::Failed => "failed",
        EntryState::SetAside => "set-aside",
    }
}

pub(super) fn api(text: &mut Text, counters: &Counters) {
    text.family("berth_api_requests_total", "counter", "Requests to this API.");
    for ((path, status), count) in &*counters.requests.borrow() {
        text.sample("berth_api_requests_total", &[("path", path), ("status", status)], count);
    }
    let refused = counters.refused.get();
    text.one("berth_api_refused_connections_total", "counter", "Connections that were refused.", refused);
    text.one("berth_api_connections", "gauge", "Open connections.", counters.connections.get());
}
