//! Watches the first boot of a machine. When it stands still before anybody after the firmware has said a word, the guest's state is
//! kept and the machine is started anew, once. [`crate::standstill`] decides.

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

/// The time between two samples is this part of the silence before them.
const PART: u32 = 20;
/// What is asked of QEMU about a guest that stands still.
const QUESTIONS: [&str; 7] =
    ["info status", "info cpus", "info registers -a", "info lapic", "info pic", "info blockstats", "info mtree -f"];

/// What has been seen of a machine's first boot.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Power-on.
    since: Instant,
    /// How long nobody but the firmware may speak until samples are taken.
    silence: Duration,
    next: Instant,
    samples: Vec<Sample>,
    over: bool,
    /// Machines of this description that stood still.
    stood_still: u32,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Wait on.
    Wait,
    /// Start the same machine anew.
    StartAnew,
    /// It has stood still again. The guest's state is in this folder.
    GiveUp(PathBuf),
}

impl Watch {
    /// A machine that does not begin with its firmware is not watched.
    pub(crate) fn new(silence: Duration, begins_with_firmware: bool) -> Self {
        let now = Instant::now();
        Self { since: now, silence, next: now, samples: Vec::new(), over: !begins_with_firmware, stood_still: 0 }
    }

    /// Whether there is something to look at now.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        !self.over
            && now >= self.next
            && now >= self.since + self.silence
            && now >= self.since + stretched_now(self.silence)
    }

    /// Takes a sample, and decides. `console` is what has been said since power-on, `log` the file that holds it.
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
                announce(log, "is in its kernel, which has not said a word; it goes on", &kept);
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
            "stands still in its firmware or boot loader, before a word of the kernel; it is started anew",
            &kept,
        );
        self.samples.clear();
        self.since = Instant::now();
        Action::StartAnew
    }

    /// Keeps the guest's state beside the console's file. What cannot be kept is left out: the machine matters more.
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

#[expect(clippy::print_stderr, reason = "a retry must not pass unseen, whoever runs the machine")]
fn announce(log: &Path, what: &str, kept: &Path) {
    let name = log.file_stem().unwrap_or_default().to_string_lossy();
    eprintln!("machine {name} {what}; the guest's state is in {}", kept.display());
}
