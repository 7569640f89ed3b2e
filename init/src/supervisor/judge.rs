//! The verdict on this boot. `hostctl bless` checks whether the host is healthy. The judge runs it, stores the verdict in the boot record,
//! and requests a reboot when a version on trial is not healthy.

use super::{fleet::Fleet, process::Errors, unit::SECOND};
use crate::{
    console,
    control::Started,
    trial::{Boot, one_shot, tail::tail},
};
use berth_contract::{
    control::LogLine,
    subject::Subject,
    update::{BootEnd, Verdict},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Name of the log and of the control group of `hostctl bless`.
pub(super) const LOG: &str = "bless";
/// Name of the log and of the control group of the slots' check, which follows the verdict.
pub(super) const SLOTS_LOG: &str = "slots";
/// Number of lines of `hostctl bless` that are stored with a bad verdict.
const LINES: usize = 20;
/// Number of last lines of its output that are searched for the verdict.
const LAST_LINES: usize = 3;

/// How long a shutdown waits until the boot record is on the disk.
const RECORD_TIME: Duration = Duration::from_secs(5);

/// The judge of this boot.
#[derive(Debug)]
pub(super) struct Judge {
    boot: Boot,
    program: Option<Started>,
    /// `hostctl slot repair`, after the verdict.
    slots: Option<Started>,
    hostctl: PathBuf,
    /// Deadline for a version on trial to be found healthy.
    limit_us: u64,
    kernel_log: PathBuf,
}

impl Judge {
    /// A judge whose deadline is `limit` seconds after the kernel's start.
    pub(super) fn new(boot: Boot, limit: u32, hostctl: &Path, kernel_log: &Path) -> Self {
        let (limit_us, kernel_log) = (u64::from(limit) * SECOND, kernel_log.to_owned());
        Self { boot, program: None, slots: None, hostctl: hostctl.to_owned(), limit_us, kernel_log }
    }

    /// Starts `hostctl bless`. Later calls of [`Judge::work`] take its verdict. Returns why the host must go down, if that is known
    /// already.
    pub(super) fn begin(&mut self, fleet: &mut Fleet) -> Option<String> {
        if self.boot.on_trial() && self.boot.store.is_none() {
            return self.set_bad_verdict(Subject::Phase("var".to_owned()), "/var is in memory", fleet);
        }
        let until = (self.limit_us / SECOND).to_string();
        let words = [&self.hostctl.display().to_string(), "bless", "--until", &until].map(str::to_owned);
        let Fleet { programs, cgroups, .. } = fleet;
        match programs.start(LOG, &words, Errors::WithOutput, None, cgroups) {
            Ok(program) => {
                self.program = Some(program);
                None
            }
            Err(error) => self.set_bad_verdict(Subject::Bless, &error.to_string(), fleet),
        }
    }

    /// The output of `hostctl bless` or of the slots' check, as a log. `None` for another name.
    pub(super) fn log(&self, name: &str, fleet: &Fleet, from: u64, limit: usize) -> Option<(Vec<LogLine>, u64)> {
        let program = match name {
            LOG => &self.program,
            SLOTS_LOG => &self.slots,
            _ => return None,
        };
        let since = |program: &Started| fleet.programs.since(program.number(), from, limit);
        Some(program.as_ref().map_or((Vec::new(), from), since))
    }

    /// Checks whether there is a verdict. Returns why the host must go down, if it must.
    pub(super) fn work(&mut self, fleet: &mut Fleet, now_us: u64) -> Option<String> {
        if self.boot.record.verdict != Verdict::Pending {
            return None;
        }
        let end = self.take_verdict(fleet, now_us);
        // A version on trial goes down with a bad verdict. Every other verdict leaves time to check the slots.
        if self.boot.record.verdict != Verdict::Pending && end.is_none() {
            let words = [&self.hostctl.display().to_string(), "slot", "repair", "--background"].map(str::to_owned);
            let Fleet { programs, cgroups, .. } = fleet;
            match programs.start(SLOTS_LOG, &words, Errors::WithOutput, None, cgroups) {
                Ok(program) => self.slots = Some(program),
                Err(error) => console::warning(format_args!("the slots are not checked: {error}")),
            }
        }
        end
    }

    fn take_verdict(&mut self, fleet: &Fleet, now_us: u64) -> Option<String> {
        let number = self.program.as_ref()?.number();
        let lines = || fleet.programs.last_lines(number, LAST_LINES);
        match fleet.programs.end(number) {
            Some((exit, _)) if exit.is_success() => {
                self.boot.record.verdict = Verdict::Good;
                self.boot.settle();
                self.write();
                let version = &self.boot.record.version;
                console::announce(&format!("version {version} is found healthy"));
                None
            }
            Some((exit, _)) => {
                let said = lines().iter().rev().find_map(|line| serde_json::from_str(&line.text).ok());
                match said {
                    Some(Verdict::Bad { what, why }) => self.set_bad_verdict(what, &why, fleet),
                    _ => {
                        let last = lines().pop().map(|line| format!("; it said: {}", line.text)).unwrap_or_default();
                        self.set_bad_verdict(Subject::Bless, &format!("hostctl bless ended with {exit}{last}"), fleet)
                    }
                }
            }
            None if self.boot.on_trial() && now_us >= self.limit_us => {
                let last = lines().pop().map_or_else(|| "no output".to_owned(), |line| line.text);
                self.set_bad_verdict(
                    Subject::Time,
                    &format!("not healthy after {} s: {last}", self.limit_us / SECOND),
                    fleet,
                )
            }
            None => None,
        }
    }

    /// When to call [`Judge::work`] again, if no event comes before.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        let waits = self.boot.on_trial() && self.boot.record.verdict == Verdict::Pending;
        waits.then_some(self.limit_us)
    }

    /// Records that an orderly shutdown begins.
    pub(super) fn ends(&mut self, how: BootEnd) {
        self.boot.record.end = Some(how);
        self.boot.settle();
        self.write();
        // Drop the handle: this ends `hostctl bless`, whose verdict is not needed any more.
        (self.program, self.slots) = (None, None);
    }

    /// Waits until the firmware's variables are changed and the record is on the disk, for [`RECORD_TIME`] each at most. Call it after the
    /// services have been stopped, because it blocks.
    pub(super) fn wait_for_record(&self) {
        one_shot::wait(RECORD_TIME);
        if let Some(store) = &self.boot.store {
            store.wait(RECORD_TIME);
        }
    }

    fn set_bad_verdict(&mut self, what: Subject, why: &str, fleet: &Fleet) -> Option<String> {
        let service = match &what {
            Subject::Service(name) => {
                let lines = fleet.output(name).map(|output| output.since(0, usize::MAX).0).unwrap_or_default();
                Some((name.as_str(), lines))
            }
            _ => None,
        };
        let bless = self.program.as_ref().map(|program| fleet.programs.last_lines(program.number(), LINES));
        let further: Vec<_> = service.into_iter().chain(bless.map(|lines| (LOG, lines))).collect();
        let record = &mut self.boot.record;
        record.tail = tail(&self.kernel_log, &further);
        let said = format!("version {} is not healthy: {what}: {why}", record.version);
        record.verdict = Verdict::Bad { what, why: why.to_owned() };
        let on_trial = self.boot.on_trial();
        if !on_trial {
            // A reboot would only start the same version again. The host answers, so a user can decide.
            self.boot.settle();
            console::warning(format_args!("{said}"));
            self.write();
            return None;
        }
        // The record is not written here: the caller shuts the host down, and [`Judge::ends`] writes it.
        console::error(format_args!("{said}; rebooting"));
        Some(said)
    }

    fn write(&mut self) {
        if let Some(store) = &mut self.boot.store {
            store.write_beside(&self.boot.record);
        }
    }
}
