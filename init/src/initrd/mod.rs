//! The phases of the initrd stage, which finds and mounts the root file system. [`crate::sequence::INITRD`] lists them in order.

pub mod root;
pub mod switch;

use crate::{
    block, console, crash_records,
    efi::{boot_option, device_path::DevicePath},
    modules::Loader,
    mounts,
    phase::Job,
    power::watchdog::{self, Across, Watchdogs},
    slot::{self, Choice, Found, boot_disk},
    timeline::Timeline,
    trial::{esp, one_shot},
    uevent::{UeventSocket, coldplug, listener, socket::Received},
};
use berth_contract::{
    boot_report::{InitrdReport, NextBoot, ROOT_LINE},
    cmdline::{self, Cmdline},
    digest::RootHash,
    fault::{At, Failure, PathError},
    paths,
    update::HealthSpec,
};
use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

/// Time limit for the root disk to appear.
const DISK_TIME: Duration = Duration::from_secs(30);
/// After this time, a console line says that init waits for the disk.
const DISK_HINT: Duration = Duration::from_secs(3);
/// How long a disk with the root file system is not taken although all drivers are loaded, because the disk that the firmware has started
/// has not appeared yet.
const STARTED_DISK_TIME: Duration = Duration::from_secs(2);
/// How long the search waits for the firmware's variables.
const FIRMWARE_TIME: Duration = Duration::from_secs(5);
/// Modules for every kind of disk. dm-verity chooses the fastest SHA-256 that is loaded when the root is opened: the SHA
/// instructions of the processor are several times faster than the generic code, for every byte that is read from the root.
const ALWAYS: [&str; 3] = ["crypto-sha256", "dm_verity", "erofs"];

/// Parameters that make the kernel panic, and so reboot, after an oops or a lockup. sysctl.d may change them later.
const PANICS: [(&str, &str); 2] = [("/proc/sys/kernel/panic_on_oops", "1"), ("/proc/sys/kernel/softlockup_panic", "1")];

/// The state of this stage: the results of its phases.
#[derive(Debug)]
pub struct Initrd {
    timeline: Timeline,
    cmdline: Cmdline,
    loader: Option<Arc<Loader>>,
    events: Option<UeventSocket>,
    /// The disk that the firmware has started. Set by the phase "firmware"; the inner `None` means that the firmware does not tell.
    started: Arc<OnceLock<Option<DevicePath>>>,
    choice: Option<Choice>,
    next_boot: NextBoot,
}

/// Why the initrd stage cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum InitrdError {
    /// An earlier phase has not set this value.
    #[error("{0}: not set yet: the list of phases is in the wrong order")]
    Order(&'static str),
    /// The kernel command line has no root hash.
    #[error("kernel command line: expected {}=<64 hex digits>, found none", cmdline::ROOTHASH)]
    NoRootHash,
    /// No disk has the root file system.
    #[error("root file system {wanted}: not found within {seconds} s; slots: {slots}; block devices: {devices}")]
    NoSlot {
        /// The root hash.
        wanted: RootHash,
        /// Duration of the search.
        seconds: u64,
        /// Content of the slots that were found.
        slots: String,
        /// Block devices that were found.
        devices: String,
    },
}

impl Initrd {
    /// The state before the first phase.
    #[must_use]
    pub fn new(timeline: Timeline) -> Self {
        Self {
            timeline,
            cmdline: Cmdline::default(),
            loader: None,
            events: None,
            started: Arc::default(),
            choice: None,
            next_boot: NextBoot::default(),
        }
    }

    fn wanted(&self) -> Result<RootHash, Failure> {
        Ok(self.cmdline.root_hash()?.ok_or(InitrdError::NoRootHash)?)
    }

    fn choice(&self) -> Result<&Choice, InitrdError> {
        self.choice.as_ref().ok_or(InitrdError::Order("slot"))
    }

    fn found(&self) -> Result<&Found, InitrdError> {
        Ok(&self.choice()?.found)
    }
}

/// Mounts /proc, /sys, /dev and /run, opens the console, reads the kernel command line.
pub fn mount_early(initrd: &mut Initrd) -> Result<(), Failure> {
    for api in &mounts::EARLY {
        mounts::mount_api(api)?;
    }
    console::open_outputs();
    initrd.cmdline = cmdline::parse(&fs::read_to_string("/proc/cmdline").at("read", "/proc/cmdline")?);
    console::set_debug(initrd.cmdline.flag(cmdline::DEBUG));
    initrd.wanted().map(drop)
}

/// Starts to listen for device events. This comes before the first module is loaded, so that no event is missed.
pub fn open_devices(initrd: &mut Initrd) -> Result<(), Failure> {
    initrd.events = Some(UeventSocket::open().at("open", "uevent socket")?);
    initrd.loader = Some(Arc::new(Loader::of_running_kernel()?));
    Ok(())
}

