//! The initrd stage: from the kernel's first process to the root file system. Its order is [`crate::sequence::INITRD`].

pub mod root;
pub mod switch;

use crate::{
    block, console,
    fault::{At, Failure, PathError},
    host::{crash_records, mounts},
    modules::Loader,
    power::watchdog::{self, Across, Watchdogs},
    sequence::Job,
    slot::{self, Found, boot_disk},
    timeline::Timeline,
    uevent::{UeventSocket, coldplug, listener, socket::Received},
};
use berth_contract::{
    boot_report::{InitrdReport, ROOT_LINE},
    cmdline::{self, Cmdline},
    digest::RootHash,
    paths,
    update::HealthSpec,
};
use rustix::mount::{MountFlags, mount};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the root's disk may take to appear.
const DISK_TIME: Duration = Duration::from_secs(30);
/// A line on the console when it takes longer than this.
const DISK_HINT: Duration = Duration::from_secs(3);
/// What every root needs, whatever the disk is. dm-verity takes the fastest SHA-256 that is there when the root is opened and keeps it:
/// the processor's own is several times the generic one, for every byte that is ever read from the root.
const ALWAYS: [&str; 3] = ["crypto-sha256", "dm_verity", "erofs"];

/// A kernel that has lost its way shall panic, and so reboot, rather than go on. sysctl.d may say otherwise later.
const PANICS: [(&str, &str); 2] = [("/proc/sys/kernel/panic_on_oops", "1"), ("/proc/sys/kernel/softlockup_panic", "1")];

/// What this stage has said, a list of [`berth_contract::control::LogLine`] as JSON, for `hostctl logs init`.
pub const LOG: &str = "/run/berth/initrd-log.json";

/// What the phases of this stage learn.
#[derive(Debug)]
pub struct Initrd {
    timeline: Timeline,
    cmdline: Cmdline,
    loader: Option<Arc<Loader>>,
    events: Option<UeventSocket>,
    found: Option<Found>,
}

/// Why this stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// A phase before this one should have done its work.
    #[error("{0}: not there yet: the sequence is in the wrong order")]
    Order(&'static str),
    /// Nothing to look for.
    #[error("kernel command line: expected {}=<64 hex digits>, found none", cmdline::ROOTHASH)]
    NoRootHash,
    /// No disk holds it.
    #[error("root file system {wanted}: not found within {seconds} s; slots: {slots}; block devices: {devices}")]
    NoSlot {
        /// Its root hash.
        wanted: RootHash,
        /// How long was waited.
        seconds: u64,
        /// What the slots hold.
        slots: String,
        /// What devices there are.
        devices: String,
    },
}

impl Initrd {
    /// Before the first phase.
    #[must_use]
    pub fn new(timeline: Timeline) -> Self {
        Self { timeline, cmdline: Cmdline::default(), loader: None, events: None, found: None }
    }

    fn wanted(&self) -> Result<RootHash, Failure> {
        Ok(self.cmdline.root_hash()?.ok_or(InitrdError::NoRootHash)?)
    }

    fn found(&self) -> Result<&Found, InitrdError> {
        self.found.as_ref().ok_or(InitrdError::Order("slot"))
    }
}

/// /proc, /sys, /dev, /run; console; command line.
pub fn mount_early(initrd: &mut Initrd) -> Result<(), Failure> {
    for api in &mounts::EARLY {
        mounts::mount_api(api)?;
    }
    console::open_outputs();
    initrd.cmdline = cmdline::parse(&fs::read_to_string("/proc/cmdline").at("read", "/proc/cmdline")?);
    console::set_debug(initrd.cmdline.flag(cmdline::DEBUG));
    initrd.wanted().map(drop)
}

/// Listens for devices, from before the first module on: what a module brings to light is announced then.
pub fn open_devices(initrd: &mut Initrd) -> Result<(), Failure> {
    initrd.events = Some(UeventSocket::open().at("open", "uevent socket")?);
    initrd.loader = Some(Arc::new(Loader::of_running_kernel()?));
    Ok(())
}

/// Modules that every root needs.
pub fn load_root_modules(initrd: &Initrd) -> Job {
    let loader = initrd.loader.clone();
    Box::new(move || {
        let loader = loader.ok_or(InitrdError::Order("devices"))?;
        for name in ALWAYS {
            // A kernel may have it built in without saying so; opening the root will tell.
            if let Err(error) = loader.load(name) {
                console::debug(format_args!("{error}"));
            }
        }
        Ok(())
    })
}

/// From here on a machine that stands still is reset, and a kernel that panics leaves its last words.
pub fn set_guards(initrd: &Initrd) -> Job {
    let loader = initrd.loader.clone();
    Box::new(move || {
        let loader = loader.ok_or(InitrdError::Order("devices"))?;
        watchdog::load_drivers(&loader);
        let mut watchdogs = Watchdogs::default();
        let opened = watchdogs.open_all(Across::Exec);
        for (parameter, value) in PANICS {
            // A kernel may have been built without one.
            let _ = fs::write(parameter, value);
        }
        // The image's own limit is in the image.
        let fed = watchdogs.feed_beside(HealthSpec::default().limit).at("feed", "watchdogs").map(std::mem::forget);
        // They stay open, for the host stage to find.
        std::mem::forget(watchdogs);
        crash_records::load_backends(&loader);
        opened.at("start", "watchdog")?;
        Ok(fed?)
    })
}

