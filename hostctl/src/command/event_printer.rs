//! Prints the events of an upgrade on stdout, and its progress on stderr.

use anyhow::{Context, Result};
use berth_contract::update::{UpgradeEvent, UpgradeStep};
use hostctl::{exit::Exit, show};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};

/// Prints events as JSON or as text. Progress is shown as a bar if stderr is a terminal.
pub(super) struct EventPrinter {
    json: bool,
    bar: Option<(UpgradeStep, ProgressBar)>,
    /// Step and percentage of the last JSON progress line. Each percentage is printed once.
    printed: Option<(UpgradeStep, u64)>,
    entry_added: bool,
    nothing_newer: bool,
    /// The first error of stdout.
    result: io::Result<()>,
}

impl EventPrinter {
    pub(super) fn new(json: bool) -> Self {
        Self { json, bar: None, printed: None, entry_added: false, nothing_newer: false, result: Ok(()) }
    }

    pub(super) fn print(&mut self, event: &UpgradeEvent) {
        if let UpgradeEvent::Done { entry, .. } = event {
            self.entry_added = *entry;
        }
        self.nothing_newer |= matches!(event, UpgradeEvent::Current { .. });
        match event {
            UpgradeEvent::Progress { step, done, total } if self.json => {
                let percent = done * 100 / total.max(&1);
                let now = Some((*step, percent));
                if self.printed != now {
                    self.printed = now;
                    self.print_line(event);
                }
            }
            UpgradeEvent::Progress { step, done, total } => self.move_bar(*step, *done, *total),
            _ => {
                self.bar = None;
                self.print_line(event);
            }
        }
    }

    /// Whether the upgrade has added a boot entry.
    pub(super) fn entry_added(&self) -> bool {
        self.entry_added
    }

    fn print_line(&mut self, event: &UpgradeEvent) {
        let text = if self.json {
            serde_json::to_string(event).map(|line| line + "\n").unwrap_or_default()
        } else {
            show::upgrade(event)
        };
        // A closed stdout must not stop an upgrade. `finish` returns the error.
        if self.result.is_ok() {
            self.result = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
        }
    }

    fn move_bar(&mut self, step: UpgradeStep, done: u64, total: u64) {
        if !io::stderr().is_terminal() {
            return;
        }
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != step) {
            let bar = ProgressBar::new(total).with_message(step.to_string());
            let style = ProgressStyle::with_template("{msg:>10} [{bar:30}] {bytes} of {total_bytes}, {eta}");
            self.bar = Some((step, style.map_or(bar.clone(), |style| bar.with_style(style))));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Returns the exit status, or the first error of stdout.
    pub(super) fn finish(self) -> Result<Exit> {
        self.result.context("cannot write to stdout")?;
        Ok(if self.nothing_newer { Exit::NothingNewer } else { Exit::Done })
    }
}
