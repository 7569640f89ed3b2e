//! A host that runs in a virtual machine. Tests use its control port, as an operator does.

use crate::{
    common::{LIMIT, machine, shared},
    publisher::disk,
};
use berth_contract::{
    control::{LogLine, StatusReport},
    update::{EntryState, SlotReport, SlotsReport},
};
use berth_control::{Client, ClientError};
use berth_qemu::{
    error::VmError,
    machine::{Description, Machine},
};
use std::{path::Path, time::Duration};

pub(crate) struct Host {
    pub(crate) vm: Machine,
}

/// A machine with network access for a build of the small host.
pub(crate) fn small(name: &str, build: &Path) -> Description {
    let mut description = machine(name, Some(disk(build)));
    (description.memory, description.reach_out) = (1024, true);
    // After a kernel panic, reboot after one second instead of ten.
    description.kernel_words = Some("panic=1".to_owned());
    description
}

/// The same machine, resumed from a saved state instead of booted. The state was saved when the host was ready and found healthy.
pub(crate) fn booted(description: &Description) -> Description {
    let healthy = |vm: &mut Machine| {
        vm.wait_ready(LIMIT)?;
        vm.wait_for_text("is found healthy", 0, LIMIT)
    };
    description.booted(&shared("machines"), "small", healthy).unwrap()
}

impl Host {
    pub(crate) fn start(description: &Description) -> Self {
        Self::try_start(description, LIMIT).unwrap()
    }

    pub(crate) fn try_start(description: &Description, limit: Duration) -> Result<Self, VmError> {
        let mut vm = description.start()?;
        vm.wait_ready(limit)?;
        Ok(Self { vm })
    }

    /// Starts a machine whose first boot may fail.
    pub(crate) fn start_machine(description: &Description) -> Self {
        Self { vm: description.start().unwrap() }
    }

    /// Runs hostctl on the host. Returns the lines that hostctl printed, or its error message.
    pub(crate) fn hostctl(&mut self, arguments: &[&str]) -> Result<Vec<String>, String> {
        hostctl_on(&mut self.vm, arguments, Duration::from_secs(600))
    }

    pub(crate) fn status(&mut self) -> StatusReport {
        self.client().status().unwrap()
    }

    fn client(&mut self) -> Client {
        self.vm.answering(LIMIT, Duration::from_secs(30)).unwrap()
    }

    /// The running slot and the other slot.
    pub(crate) fn slots(&mut self) -> (SlotReport, SlotReport) {
        let text = self.hostctl(&["slots", "--json"]).unwrap().concat();
        let report: SlotsReport = serde_json::from_str(&text).unwrap();
        let (running, other): (Vec<_>, Vec<_>) = report.slots.into_iter().partition(|slot| slot.running);
        (running[0].clone(), other[0].clone())
    }

    /// Waits until `version` runs and is blessed.
    pub(crate) fn wait_for(&mut self, version: &str, limit: Duration) {
        let healthy = |vm: &mut Machine| -> bool {
            let Ok(lines) = hostctl_on(vm, &["slots", "--json"], Duration::from_secs(10)) else { return false };
            let Ok(report) = serde_json::from_str::<SlotsReport>(&lines.concat()) else { return false };
            let running = report.slots.into_iter().find(|slot| slot.running);
            running.is_some_and(|slot| {
                slot.state == EntryState::Blessed && slot.version.is_some_and(|found| found.as_str() == version)
            })
        };
        self.vm.wait_until(&format!("version {version}, found healthy"), limit, healthy).unwrap();
    }

    pub(crate) fn reboot(&mut self) {
        self.client().reboot().unwrap();
    }

    pub(crate) fn poweroff(&mut self) {
        self.client().poweroff().unwrap();
        self.vm.wait_for_end(LIMIT).unwrap();
    }

    pub(crate) fn cut_power(self) {
        self.vm.cut_power();
    }
}

fn hostctl_on(vm: &mut Machine, arguments: &[&str], patience: Duration) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    let take = |line: LogLine| {
        lines.push(line.text);
        Ok::<_, ClientError>(())
    };
    let mut client = vm.answering(LIMIT, patience).map_err(|error| error.to_string())?;
    match client.run(&arguments, take) {
        Ok(()) => Ok(lines),
        Err(error) => Err(format!("{error} {}", error.hint().unwrap_or_default())),
    }
}
