//! The verdict on this boot. `hostctl bless` finds out how the host is; here is what follows from it.

use super::{fleet::Fleet, process::Errors, programs::Started, unit::SECOND};
use crate::{
    console,
    trial::{Boot, tail::tail},
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

/// Name of its log, and of its control group.
pub(super) const LOG: &str = "bless";
/// Lines of a log that may say why.
const LINES: usize = 20;
/// Lines at the end of its output among which the verdict is looked for.
const LAST_LINES: usize = 3;

/// What a disk gets to take the last record.
const RECORD_TIME: Duration = Duration::from_secs(5);

/// What judges.
#[derive(Debug)]
pub(super) struct Judge {
    boot: Boot,
    program: Option<Started>,
    /// When a version on trial must have been found healthy.
    limit_us: u64,
    kernel_log: PathBuf,
}

impl Judge {
    /// Judges by `limit` seconds after the kernel's start.
    pub(super) fn new(boot: Boot, limit: u32, kernel_log: &Path) -> Self {
        Self { boot, program: None, limit_us: u64::from(limit) * SECOND, kernel_log: kernel_log.to_owned() }
    }

    /// Starts to find out. What can be said at once is said at once; the verdict comes with [`Judge::work`].
    pub(super) fn begin(&mut self, hostctl: &Path, fleet: &mut Fleet) -> Option<String> {
        if self.boot.on_trial() && self.boot.store.is_none() {
            return self.condemn(Subject::Phase("var".to_owned()), "/var is in memory", fleet);
        }
        let until = (self.limit_us / SECOND).to_string();
        let words = [&hostctl.display().to_string(), "bless", "--until", &until].map(str::to_owned);
        let Fleet { programs, cgroups, .. } = fleet;
        match programs.start(LOG, &words, Errors::WithOutput, cgroups) {
            Ok(program) => {
                self.program = Some(program);
                None
            }
            Err(error) => self.condemn(Subject::Bless, &error.to_string(), fleet),
        }
    }

    /// Its output, as a log.
    pub(super) fn log(&self, fleet: &Fleet, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        self.program.as_ref().map_or((Vec::new(), from), |program| fleet.programs.since(program.number(), from, limit))
    }

    /// Looks whether there is a verdict. Returns why the host must go down, when it must.
    pub(super) fn work(&mut self, fleet: &Fleet, now_us: u64) -> Option<String> {
        if self.boot.record.verdict != Verdict::Pending {
            return None;
        }
        let number = self.program.as_ref()?.number();
        let lines = || fleet.programs.last_lines(number, LAST_LINES);
        match fleet.programs.end(number) {
            Some((exit, _)) if exit.is_success() => {
                self.boot.record.verdict = Verdict::Good;
                self.write();
                let version = &self.boot.record.version;
                console::announce(&format!("version {version} is found healthy"));
                None
            }
            Some((exit, _)) => {
                let said = lines().iter().rev().find_map(|line| serde_json::from_str(&line.text).ok());
                match said {
                    Some(Verdict::Bad { what, why }) => self.condemn(what, &why, fleet),
                    _ => {
                        let last = lines().pop().map(|line| format!("; it said: {}", line.text)).unwrap_or_default();
                        self.condemn(Subject::Bless, &format!("hostctl bless ended with {exit}{last}"), fleet)
                    }
                }
            }
            None if self.boot.on_trial() && now_us >= self.limit_us => {
                let last = lines().pop().map_or_else(|| "nothing was said".to_owned(), |line| line.text);
                self.condemn(Subject::Time, &format!("not healthy after {} s: {last}", self.limit_us / SECOND), fleet)
            }
            None => None,
        }
    }

    /// When to look again, if nothing happens before.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        let waits = self.boot.on_trial() && self.boot.record.verdict == Verdict::Pending;
        waits.then_some(self.limit_us)
    }

    /// The host goes down, in order.
    pub(super) fn ends(&mut self, how: BootEnd) {
        self.boot.record.end = Some(how);
        self.write();
        // It need not find out any more.
        self.program = None;
    }

    /// Waits a moment for the record to be on the disk: the services have been stopped.
    pub(super) fn wait_for_record(&self) {
        if let Some(store) = &self.boot.store {
            store.wait(RECORD_TIME);
        }
    }

    fn condemn(&mut self, what: Subject, why: &str, fleet: &Fleet) -> Option<String> {
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
            // Nothing is gained by a reboot into the same version.
            console::warning(format_args!("{said}"));
            self.write();
            return None;
        }
        // Written with the end, which follows.
        console::error(format_args!("{said}; rebooting"));
        Some(said)
    }

    fn write(&mut self) {
        if let Some(store) = &mut self.boot.store {
            store.write_beside(&self.boot.record);
        }
    }
}
