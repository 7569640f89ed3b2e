//! The entry for the next boot only.
//!
//! The boot loader always takes the same entry if that entry has no counter: a blessed version whose boot fails would be tried for ever. So
//! init sets the EFI variable `LoaderEntryOneShot` of the Boot Loader Interface: at the next boot, the boot loader takes the other blessed
//! entry, once.
//!
//! - The initrd does so before it reads the first block of the root file system ([`arm`]). No program survives a panic of dm-verity, a hang
//!   or a reset, but then the variable is set already. The verdict on the boot, or an ordered shutdown, removes it ([`disarm`]).
//! - A boot phase that fails does so too ([`take_another`]).
//! - If the boot loader cannot even start its entry, the firmware starts another one: [`settle`] adds boot options for this.

use super::{counter, esp};
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
    fault::{At, Failure},
    paths,
    version::{ImageId, OsVersion},
};
use berth_formats::gpt;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Number of threads that change the firmware's variables.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

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
    let Some(selected) = selected(efivars)? else { return Ok(None) };
    let Some(other) = other(&selected, &entries()?) else { return Ok(None) };
    set(efivars, &other)?;
    Ok(Some(other))
}

/// Requests the other blessed version for the next boot, in case this boot does not reach its verdict. Nothing is requested for a version
/// on trial, because its counter does the same; nor if there is no other blessed version; nor if this boot itself is such a replacement,
/// because then the boot loader takes the replaced version again. `esp` is the ESP of the booted disk.
///
/// # Errors
/// When the firmware's variables or the entries cannot be read, or the variable cannot be written.
pub fn arm(esp: &Path) -> Result<NextBoot, Failure> {
    let armed = arm_in(Path::new(mounts::EFIVARS.target()), mounts::open_efivars, || Ok(esp::entries(esp)?));
    if let Ok(NextBoot::Fallback(_)) = armed {
        mounts::close_efivars()?;
    }
    armed
}

fn arm_in(
    efivars: &Path,
    open: impl FnOnce() -> Result<(), berth_contract::fault::PathError>,
    entries: impl FnOnce() -> Result<Vec<BootEntry>, Failure>,
) -> Result<NextBoot, Failure> {
    let Some(selected) = selected(efivars)? else { return Ok(NextBoot::Usual) };
    let entries = entries()?;
    if let Some(replaced) = replaced(&selected, &entries) {
        return Ok(NextBoot::InsteadOf(replaced.clone()));
    }
    let Some(other) = other(&selected, &entries) else { return Ok(NextBoot::Usual) };
    open()?;
    set(efivars, &other)?;
    Ok(NextBoot::Fallback(other))
}

/// What the end of a boot's trial changes in the firmware's variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Whether the request of [`arm`] is taken back.
    pub disarm: bool,
    /// The version that was found healthy, and its disk (a node like `/dev/vda`). The firmware's last boot options then start the newest
    /// other blessed version, or else this version, in case the boot loader cannot start its entry.
    pub healthy: Option<(ImageId, OsVersion, String)>,
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
        let change = || -> Result<(), Failure> {
            mounts::open_efivars()?;
            if settlement.disarm {
                variable::remove(&variable_in(efivars, paths::LOADER_ENTRY_ONE_SHOT))?;
            }
            settlement.healthy.map_or(Ok(()), |(id, version, disk)| set_boot_option(efivars, &id, &version, &disk))
        };
        let changed = change();
        if let Err(error) = changed.and(mounts::close_efivars().map_err(Failure::from)) {
            console::warning(format_args!("cannot store in the firmware what it starts next: {error}"));
        }
    })
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

