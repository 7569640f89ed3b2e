//! `hostctl bless`: checks the health of the running version, and blesses its boot entry.

use super::{now, write_out};
use anyhow::Result;
use berth_contract::{chain::Chain, update::Verdict};
use hostctl::{
    entries::{Blessing, Entries, Installed},
    failed_versions,
    file_lock::FileLock,
    health,
};
use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

/// Time limit for the verdict when a user runs `hostctl bless`.
const BY_HAND: Duration = Duration::from_secs(60);

/// Checks the health of the running version, and blesses the version when it is healthy. The last line is the verdict as JSON, for init.
pub(crate) fn bless(until: Option<u32>) -> Result<()> {
    let deadline = until.map_or_else(|| health::Deadline::after(BY_HAND), health::Deadline::before);
    let mut report = |line: &str| {
        // Continue if stdout is closed: the boot entry must still be blessed.
        let _ = write_out(&format!("{line}\n"));
    };
    let verdict = health::judge(&health::Places::default(), deadline, health::STEADY, &mut report, &mut || {
        give_blessing(deadline.left()).map_err(|error| format!("{error:#}"))
    });
    write_out(&(serde_json::to_string(&verdict)? + "\n"))?;
    match verdict {
        Verdict::Bad { what, why } => anyhow::bail!("not healthy: {what}: {why}"),
        Verdict::Good | Verdict::Pending => Ok(()),
    }
}

/// Blesses the boot entry of the running version, and records the versions that have failed. Waits up to `timeout` for the file lock.
fn give_blessing(timeout: Duration) -> Result<()> {
    let installed = Installed::find(Path::new("/"))?;
    let is_blessed = installed.is_blessed()?;
    let _lock = match FileLock::acquire_within(if is_blessed { Duration::ZERO } else { timeout }) {
        // There is nothing to bless. The process that holds the lock records failed versions itself.
        Err(_) if is_blessed => return Ok(()),
        lock => lock?,
    };
    let mut entries = installed.entries()?;
    let blessing = entries.bless(installed.running())?;
    // The verdict is only about the running version. So an error of the clean-up is printed, but does not change the verdict.
    if let Err(error) = clean_up(&installed, &mut entries, blessing) {
        let _ = writeln!(io::stderr(), "{error:#}");
    }
    Ok(())
}

fn clean_up(installed: &Installed, entries: &mut Entries, blessing: Blessing) -> Result<()> {
    let running = installed.running();
    let mut quarantine = installed.quarantine();
    if let Some(damage) = quarantine.damage() {
        write_out(&format!("{}; it counts as empty\n", Chain(damage)))?;
    }
    if blessing == Blessing::Given {
        // The version may be in quarantine: it failed before, and was then installed again by name.
        quarantine.remove(&running.id, &running.version, running.root_hash)?;
    }
    let noted = failed_versions::note(running, entries, &mut quarantine, now())?;
    for failed in noted.quarantined {
        write_out(&format!("version {} is quarantined: {}\n", failed.version, failed.cause))?;
    }
    for (entry, why) in noted.set_aside {
        write_out(&format!(
            "version {} is set aside, because the running version fails the same check: {why}\n",
            entry.version
        ))?;
    }
    entries.remove_stray_images(installed.slots())?;
    entries.remove_replaced(&running.id)?;
    Ok(())
}
