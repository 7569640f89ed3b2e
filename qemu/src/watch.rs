//! Watches the first boot of a machine. If the boot hangs before the boot loader or the kernel has written to the console, the guest's
//! state is kept and the machine is restarted once. [`crate::standstill`] decides whether a boot hangs.

use crate::{
    error::VmError,
    monitor::Monitor,
    patience::stretched_now,
    standstill::{Judgement, Sample, judge},
};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The time between two samples is [`Watch::silence`] divided by this number.
const PART: u32 = 20;
/// The second boot may be silent for so many times as long: a restart after it is not possible.
const LATER: u32 = 4;
/// Monitor commands that report the state of a guest that hangs.
const QUESTIONS: [&str; 7] =
    ["info status", "info cpus", "info registers -a", "info lapic", "info pic", "info blockstats", "info mtree -f"];

/// Observations of a machine's first boot.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The time of power-on.
    since: Instant,
    /// For this time after power-on no samples are taken ([`crate::description::Description::silence`]).
    silence: Duration,
    /// The earliest time of the next sample.
    next: Instant,
    samples: Vec<Sample>,
    /// True if the boot is not watched any more.
    over: bool,
    /// How often the boot has hung.
    stood_still: u32,
}

/// What the caller must do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Continue to wait.
    Wait,
    /// Restart the machine.
    StartAnew,
    /// Return an error: the boot has hung a second time. The guest's state is in this folder.
    GiveUp(PathBuf),
}

impl Watch {
    /// If the machine does not start with its firmware, nothing is watched.
    pub(crate) fn new(silence: Duration, begins_with_firmware: bool) -> Self {
        let now = Instant::now();
        Self { since: now, silence, next: now, samples: Vec::new(), over: !begins_with_firmware, stood_still: 0 }
    }

    /// Whether it is time for a sample.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        !self.over
            && now >= self.next
            && now >= self.since + self.silence
            && now >= self.since + stretched_now(self.silence)
    }

    /// Takes a sample and judges the boot. `console` is the console's text since power-on, `log` is the console's file.
    pub(crate) fn look(&mut self, console: &str, log: &Path, monitor: Result<Monitor, VmError>) -> Action {
        self.next = Instant::now() + self.silence / PART;
        // A monitor that does not answer gives no sample.
        let Ok(mut monitor) = monitor else { return Action::Wait };
        if let Ok(sample) = monitor.sample() {
            self.samples.push(sample);
        }
        match judge(console, &self.samples) {
            Judgement::Spoken => self.over = true,
            Judgement::TooEarly => {}
            Judgement::Working => self.samples.clear(),
            Judgement::InKernel => {
                self.over = true;
                let kept = self.keep(log, &mut monitor);
                announce(log, "the kernel runs but has written nothing to the console; the boot continues", &kept);
            }
            Judgement::StandsStill => return self.stands_still(log, &mut monitor),
        }
        Action::Wait
    }

    fn stands_still(&mut self, log: &Path, monitor: &mut Monitor) -> Action {
        self.stood_still += 1;
        let kept = self.keep(log, monitor);
        if self.stood_still > 1 {
            self.over = true;
            return Action::GiveUp(kept);
        }
        announce(
            log,
            "the boot hangs in the firmware or boot loader, before any output of the kernel; the machine is restarted",
            &kept,
        );
        self.samples.clear();
        (self.since, self.silence) = (Instant::now(), self.silence * LATER);
        Action::StartAnew
    }

    /// Writes the guest's state to a folder beside the console's file. Errors are ignored: they must not stop the machine.
    fn keep(&self, log: &Path, monitor: &mut Monitor) -> PathBuf {
        let folder = log.with_extension(format!("stood-still-{}", self.stood_still));
        let _ = fs::create_dir_all(&folder);
        let mut text = String::new();
        for question in QUESTIONS {
            let answer = monitor.ask(question).unwrap_or_else(|error| error.to_string());
            let _ = writeln!(text, "# {question}\n{}", answer.replace('\r', ""));
        }
        let samples: Vec<String> = self.samples.iter().map(|sample| format!("{sample:x?}\n")).collect();
        let _ = fs::write(folder.join("state"), text);
        let _ = fs::write(folder.join("samples"), samples.concat());
        let _ = fs::copy(log, folder.join("console"));
        folder
    }
}

#[expect(clippy::print_stderr, reason = "a restart must always be visible to the user")]
fn announce(log: &Path, what: &str, kept: &Path) {
    let name = log.file_stem().unwrap_or_default().to_string_lossy();
    eprintln!("machine {name}: {what}; the guest's state is in {}", kept.display());
}
