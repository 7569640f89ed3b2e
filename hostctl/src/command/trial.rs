//! `hostctl bless` and `why`: the verdict on the running version, and on those that failed.

use super::{now, print, write_out};
use anyhow::Result;
use berth_contract::update::Verdict;
use hostctl::{
    entries::{Blessing, Host},
    health,
    settle::settle,
    upgrade::alone_at_last,
    why::{self, records},
};
use std::{path::Path, time::Duration};

/// How long `bless` looks when it is called by hand.
const BY_HAND: Duration = Duration::from_secs(60);

/// Judges the running version, and blesses it when it is well; its last line is the verdict as JSON, for init.
pub(crate) fn bless(until: Option<u32>) -> Result<()> {
    let deadline = until.map_or_else(|| health::Deadline::after(BY_HAND), health::Deadline::before);
    let mut say = |line: &str| {
        // Whoever reads it may have gone; the verdict counts.
        let _ = write_out(&format!("{line}\n"));
    };
    let verdict = health::judge(&health::Places::default(), deadline, health::STEADY, &mut say, &mut || {
        give_blessing().map_err(|error| format!("{error:#}"))
    });
    write_out(&(serde_json::to_string(&verdict)? + "\n"))?;
    match verdict {
        Verdict::Bad { what, why } => anyhow::bail!("not healthy: {what}: {why}"),
        Verdict::Good | Verdict::Pending => Ok(()),
    }
}

/// The running version's entry loses its counter; what became of others is settled.
fn give_blessing() -> Result<()> {
    let _alone = alone_at_last()?;
    let host = Host::find(Path::new("/"))?;
    let mut entries = host.entries()?;
    let running = host.running();
    let mut quarantine = host.quarantine()?;
    if entries.bless(running)? == Blessing::Given {
        // It may have failed before, and have been tried again by name.
        quarantine.remove(&running.id, &running.version, running.root_hash)?;
    }
    for failed in settle(&host, &mut entries, &mut quarantine, now())? {
        write_out(&format!("version {} is not tried again: {}\n", failed.version, failed.cause))?;
    }
    Ok(())
}

/// Why versions failed on this host.
pub(crate) fn why(json: bool) -> Result<()> {
    let report = why::report(&records::Records::read(&records::Places::default())?);
    let time = |seconds: u64| match i64::try_from(seconds).map(jiff::Timestamp::from_second) {
        Ok(Ok(time)) => time.to_string(),
        _ => format!("{seconds} s after 1970"),
    };
    print(json, &report, || why::show(&report, time))
}
