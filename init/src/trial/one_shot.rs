//! The entry for the next boot only.
//!
//! The boot loader always takes the same entry if that entry has no counter: a blessed version whose boot fails would be tried for ever. So
//! init sets the EFI variable `LoaderEntryOneShot` of the Boot Loader Interface: at the next boot, the boot loader takes the other blessed
//! entry, once.
//!
//! - The initrd does so before it reads the first block of the root file system ([`arm`]). No program survives a panic of dm-verity, a hang
//!   or a reset, but then the variable is set already. The verdict on the boot, or an ordered shutdown, takes it back ([`settle`]).
//! - A boot phase that fails does so too ([`take_another`]).
//! - If a start does not even reach the initrd, the boot loader takes the [`standby`] entry at the next boot.
//! - If the boot loader cannot load its entry, the firmware starts another one: [`settle`] adds boot options for this.

use super::{
    counter, esp,
    standby::{self, Settled},
};
use crate::{
    block, console,
    efi::{boot_option, variable},
    modules::Loader,
    mounts,
    slot::boot_disk,
};
use berth_contract::{
    boot_report::NextBoot,
    disk::PartitionRole,
    entry::BootEntry,
    fault::{At, Failure, PathError},
    paths,
    version::{ImageId, OsVersion},
};
use berth_formats::gpt::{self, Partition};
use std::{
    cell::Cell,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Number of threads that change the firmware's variables.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
/// The entry that the console has named last as the one that the firmware starts. Locked while a thread changes the variables.
static ANNOUNCED: Mutex<Option<BootEntry>> = Mutex::new(None);

/// Requests another version for the next boot, if this version is not on trial and there is another version. Prints the result. Never
/// fails.
pub fn take_another() {
    match ask_firmware() {
        Ok(Some(entry)) => console::announce(&format!("the boot loader is asked to take {entry} next, once")),
        Ok(None) => console::info(format_args!("the boot loader chooses the next entry itself")),
        Err(error) => console::warning(format_args!("cannot ask the boot loader to take another version: {error}")),
    }
}

fn ask_firmware() -> Result<Option<BootEntry>, Failure> {
    let efivars = Path::new(mounts::EFIVARS.target());
    // Booted without EFI, so there is no such boot loader.
    if !efivars.parent().is_some_and(Path::exists) {
        return Ok(None);
    }
    // The driver may be built in. If it is missing, the mount fails.
    if let Err(error) = Loader::of_running_kernel().map_err(Failure::from).and_then(|l| Ok(l.load("efivarfs")?)) {
        console::debug(format_args!("{error}"));
    }
    mounts::open_efivars()?;
    ask(efivars, || entries(efivars))
}

/// The entries on the ESP of the disk that was booted.
fn entries(efivars: &Path) -> Result<Vec<BootEntry>, Failure> {
    let dev = Path::new("/dev");
    let partition = boot_disk::loader_partition(efivars)
        .ok_or("the boot loader has not stored its partition in an EFI variable")?;
    let disks = block::disks(Path::new("/sys"))?;
    let disk = disks.iter().find(|disk| boot_disk::holds(dev, disk, partition));
    let disk = disk
        .ok_or_else(|| format!("the disk of the boot loader: not found; block devices: {}", block::describe(&disks)))?;
    Ok(esp::entries(&esp::device(dev, disk)?)?)
}

fn ask(
    efivars: &Path,
    entries: impl FnOnce() -> Result<Vec<BootEntry>, Failure>,
) -> Result<Option<BootEntry>, Failure> {
    let Some((selected, Progress::Blessed)) = started(efivars)? else { return Ok(None) };
    let Some(other) = other(&selected, &entries()?) else { return Ok(None) };
    set(efivars, &other)?;
    Ok(Some(other))
}

/// Requests the other blessed version for the next boot, in case this boot does not reach its verdict. Nothing is requested if that version
/// is the [`standby`] entry, which the boot loader takes anyway; nor for a version on trial, because its counter does the same; nor if there
/// is no other blessed version. If this boot itself is such a replacement, the next boot is the usual one. `esp` is the ESP of the booted
/// disk.
///
/// # Errors
/// When the firmware's variables or the entries cannot be read, or a variable cannot be written.
pub fn arm(esp: &Path) -> Result<NextBoot, Failure> {
    let is_open = Cell::new(false);
    let open = || {
        is_open.set(true);
        mounts::open_efivars()
    };
    let armed = arm_in(Path::new(mounts::EFIVARS.target()), open, || Ok(esp::entries(esp)?));
    if is_open.get() {
        mounts::close_efivars()?;
    }
    armed
}

fn arm_in(
    efivars: &Path,
    open: impl FnOnce() -> Result<(), PathError>,
    entries: impl FnOnce() -> Result<Vec<BootEntry>, Failure>,
) -> Result<NextBoot, Failure> {
    let Some((selected, progress)) = started(efivars)? else { return Ok(NextBoot::Usual) };
    let Ok(BootEntry { id, .. }) = selected.parse() else { return Ok(NextBoot::Usual) };
    let standby = standby::stored(efivars, &id)?;
    if progress == Progress::OnTrial && standby.is_none() {
        return Ok(NextBoot::Usual);
    }
    let entries = entries()?;
    let replaced = replaced(&selected, &entries).filter(|_| progress == Progress::Blessed);
    if progress == Progress::OnTrial || replaced.is_some() {
        // Without this, the boot loader would take the standby entry: before a version on trial has used its tries, or again and again if
        // the standby entry is the one that does not reach its verdict.
        if standby.is_some_and(|standby| entries.contains(&standby)) {
            open()?;
            standby::prefer_usual(efivars, &id)?;
        }
        return Ok(replaced.cloned().map_or(NextBoot::Usual, NextBoot::InsteadOf));
    }
    let Some(other) = other(&selected, &entries) else { return Ok(NextBoot::Usual) };
    if standby.as_ref() != Some(&other) || standby::one_shot_path(efivars).exists() {
        open()?;
        set(efivars, &other)?;
    }
    Ok(NextBoot::Fallback(other))
}

/// What the end of a boot's trial changes in the firmware's variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The image.
    pub id: ImageId,
    /// Whether the request of [`arm`] is taken back.
    pub disarm: bool,
    /// The version that was found healthy, and its disk (a node like `/dev/vda`). The [`standby`] entry is chosen anew then, and the
    /// firmware's last boot options start the newest other blessed version, or else this version, in case the boot loader cannot load its
    /// entry. An upgrade, a rollback or a repair changes the entries after the verdict, so this is done again when the boot ends.
    pub healthy: Option<(OsVersion, String)>,
}

