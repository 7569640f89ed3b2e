//! `hostctl upgrade`: on this host, or with `--connect` on another host, by running its own hostctl.

use super::{event_printer::EventPrinter, now};
use anyhow::Result;
use berth_contract::{control::LogLine, engine::StoreFormat, version::OsVersion};
use berth_control::Client;
use clap::Args;
use hostctl::{
    exit::Exit,
    upgrade::{Options, Until, upgrade},
};

/// Install the newest version into the other slot; it runs after the next boot
#[derive(Debug, Args)]
#[command(
    after_help = "SOURCE is an https or http URL, a folder, a bundle file, or disk:LABEL/PATH for a folder or bundle on a USB stick. \
    Without SOURCE: `[update] source` of host.toml, or of the image.\n\n\
    Exit status: 0 a version was installed (--check, --dry-run: there is one), 10 nothing newer, 11 the newest version has failed on this \
    host before, 12 refused, 13 the source cannot be reached or read, 1 another error, 2 wrong usage."
)]
pub(crate) struct Upgrade {
    /// Where to get releases
    source: Option<String>,
    /// Only report whether there is a newer version
    #[arg(long, group = "end")]
    check: bool,
    /// Only show what would change, and how many bytes would be fetched
    #[arg(long, group = "end")]
    dry_run: bool,
    /// Write and verify the slot, but add no boot entry; the next `hostctl upgrade` adds it
    #[arg(long, group = "end")]
    stage: bool,
    /// Reboot when done
    #[arg(long, group = "end")]
    reboot: bool,
    /// Install this version even if it is older than the running one
    #[arg(long, value_name = "VERSION")]
    allow_downgrade: Option<OsVersion>,
    /// Install this version even if it has failed on this host
    #[arg(long, value_name = "VERSION", conflicts_with = "allow_downgrade")]
    retry: Option<OsVersion>,
    /// Accept a version whose engine stores its data in this format, which the running engine cannot read
    #[arg(long, value_name = "FORMAT")]
    allow_store_change: Option<StoreFormat>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

impl Upgrade {
    /// Upgrades this host.
    pub(crate) fn here(self, reboot: impl FnOnce() -> Result<()>) -> Result<Exit> {
        let mut printer = EventPrinter::new(self.json);
        let options = Options {
            until: match (self.check, self.dry_run, self.stage) {
                (true, ..) => Until::Check,
                (_, true, _) => Until::DryRun,
                (_, _, true) => Until::Stage,
                _ => Until::Entry,
            },
            source: self.source,
            version: self.allow_downgrade.or(self.retry),
            store: self.allow_store_change,
            now: now(),
        };
        let done = upgrade(&options, &mut |event| printer.print(&event));
        // An error of the upgrade is reported before an error of stdout.
        done?;
        if self.reboot && printer.entry_added() {
            reboot()?;
        }
        printer.finish()
    }

    /// Upgrades the host that `client` is connected to.
    pub(crate) fn there(self, client: &mut Client) -> Result<Exit> {
        let mut printer = EventPrinter::new(self.json);
        client.set_timeout(None)?;
        let done = client.run(&self.arguments(), |line: LogLine| {
            // A newer host may send events that this program does not know.
            if let Ok(event) = serde_json::from_str(&line.text) {
                printer.print(&event);
            }
            Ok::<_, anyhow::Error>(())
        });
        done?;
        printer.finish()
    }

    /// The arguments for the hostctl on the host.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["upgrade".to_owned(), "--json".to_owned()];
        let flags =
            [("--check", self.check), ("--dry-run", self.dry_run), ("--stage", self.stage), ("--reboot", self.reboot)];
        arguments.extend(flags.iter().filter(|(_, set)| *set).map(|(flag, _)| (*flag).to_owned()));
        let values = [
            ("--allow-downgrade", self.allow_downgrade.as_ref().map(ToString::to_string)),
            ("--retry", self.retry.as_ref().map(ToString::to_string)),
            ("--allow-store-change", self.allow_store_change.as_ref().map(ToString::to_string)),
        ];
        arguments.extend(values.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten());
        if let Some(source) = &self.source {
            arguments.extend(["--".to_owned(), source.clone()]);
        }
        arguments
    }
}