/// Loads the modules of one device after the other until a disk with the wanted root file system is there: drivers of
/// other disks are the host stage's. Then waits for devices that come late.
pub fn find_slot(initrd: &mut Initrd) -> Result<(), Failure> {
    let wanted = initrd.wanted()?;
    let (Some(events), Some(loader)) = (&initrd.events, &initrd.loader) else {
        return Err(InitrdError::Order("devices").into());
    };
    let (mut begin, mut hinted) = (Instant::now(), false);
    let mut found = look(wanted, loader)?;
    let mut present = coldplug::modaliases(Path::new("/sys")).into_iter();
    while found.is_none() {
        if let Some(alias) = present.next() {
            if listener::load(loader, &alias) {
                found = look(wanted, loader)?;
            }
            // A driver may take its time over a disk that is dying, and what the others have found has not been looked at yet.
            begin = Instant::now();
            continue;
        }
        let waited = begin.elapsed();
        if waited >= DISK_TIME {
            return Err(no_slot(wanted)?.into());
        }
        if waited >= DISK_HINT && !hinted {
            hinted = true;
            console::announce(&format!("waiting for the disk with root {wanted}"));
        }
        wait_for_disk(events, loader, if hinted { DISK_TIME } else { DISK_HINT }.saturating_sub(waited))?;
        found = look(wanted, loader)?;
    }
    initrd.found = found;
    let found = initrd.found()?;
    console::info(format_args!(
        "{ROOT_LINE}{wanted}: slot {} on {} ({}, {})",
        found.slot, found.disk.name, found.data.name, found.verity.name
    ));
    Ok(())
}

/// The slot among the disks that are there now. Of several disks with the same root, the one that the firmware booted, as
/// far as it says so, else the first by name.
fn look(wanted: RootHash, loader: &Loader) -> Result<Option<Found>, Failure> {
    let matches = slot::search(Path::new("/sys"), Path::new("/dev"), wanted)?.matches;
    // Firmware variables are slow to get at: only ask when there is a choice.
    if matches.len() < 2 {
        return Ok(matches.into_iter().next());
    }
    Ok(slot::choose(matches, boot_disk_test(loader)))
}

fn no_slot(wanted: RootHash) -> Result<InitrdError, PathError> {
    let sys = Path::new("/sys");
    let others = slot::search(sys, Path::new("/dev"), wanted)?.others;
    let slots = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    let devices = block::describe(&block::disks(sys)?);
    Ok(InitrdError::NoSlot { wanted, seconds: DISK_TIME.as_secs(), slots, devices })
}

/// Returns when a block device has come, or after `limit`; loads modules for everything that comes.
fn wait_for_disk(events: &UeventSocket, loader: &Loader, limit: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + limit;
    loop {
        match events.receive(Some(deadline.saturating_duration_since(Instant::now()))).at("read", "uevent socket")? {
            Received::Timeout => return Ok(()),
            Received::Overrun => {
                listener::load_for_all(loader);
                return Ok(());
            }
            Received::Event(event) if event.action != "remove" => {
                if let Some(alias) = &event.modalias {
                    listener::load(loader, alias);
                }
                if event.subsystem == "block" {
                    return Ok(());
                }
            }
            Received::Event(_) => {}
        }
    }
}

/// Asks the firmware's variables which disk was booted, if several could have been.
fn boot_disk_test(loader: &Loader) -> impl Fn(&block::Disk) -> bool + use<> {
    let efivars = Path::new("/sys/firmware/efi/efivars");
    let _ = loader.load("efivarfs");
    // No firmware variables, no preference.
    let mounted =
        mount("efivarfs", efivars, "efivarfs", MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV, None)
            .is_ok();
    let partition = boot_disk::loader_partition(efivars).filter(|_| mounted);
    if mounted {
        let _ = rustix::mount::unmount(efivars, rustix::mount::UnmountFlags::DETACH);
    }
    move |disk| partition.is_some_and(|partition| boot_disk::holds(Path::new("/dev"), disk, partition))
}

/// dm-verity over the slot.
pub fn open_verity(initrd: &mut Initrd) -> Result<(), Failure> {
    Ok(root::open(initrd.found()?, initrd.wanted()?)?)
}

/// The root file system, read-only.
pub fn mount_root(_: &mut Initrd) -> Result<(), Failure> {
    Ok(root::mount_root()?)
}

/// Leaves the report for the host stage, and becomes it.
pub fn switch_root(initrd: &mut Initrd) -> Result<(), Failure> {
    let found = initrd.found()?;
    let report = InitrdReport {
        phases: initrd.timeline.stamps(),
        root_hash: initrd.wanted()?,
        slot: found.slot,
        disk: block::node(&found.disk.name).display().to_string(),
    };
    fs::create_dir_all(paths::RUN).at("create", paths::RUN)?;
    fs::write(paths::INITRD_REPORT, serde_json::to_vec(&report)?).at("write", paths::INITRD_REPORT)?;
    fs::write(LOG, serde_json::to_vec(&console::history(0).0)?).at("write", LOG)?;
    Ok(switch::switch_root()?)
}