/// Changes the firmware's variables, in a thread: firmware may be slow. [`wait`] waits for its end.
///
/// # Errors
/// When the thread cannot be started.
pub fn settle(settlement: Settlement) -> io::Result<()> {
    beside(move || {
        let efivars = Path::new(mounts::EFIVARS.target());
        // Booted without EFI, so there is nothing to change; or a test, which must not change the machine on which it runs.
        if !efivars.exists() || std::process::id() != 1 {
            return;
        }
        let mut announced = ANNOUNCED.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = mounts::open_efivars().map_err(Failure::from).and_then(|()| change(efivars, &settlement));
        if let Ok(Some(other)) = &changed
            && *announced != Some(other.clone())
        {
            console::announce(&format!("if the boot loader cannot start its entry, the firmware starts {other}"));
            *announced = Some(other.clone());
        }
        if let Err(error) = changed.map(drop).and(mounts::close_efivars().map_err(Failure::from)) {
            console::warning(format_args!("cannot store in the firmware what it starts next: {error}"));
        }
    })
}

/// Returns the entry that the firmware starts if the boot loader cannot start its entry.
fn change(efivars: &Path, settlement: &Settlement) -> Result<Option<BootEntry>, Failure> {
    let Settlement { id, disarm, healthy } = settlement;
    let found = healthy.as_ref().map(|(_, disk)| esp_of(disk)).transpose().map(Option::flatten);
    let settled = match &found {
        Ok(Some(Esp { device, entries, .. })) => {
            standby::store(efivars, id, entries, |entry| esp::knows_standby(device, entry))
        }
        // Even if the entries are not known, the request of `arm` must be taken back.
        Ok(None) | Err(_) => standby::prefer_usual(efivars, id),
    };
    if *disarm && !matches!(settled, Ok(Settled::Yes)) {
        variable::remove(&standby::one_shot_path(efivars))?;
    }
    settled?;
    match (healthy, found?) {
        (Some((version, _)), Some(esp)) => set_boot_option(efivars, id, version, &esp),
        _ => Ok(None),
    }
}

