//! `hostctl bless` and `why`: the verdict on the running version, and on those that failed.

use super::{now, print, write_out};
use anyhow::Result;
use berth_contract::update::Verdict;
use hostctl::{
    entries::{Blessing, Entries, Host},
    health,
    settle::settle,
    upgrade::alone_within,
    why::{self, records},
};
use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

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
        give_blessing(deadline.left()).map_err(|error| format!("{error:#}"))
    });
    write_out(&(serde_json::to_string(&verdict)? + "\n"))?;
    match verdict {
        Verdict::Bad { what, why } => anyhow::bail!("not healthy: {what}: {why}"),
        Verdict::Good | Verdict::Pending => Ok(()),
    }
}

/// The running version's entry loses its counter; what became of others is settled. Who has the lock is waited for within `patience`.
fn give_blessing(patience: Duration) -> Result<()> {
    let host = Host::find(Path::new("/"))?;
    let is_blessed = host.is_blessed()?;
    let _alone = match alone_within(if is_blessed { Duration::ZERO } else { patience }) {
        // An upgrade settles as well.
        Err(_) if is_blessed => return Ok(()),
        alone => alone?,
    };
    let mut entries = host.entries()?;
    let blessing = entries.bless(host.running())?;
    // The verdict is on the running version: whatever is wrong with the rest is only told.
    if let Err(error) = keep_house(&host, &mut entries, blessing) {
        let _ = writeln!(io::stderr(), "{error:#}");
    }
    Ok(())
}

fn keep_house(host: &Host, entries: &mut Entries, blessing: Blessing) -> Result<()> {
    let running = host.running();
    let mut quarantine = host.quarantine()?;
    if blessing == Blessing::Given {
        // It may have failed before, and have been tried again by name.
        quarantine.remove(&running.id, &running.version, running.root_hash)?;
    }
    let settled = settle(running, entries, &mut quarantine, now())?;
    for failed in settled.failed {
        write_out(&format!("version {} is not tried again: {}\n", failed.version, failed.cause))?;
    }
    for (entry, why) in settled.spared {
        write_out(&format!("version {} failed for what does not work here either: {why}\n", entry.version))?;
    }
    entries.sweep(host.slots())?;
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