/// Loads the modules that every root needs.
pub fn load_root_modules(initrd: &Initrd) -> Job {
    let loader = initrd.loader.clone();
    Box::new(move || {
        let loader = loader.ok_or(InitrdError::Order("devices"))?;
        for name in ALWAYS {
            // An error is only logged: the module may be built in. If it is missing, opening the root fails.
            if let Err(error) = loader.load(name) {
                console::debug(format_args!("{error}"));
            }
        }
        Ok(())
    })
}

/// Opens the watchdogs, which reset a host that hangs, and loads the drivers that store the log of a kernel that panics.
pub fn set_guards(initrd: &Initrd) -> Job {
    let loader = initrd.loader.clone();
    Box::new(move || {
        let loader = loader.ok_or(InitrdError::Order("devices"))?;
        watchdog::load_drivers(&loader);
        let mut watchdogs = Watchdogs::default();
        let opened = watchdogs.open_all(Across::Exec);
        for (parameter, value) in PANICS {
            // A kernel may lack one of the parameters.
            let _ = fs::write(parameter, value);
        }
        // Use the default limit: the limit of the image is on the root file system, which is not mounted yet.
        let fed = watchdogs.feed_beside(HealthSpec::default().limit).at("feed", "watchdogs").map(std::mem::forget);
        // Not dropped, so that the watchdogs stay open across exec(2). The host stage takes them over.
        std::mem::forget(watchdogs);
        crash_records::load_backends(&loader);
        opened.at("start", "watchdog")?;
        Ok(fed?)
    })
}

/// Mounts the firmware's variables, and reads which disk the firmware has started.
pub fn ask_firmware(initrd: &Initrd) -> Job {
    let (loader, told) = (initrd.loader.clone(), Arc::clone(&initrd.started));
    Box::new(move || {
        // Nothing here is an error: the driver may be built in, and a machine may have no EFI variables.
        if let Err(error) = loader.map_or(Ok(()), |loader| loader.load("efivarfs")) {
            console::debug(format_args!("{error}"));
        }
        let mounted = mounts::mount_efivars().inspect_err(|error| console::debug(format_args!("{error}")));
        let _ = told.set(mounted.ok().and_then(|()| boot_option::booted(Path::new(mounts::EFIVARS.target()))));
        Ok(())
    })
}

/// Finds the slot with the root hash of the kernel command line. Loads the modules of one device after the other until the disk that the
/// firmware has started has this slot; the host stage loads the other drivers. If no present disk has it, waits for new devices.
pub fn find_slot(initrd: &mut Initrd) -> Result<(), Failure> {
    let wanted = initrd.wanted()?;
    let (Some(events), Some(loader)) = (&initrd.events, &initrd.loader) else {
        return Err(InitrdError::Order("devices").into());
    };
    let (mut begin, mut hinted) = (Instant::now(), false);
    let look = |patience| look(wanted, &initrd.started, patience);
    let mut choice = look(Patience::ForStartedDisk)?;
    let mut present = coldplug::modaliases(Path::new("/sys")).into_iter();
    while choice.is_none() {
        if let Some(alias) = present.next() {
            if listener::load(loader, &alias) {
                choice = look(Patience::ForStartedDisk)?;
            }
            // The time limit starts after the last driver: a driver may take long for a failing disk.
            begin = Instant::now();
            continue;
        }
        let waited = begin.elapsed();
        if waited >= DISK_TIME {
            // Another disk may have it, and may not have been looked at since the started disk is not waited for any more.
            choice = look(Patience::Over)?;
            if choice.is_none() {
                return Err(no_slot(wanted)?.into());
            }
            break;
        }
        if waited >= DISK_HINT && !hinted {
            hinted = true;
            console::announce(&format!("waiting for the disk with root {wanted}"));
        }
        let patience = if waited < STARTED_DISK_TIME { Patience::ForStartedDisk } else { Patience::Over };
        choice = look(patience)?;
        if choice.is_none() {
            let next = [STARTED_DISK_TIME, DISK_HINT, DISK_TIME].into_iter().find(|time| *time > waited);
            wait_for_disk(events, loader, next.unwrap_or(DISK_TIME).saturating_sub(waited))?;
            choice = look(patience)?;
        }
    }
    initrd.choice = choice;
    let found = initrd.found()?;
    console::info(format_args!(
        "{ROOT_LINE}{wanted}: slot {} on {} ({}, {})",
        found.slot, found.disk.name, found.data.name, found.verity.name
    ));
    Ok(())
}

