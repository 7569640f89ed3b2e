//! `hostctl upgrade`: on the host itself, or from outside by the host's own hostctl.

use super::now;
use anyhow::{Context, Result};
use berth_contract::{
    control::LogLine,
    engine::StoreFormat,
    update::{UpgradeEvent, UpgradeStep},
    version::OsVersion,
};
use berth_control::Client;
use clap::Args;
use hostctl::{
    show,
    upgrade::{Order, Until, upgrade},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};

/// Bring the newest version into the other slot; it runs after the next boot
#[derive(Debug, Args)]
#[command(
    after_help = "SOURCE is an https or http URL, a folder, a bundle file, or disk:LABEL/PATH for either of these on a stick; without one, \
    the `[update] source` of host.toml or of the image."
)]
pub(crate) struct Upgrade {
    /// Where releases are
    source: Option<String>,
    /// Only say whether there is a newer version
    #[arg(long, group = "end")]
    check: bool,
    /// Only say what would change, and what it costs
    #[arg(long, group = "end")]
    dry_run: bool,
    /// Write and verify the slot, but leave the boot entry to the next `hostctl upgrade`
    #[arg(long, group = "end")]
    stage: bool,
    /// Reboot into it
    #[arg(long, group = "end")]
    reboot: bool,
    /// Take this version, although it is older than the running one
    #[arg(long, value_name = "VERSION")]
    allow_downgrade: Option<OsVersion>,
    /// Take this version, although it has failed on this host
    #[arg(long, value_name = "VERSION", conflicts_with = "allow_downgrade")]
    retry: Option<OsVersion>,
    /// Take a version whose engine keeps its data in this format, although the running one's cannot read it
    #[arg(long, value_name = "FORMAT")]
    allow_store_change: Option<StoreFormat>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl Upgrade {
    /// On this host.
    pub(crate) fn here(self, reboot: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut teller = Teller::new(self.json);
        let order = Order {
            until: match (self.check, self.dry_run, self.stage) {
                (true, ..) => Until::Check,
                (_, true, _) => Until::DryRun,
                (_, _, true) => Until::Stage,
                _ => Until::Entry,
            },
            source: self.source,
            named: self.allow_downgrade.or(self.retry),
            store: self.allow_store_change,
            now: now(),
        };
        let done = upgrade(&order, &mut |event| teller.tell(&event));
        // What became of the upgrade comes before whether anybody has listened.
        done?;
        if self.reboot && teller.entry {
            reboot()?;
        }
        teller.end()
    }

    /// On the host behind `client`.
    pub(crate) fn there(self, client: &mut Client) -> Result<()> {
        let mut teller = Teller::new(self.json);
        client.set_timeout(None)?;
        let done = client.run(&self.words(), |line: LogLine| {
            // A newer host may have more to say than this program understands.
            if let Ok(event) = serde_json::from_str(&line.text) {
                teller.tell(&event);
            }
            Ok::<_, anyhow::Error>(())
        });
        done?;
        teller.end()
    }

    /// The same, for a host's own hostctl.
    fn words(&self) -> Vec<String> {
        let mut words = vec!["upgrade".to_owned(), "--json".to_owned()];
        let flags =
            [("--check", self.check), ("--dry-run", self.dry_run), ("--stage", self.stage), ("--reboot", self.reboot)];
        words.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| (*flag).to_owned()));
        let values = [
            ("--allow-downgrade", self.allow_downgrade.as_ref().map(ToString::to_string)),
            ("--retry", self.retry.as_ref().map(ToString::to_string)),
            ("--allow-store-change", self.allow_store_change.as_ref().map(ToString::to_string)),
        ];
        words.extend(values.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten());
        if let Some(source) = &self.source {
            words.extend(["--".to_owned(), source.clone()]);
        }
        words
    }
}

/// Tells events: as JSON, as text, and progress as a bar where somebody looks at it.
struct Teller {
    json: bool,
    bar: Option<(UpgradeStep, ProgressBar)>,
    /// Percent of the step that has been told last, so that a log is not flooded.
    told: Option<(UpgradeStep, u64)>,
    entry: bool,
    failed: io::Result<()>,
}

impl Teller {
    fn new(json: bool) -> Self {
        Self { json, bar: None, told: None, entry: false, failed: Ok(()) }
    }

    fn tell(&mut self, event: &UpgradeEvent) {
        if let UpgradeEvent::Done { entry, .. } = event {
            self.entry = *entry;
        }
        match event {
            UpgradeEvent::Progress { step, done, total } if self.json => {
                let percent = done * 100 / total.max(&1);
                let now = Some((*step, percent));
                if self.told != now {
                    self.told = now;
                    self.line(event);
                }
            }
            UpgradeEvent::Progress { step, done, total } => self.move_bar(*step, *done, *total),
            _ => {
                self.bar = None;
                self.line(event);
            }
        }
    }

    fn line(&mut self, event: &UpgradeEvent) {
        let text = if self.json {
            serde_json::to_string(event).map(|line| line + "\n").unwrap_or_default()
        } else {
            show::upgrade(event)
        };
        // Whoever does not listen any more does not stop an upgrade; that nobody was told is said at the end.
        if self.failed.is_ok() {
            self.failed = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
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

    fn end(self) -> Result<()> {
        self.failed.context("cannot write to stdout")
    }
}