fn set_boot_option(efivars: &Path, id: &ImageId, version: &OsVersion, disk: &str) -> Result<(), Failure> {
    // The firmware has started this version by our option, because the boot loader could not start its entry. The next boot needs it again.
    if boot_option::booted_fallback(efivars).is_some() {
        return Ok(());
    }
    let table = gpt::read(&mut File::open(disk).at("open", disk)?)?;
    let esp = table.partitions.iter().find(|partition| partition.label == PartitionRole::Esp.label());
    let (Some(esp), Some(found)) =
        (esp, block::disks(Path::new("/sys"))?.into_iter().find(|found| block::node(&found.name) == Path::new(disk)))
    else {
        return Ok(());
    };
    let entries = esp::entries(&esp::device(Path::new("/dev"), &found)?)?;
    let blessed = || entries.iter().filter(|entry| entry.id == *id && entry.counter.is_none());
    let other = blessed().filter(|entry| entry.version != *version).max_by(|one, two| one.version.cmp(&two.version));
    let this = blessed().find(|entry| entry.version == *version);
    let file = |entry: &BootEntry| format!("{}/{entry}", paths::ESP_LINUX);
    boot_option::set_fallbacks(efivars, esp, [other.map(file), this.map(file)])?;
    if let Some(other) = other {
        console::announce(&format!("if the boot loader cannot start its entry, the firmware starts {other}"));
    }
    Ok(())
}

fn variable_in(efivars: &Path, path: &str) -> PathBuf {
    efivars.join(Path::new(path).file_name().unwrap_or_default())
}

/// The entry that the boot loader took, or that the firmware started without it; unless it is on trial.
fn selected(efivars: &Path) -> Result<Option<String>, Failure> {
    // The variables of systemd-boot are then those of the entry that it could not start.
    if let Some(started) = boot_option::booted_fallback(efivars) {
        return Ok(Some(started));
    }
    if counter::read(&variable_in(efivars, paths::LOADER_BOOT_COUNT_PATH))?.is_some() {
        return Ok(None);
    }
    Ok(counter::read_text(&variable_in(efivars, paths::LOADER_ENTRY_SELECTED))?)
}

