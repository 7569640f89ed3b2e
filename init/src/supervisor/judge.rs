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

/// Time between two checks of the slots while the host is up, in microseconds. A damaged kernel image of the standby version must be found
/// before that version is needed.
const CHECK_PERIOD: u64 = 24 * 3600 * SECOND;

/// How long a shutdown waits until the boot record is on the disk.
const RECORD_TIME: Duration = Duration::from_secs(5);

/// The judge of this boot.
#[derive(Debug)]
pub(super) struct Judge {
    boot: Boot,
    program: Option<Started>,
    /// The last `hostctl slot repair`.
    slots: Option<Started>,
    checks: Checks,
    hostctl: PathBuf,
    /// Deadline for a version on trial to be found healthy.
    limit_us: u64,
    kernel_log: PathBuf,
}

impl Judge {
    /// A judge whose deadline is `limit` seconds after the kernel's start.
    pub(super) fn new(boot: Boot, limit: u32, hostctl: &Path, kernel_log: &Path) -> Self {
        let (limit_us, kernel_log) = (u64::from(limit) * SECOND, kernel_log.to_owned());
        let (hostctl, checks) = (hostctl.to_owned(), Checks::default());
        Self { boot, program: None, slots: None, checks, hostctl, limit_us, kernel_log }
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

    /// Checks whether there is a verdict, and starts the checks of the slots after it. Returns why the host must go down, if it must.
    pub(super) fn work(&mut self, fleet: &mut Fleet, now_us: u64) -> Option<String> {
        let end = match self.boot.record.verdict {
            Verdict::Pending => self.take_verdict(fleet, now_us),
            _ => None,
        };
        // A version on trial goes down with a bad verdict. Every other verdict leaves time to check the slots.
        if self.boot.record.verdict != Verdict::Pending && end.is_none() {
            self.check_slots(fleet, now_us);
        }
        end
    }

    fn check_slots(&mut self, fleet: &mut Fleet, now_us: u64) {
        let Fleet { programs, cgroups, .. } = fleet;
        let has_ended = self.slots.as_ref().is_none_or(|program| programs.end(program.number()).is_some());
        match self.checks.step(has_ended, now_us) {
            Step::Wait => {}
            // The check may have set a version aside, or blessed it again.
            Step::Settle => self.boot.settle(),
            Step::Start => {
                let words = [&self.hostctl.display().to_string(), "slot", "repair", "--background"].map(str::to_owned);
                match programs.start(SLOTS_LOG, &words, Errors::WithOutput, None, cgroups) {
                    Ok(program) => self.slots = Some(program),
                    Err(error) => console::warning(format_args!("the slots are not checked: {error}")),
                }
            }
        }
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
        match self.boot.record.verdict {
            Verdict::Pending => self.boot.on_trial().then_some(self.limit_us),
            _ => self.checks.deadline_us(),
        }
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

/// When the slots are checked: after the verdict, then once a day.
#[derive(Debug, Default)]
struct Checks {
    due_us: u64,
    is_running: bool,
}

/// What to do about the checks of the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Start a check.
    Start,
    /// A check has ended: choose the standby entry anew.
    Settle,
    /// Nothing.
    Wait,
}

impl Checks {
    /// `has_ended`: no check runs.
    fn step(&mut self, has_ended: bool, now_us: u64) -> Step {
        if !has_ended {
            return Step::Wait;
        }
        if std::mem::take(&mut self.is_running) {
            return Step::Settle;
        }
        if now_us < self.due_us {
            return Step::Wait;
        }
        (self.due_us, self.is_running) = (now_us + CHECK_PERIOD, true);
        Step::Start
    }

    /// When the next check is due. `None` while a check runs: its end is an event.
    fn deadline_us(&self) -> Option<u64> {
        (!self.is_running).then_some(self.due_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slots_are_checked_after_the_verdict_and_every_day() {
        let mut checks = Checks::default();
        let verdict = 60 * SECOND;
        assert_eq!(checks.step(true, verdict), Step::Start);
        assert_eq!((checks.step(false, verdict + 1), checks.deadline_us()), (Step::Wait, None));
        let next = verdict + CHECK_PERIOD;
        assert_eq!(checks.step(true, verdict + 2), Step::Settle);
        assert_eq!((checks.step(true, next - 1), checks.deadline_us()), (Step::Wait, Some(next)));
        assert_eq!(checks.step(true, next), Step::Start);
        // A check that takes more than a day is not started twice.
        assert_eq!(checks.step(false, next + 2 * CHECK_PERIOD), Step::Wait);
        assert_eq!(checks.step(true, next + 2 * CHECK_PERIOD), Step::Settle);
        assert_eq!(checks.step(true, next + 2 * CHECK_PERIOD), Step::Start);
    }
}