/// Whether a slot on another disk than the started one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// Not yet: the started disk may still appear.
    ForStartedDisk,
    /// Any disk is taken.
    Over,
}

/// Searches the slot on the present disks, and chooses among several.
fn look(
    wanted: RootHash,
    started: &OnceLock<Option<DevicePath>>,
    patience: Patience,
) -> Result<Option<Choice>, Failure> {
    let sys = Path::new("/sys");
    let matches = slot::search(sys, Path::new("/dev"), wanted)?.matches;
    if matches.is_empty() {
        return Ok(None);
    }
    let begin = Instant::now();
    while started.get().is_none() && begin.elapsed() < FIRMWARE_TIME {
        thread::sleep(Duration::from_millis(2));
    }
    let path = started.get().and_then(Option::as_ref);
    let is_started = |disk: &block::Disk| path.is_some_and(|path| path.leads_to(sys, &disk.name));
    let waits = path.is_some() && patience == Patience::ForStartedDisk;
    // If the started disk is present and has no such slot, the root file system is meant to be on another disk.
    if waits && !matches.iter().any(|found| is_started(&found.disk)) && !block::disks(sys)?.iter().any(is_started) {
        return Ok(None);
    }
    let several = matches.len() > 1;
    let choice = slot::choose(matches, is_started, boot_disk_test(several));
    if let Some(Choice { found, named_by_firmware: false }) = choice.as_ref().filter(|_| several) {
        console::warning(format_args!(
            "several disks have root {wanted}, and the firmware does not tell which one it has started: taking {}",
            found.disk.name
        ));
    }
    Ok(choice)
}

fn no_slot(wanted: RootHash) -> Result<InitrdError, PathError> {
    let sys = Path::new("/sys");
    let others = slot::search(sys, Path::new("/dev"), wanted)?.others;
    let slots = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
    let devices = block::describe(&block::disks(sys)?);
    Ok(InitrdError::NoSlot { wanted, seconds: DISK_TIME.as_secs(), slots, devices })
}

/// Returns when a block device has appeared, or after `limit`. Loads modules for all devices that appear.
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

/// Whether a disk holds the partition that the boot loader was loaded from. Only reads the variable if there is a choice.
fn boot_disk_test(several: bool) -> impl Fn(&block::Disk) -> bool {
    let partition = several.then(|| boot_disk::loader_partition(Path::new(mounts::EFIVARS.target()))).flatten();
    move |disk| partition.is_some_and(|partition| boot_disk::holds(Path::new("/dev"), disk, partition))
}

/// Requests the other blessed version for the next boot, in case this boot does not reach its verdict.
pub fn arm_fallback(initrd: &mut Initrd) -> Result<(), Failure> {
    let esp = esp::device(Path::new("/dev"), &initrd.found()?.disk)?;
    // A machine may have no EFI variables, or firmware that cannot store them. That is no reason to be degraded.
    initrd.next_boot = one_shot::arm(&esp).unwrap_or_else(|error| {
        console::info(format_args!("no fallback for this boot: {error}"));
        NextBoot::Usual
    });
    match &initrd.next_boot {
        NextBoot::Usual => {}
        NextBoot::Fallback(entry) => {
            console::announce(&format!("if this boot ends without a verdict, the boot loader takes {entry}, once"));
        }
        NextBoot::InsteadOf(entry) => console::announce(&format!(
            "this boot replaces {entry}, whose last boot ended without a verdict or which cannot be started"
        )),
    }
    Ok(())
}

/// Opens the slot with dm-verity.
pub fn open_verity(initrd: &mut Initrd) -> Result<(), Failure> {
    Ok(root::open(initrd.found()?, initrd.wanted()?)?)
}

/// Mounts the root file system read-only.
pub fn mount_root(_: &mut Initrd) -> Result<(), Failure> {
    Ok(root::mount_root()?)
}

/// Writes the report for the host stage and executes that stage's init.
pub fn switch_root(initrd: &mut Initrd) -> Result<(), Failure> {
    let found = initrd.found()?;
    let report = InitrdReport {
        phases: initrd.timeline.stamps(),
        root_hash: initrd.wanted()?,
        slot: found.slot,
        disk: block::node(&found.disk.name).display().to_string(),
        named_by_firmware: initrd.choice()?.named_by_firmware,
        next_boot: initrd.next_boot.clone(),
    };
    fs::create_dir_all(paths::RUN).at("create", paths::RUN)?;
    fs::write(paths::INITRD_REPORT, serde_json::to_vec(&report)?).at("write", paths::INITRD_REPORT)?;
    fs::write(paths::INITRD_LOG, serde_json::to_vec(&console::history(0).0)?).at("write", paths::INITRD_LOG)?;
    Ok(switch::switch_root()?)
}
