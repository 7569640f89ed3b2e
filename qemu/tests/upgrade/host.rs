//! A running host of these tests, asked and told through its control port as an operator outside of the machine does.

use crate::common::LIMIT;
use berth_contract::{
    control::{LogLine, StatusReport},
    update::{EntryState, SlotReport, SlotsReport},
};
use berth_control::{Client, ClientError};
use berth_qemu::{
    error::VmError,
    machine::{Description, Machine},
};
use std::time::Duration;

pub(crate) struct Host {
    pub(crate) vm: Machine,
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

    /// Runs hostctl on the host: the lines that it printed, or what it said when it failed.
    pub(crate) fn hostctl(&mut self, arguments: &[&str]) -> Result<Vec<String>, String> {
        hostctl_on(&mut self.vm, arguments, Duration::from_secs(600))
    }

    pub(crate) fn status(&mut self) -> StatusReport {
        self.client().status().unwrap()
    }

    fn client(&mut self) -> Client {
        self.vm.answering(LIMIT, Duration::from_secs(30)).unwrap()
    }

    /// The slot that runs, and the other.
    pub(crate) fn slots(&mut self) -> (SlotReport, SlotReport) {
        let text = self.hostctl(&["slots", "--json"]).unwrap().concat();
        let report: SlotsReport = serde_json::from_str(&text).unwrap();
        let (running, other): (Vec<_>, Vec<_>) = report.slots.into_iter().partition(|slot| slot.running);
        (running[0].clone(), other[0].clone())
    }

    /// Waits until `version` runs and has been found healthy.
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
