//! `hostctl slot check` and `hostctl slot repair`.

use super::{now, on_host, pass_on, print, write_out};
use anyhow::Result;
use berth_control::Client;
use clap::Subcommand;
use hostctl::heal::{Damage, Options, Pace, heal};

/// What to do with the slots.
#[derive(Debug, Subcommand)]
pub(crate) enum SlotVerb {
    /// Compare both slots with the root hashes, and both kernel images with their digests; fail if something is damaged
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Repair damaged blocks and kernel images from the other version, or else from the update source
    Repair {
        /// Where to get releases. Default: `[update] source`
        source: Option<String>,
        /// Go slow, and only check what is due; init runs this after the verdict
        #[arg(long, hide = true)]
        background: bool,
    },
}

impl SlotVerb {
    /// On this host.
    pub(crate) fn here(self) -> Result<()> {
        let (damage, source, pace, json) = match self {
            Self::Check { json } => (Damage::Report, None, Pace::Full, json),
            Self::Repair { source, background: false } => (Damage::Repair, source, Pace::Full, false),
            Self::Repair { source, background: true } => (Damage::Repair, source, Pace::Background, false),
        };
        let options = Options { damage, pace, source, now: now() };
        let mut say = |line: &str| {
            // Continue if stdout is closed: the slots must still be repaired.
            let _ = if json { Ok(()) } else { write_out(&format!("{line}\n")) };
        };
        heal(&options, &mut say, |checks| if json { print(true, &checks, String::new) } else { Ok(()) })
    }

    /// On the host that `client` is connected to.
    pub(crate) fn there(self, client: &mut Client) -> Result<()> {
        let mut words = vec!["slot".to_owned()];
        match self {
            Self::Check { json } => {
                words.extend(["check"].into_iter().chain(json.then_some("--json")).map(str::to_owned))
            }
            Self::Repair { source, .. } => words.extend(["repair".to_owned()].into_iter().chain(source)),
        }
        on_host(client, words.iter().map(String::as_str), pass_on)
    }
}