/// Does the work in a thread for which [`wait`] waits.
fn beside(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    let started = thread::Builder::new().name("efi-variables".to_owned()).spawn(move || {
        work();
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    });
    started.map(drop).inspect_err(|_| {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    })
}

/// Waits until all changes of [`settle`] are made, but no longer than `limit`.
pub fn wait(limit: Duration) {
    let deadline = Instant::now() + limit;
    while RUNNING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}

/// The ESP of a disk.
struct Esp {
    partition: Partition,
    device: PathBuf,
    /// The entries of Berth on it.
    entries: Vec<BootEntry>,
}

/// The ESP of a disk. `None` if the disk is gone or has no ESP.
fn esp_of(disk: &str) -> Result<Option<Esp>, Failure> {
    let table = gpt::read(&mut File::open(disk).at("open", disk)?)?;
    let esp = table.partitions.into_iter().find(|partition| partition.label == PartitionRole::Esp.label());
    let (Some(partition), Some(found)) =
        (esp, block::disks(Path::new("/sys"))?.into_iter().find(|found| block::node(&found.name) == Path::new(disk)))
    else {
        return Ok(None);
    };
    let device = esp::device(Path::new("/dev"), &found)?;
    Ok(Some(Esp { entries: esp::entries(&device)?, partition, device }))
}

fn set_boot_option(efivars: &Path, id: &ImageId, version: &OsVersion, esp: &Esp) -> Result<Option<BootEntry>, Failure> {
    // The firmware has started this version by our option, because the boot loader could not load its entry. The next boot needs it again.
    if boot_option::booted_fallback(efivars).is_some() {
        return Ok(None);
    }
    let blessed = || esp.entries.iter().filter(|entry| entry.id == *id && entry.counter.is_none());
    let other = blessed().filter(|entry| entry.version != *version).max_by(|one, two| one.version.cmp(&two.version));
    let this = blessed().find(|entry| entry.version == *version);
    let file = |entry: &BootEntry| format!("{}/{entry}", paths::ESP_LINUX);
    boot_option::set_fallbacks(efivars, &esp.partition, [other.map(file), this.map(file)])?;
    Ok(other.cloned())
}

/// Whether the entry that was started has a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The boot loader has counted this boot.
    OnTrial,
    /// No counter.
    Blessed,
}

/// The entry that the boot loader took, or that the firmware started without it. `None` if neither says so.
fn started(efivars: &Path) -> Result<Option<(String, Progress)>, Failure> {
    // The variables of systemd-boot are then those of the entry that it could not start.
    if let Some(started) = boot_option::booted_fallback(efivars) {
        return Ok(Some((started, Progress::Blessed)));
    }
    let counter = counter::read(&standby::within(efivars, paths::LOADER_BOOT_COUNT_PATH))?;
    let progress = if counter.is_some() { Progress::OnTrial } else { Progress::Blessed };
    let selected = counter::read_text(&standby::within(efivars, paths::LOADER_ENTRY_SELECTED))?;
    Ok(selected.map(|selected| (selected, progress)))
}

fn set(efivars: &Path, entry: &BootEntry) -> Result<(), Failure> {
    Ok(variable::write(&standby::one_shot_path(efivars), &variable::utf16(&entry.to_string()))?)
}

/// The newest blessed entry of the same image, except the selected entry. The boot loader writes `selected` in lower case.
fn other(selected: &str, entries: &[BootEntry]) -> Option<BootEntry> {
    let id = selected.parse::<BootEntry>().ok()?.id;
    let is_other = |entry: &&BootEntry| {
        entry.id == id && entry.counter.is_none() && !entry.to_string().eq_ignore_ascii_case(selected)
    };
    entries.iter().filter(is_other).max_by(|one, two| one.version.cmp(&two.version)).cloned()
}

/// The blessed entry that the boot loader takes by itself, if it is newer than the selected one.
fn replaced<'a>(selected: &str, entries: &'a [BootEntry]) -> Option<&'a BootEntry> {
    let selected = entries.iter().find(|entry| entry.to_string().eq_ignore_ascii_case(selected))?;
    let newer =
        |entry: &&BootEntry| entry.id == selected.id && entry.counter.is_none() && entry.version > selected.version;
    entries.iter().filter(newer).max_by(|one, two| one.version.cmp(&two.version))
}

#[cfg(test)]
#[path = "one_shot_tests.rs"]
mod tests;