fn set(efivars: &Path, entry: &BootEntry) -> Result<(), Failure> {
    let path = variable_in(efivars, paths::LOADER_ENTRY_ONE_SHOT);
    Ok(variable::write(&path, &variable::utf16(&entry.to_string()))?)
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
mod tests {
    use super::*;
    use std::fs;

    const GUID: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

    #[test]
    fn the_newest_other_blessed_version_of_the_same_image_is_requested() {
        let other = |selected: &str, names: &[&str]| {
            let names: Vec<BootEntry> = names.iter().map(|name| name.parse().unwrap()).collect();
            other(selected, &names).map(|entry| entry.to_string())
        };
        for (selected, names, expected) in [
            ("a_2.efi", &["a_1.efi", "a_2.efi"][..], Some("a_1.efi")),
            ("a_1.efi", &["a_1.efi", "a_2.efi"], Some("a_2.efi")),
            ("a_11.efi", &["a_9.efi", "a_10.efi", "a_11.efi", "a_8.efi"], Some("a_10.efi")),
            ("a_2-rc1.efi", &["a_2-RC1.efi"], None),
            ("a_2.efi", &["a_2.efi", "a_1+3.efi", "a_3+0-3.efi", "a_4+0.efi", "b_1.efi"], None),
            ("memtest.efi", &["a_1.efi"], None),
            ("a_2.efi", &[], None),
        ] {
            assert_eq!(other(selected, names).as_deref(), expected, "{selected} of {names:?}");
        }
    }

    /// A folder with the variables of the boot loader.
    fn efivars(variables: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in variables {
            variable::write(&dir.path().join(format!("{name}-{GUID}")), &variable::utf16(text)).unwrap();
        }
        dir
    }

    #[test]
    fn a_shutdown_waits_for_the_variables_but_not_for_ever() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (done, end) = std::sync::mpsc::channel();
        beside(move || {
            let _ = held.recv();
            thread::sleep(Duration::from_millis(50));
            done.send(()).unwrap();
        })
        .unwrap();
        wait(Duration::from_millis(20));
        assert!(end.try_recv().is_err());
        drop(release);
        wait(Duration::from_secs(60));
        assert!(end.try_recv().is_ok());
    }

    #[test]
    fn the_option_that_has_started_this_version_stays() {
        let dir = tempfile::tempdir().unwrap();
        boot_option::tests::started_by_ours(dir.path());
        // Nothing is read from the disk, which does not exist.
        set_boot_option(dir.path(), &"a".parse().unwrap(), &"1".parse().unwrap(), "/dev/no-such-disk").unwrap();
    }

    #[test]
    fn the_initrd_requests_the_other_blessed_version_unless_the_boot_loader_takes_it_anyway() {
        let blessed = ("LoaderEntrySelected", "a_2-RC.efi");
        let trial = [("LoaderEntrySelected", "a_2+2-1.efi"), ("LoaderBootCountPath", "\\EFI\\Linux\\a_2+2-1.efi")];
        let fallback = |name: &str| NextBoot::Fallback(name.parse().unwrap());
        for (variables, entries, expected) in [
            (&[blessed][..], &["a_1.efi", "a_2-RC.efi"][..], fallback("a_1.efi")),
            (&[("LoaderEntrySelected", "a_2-rc.efi")], &["a_1.efi", "a_2-RC.efi"], fallback("a_1.efi")),
            // The other version is not blessed, or there is none.
            (&[blessed], &["a_1+0.efi", "a_2-RC.efi"], NextBoot::Usual),
            (&[blessed], &["a_2-RC.efi", "b_1.efi"], NextBoot::Usual),
            (&[blessed], &["a_3+3.efi", "a_2-RC.efi"], NextBoot::Usual),
            // On trial: the counter falls.
            (&trial, &["a_1.efi", "a_2+2-1.efi"], NextBoot::Usual),
            // The boot loader has not said what it took, for example because the firmware has started the entry itself.
            (&[], &["a_1.efi", "a_2.efi"], NextBoot::Usual),
            // This boot replaces version 2. The next boot tries version 2 again.
            (
                &[("LoaderEntrySelected", "a_1.efi")],
                &["a_1.efi", "a_2.efi"],
                NextBoot::InsteadOf("a_2.efi".parse().unwrap()),
            ),
            // After a rollback the older version is the usual one.
            (&[("LoaderEntrySelected", "a_1.efi")], &["a_1.efi", "a_2+0.efi"], NextBoot::Usual),
        ] {
            let dir = efivars(variables);
            let parsed = entries.iter().map(|name| name.parse().unwrap()).collect();
            let armed = arm_in(dir.path(), || Ok(()), || Ok(parsed)).unwrap();
            assert_eq!(armed, expected, "{variables:?} {entries:?}");
            let one_shot = fs::read(dir.path().join(format!("LoaderEntryOneShot-{GUID}"))).ok();
            match armed {
                NextBoot::Fallback(entry) => assert_eq!(one_shot.unwrap()[4..], variable::utf16(&entry.to_string())),
                _ => assert_eq!(one_shot, None, "{variables:?} {entries:?}"),
            }
        }
    }

    #[test]
    fn another_version_is_requested_only_when_this_version_is_not_on_trial() {
        berth_judge::needs!("mkfs.fat", "mmd", "mcopy");
        let dir = tempfile::tempdir().unwrap();
        let efivars = dir.path();
        let esp = efivars.join("esp");
        super::esp::tests::esp(&esp, &["a_1.efi", "a_2.efi"]);
        let ask = || ask(efivars, || Ok(super::esp::entries(&esp)?)).unwrap().map(|entry| entry.to_string());
        let file = |name: &str| efivars.join(format!("{name}-{GUID}"));
        let set = |name: &str, text: &str| variable::write(&file(name), &variable::utf16(text)).unwrap();
        assert_eq!(ask(), None, "no variable of the boot loader");
        set("LoaderEntrySelected", "a_2.efi");
        set("LoaderBootCountPath", "\\EFI\\Linux\\a_2+2-1.efi");
        assert_eq!(ask(), None, "on trial: the boot uses a try");
        assert!(!file("LoaderEntryOneShot").exists());
        fs::remove_file(file("LoaderBootCountPath")).unwrap();
        assert_eq!(ask().as_deref(), Some("a_1.efi"));
        assert_eq!(fs::read(file("LoaderEntryOneShot")).unwrap(), b"\x07\0\0\0a\0_\x001\0.\0e\0f\0i\0\0\0");
    }
}
