//! The phases of the host stage, which prepares the host for the supervisor. [`crate::sequence::HOST`] lists them in order.

pub mod erase;
pub mod etc;
pub mod fsck;
pub mod identity;
pub mod tmpfiles;
pub mod trim;
pub mod var;

use crate::{
    block, clock,
    config::{self, locations::Locations},
    console, crash_records, device_nodes,
    efi::boot_option,
    ending::GOING_DOWN,
    hostname,
    modules::Loader,
    mounts,
    phase::Job,
    power::{
        self, PowerButton, Watchdogs, button,
        watchdog::{Across, Feeder},
    },
    random_seed,
    supervisor::Handover,
    sys::{self, signal::SignalFd},
    sysctl,
    timeline::{Timeline, now_us},
    trial::{
        Boot,
        counter::{self, CounterError},
        esp,
    },
    uevent::{Settled, UeventSocket, listener},
};
use berth_contract::{
    boot_report::InitrdReport,
    cmdline::{self, Cmdline},
    entry::{BootCounter, BootEntry},
    fault::{At, Failure, Failures},
    image_spec::ImageSpec,
    paths,
    update::HealthSpec,
};
use berth_file::read_json;
use berth_generations::Store;
use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How long the search for host.toml waits for drivers that look for their devices.
const SETTLING: Duration = Duration::from_secs(30);

/// The state of this stage: the results of its phases. The supervisor takes over most of them.
#[derive(Debug)]
pub struct Host {
    /// The timeline of the boot, including the initrd stage.
    pub timeline: Timeline,
    /// The report of the initrd stage.
    pub initrd: InitrdReport,
    /// The builder's description of the image.
    pub image: ImageSpec,
    /// The kernel's command line.
    pub cmdline: Cmdline,
    /// Loads modules of the running kernel.
    pub loader: Arc<Loader>,
    /// Whether /var is on the disk. False when it is in memory.
    pub var_persistent: bool,
    growth: Option<var::Growth>,
    /// The machine id: 32 hex digits.
    pub machine_id: String,
    /// Whether the drivers have found the devices that were there at boot.
    settled: Arc<Settled>,
    /// Whether the command line has the address of host.toml.
    is_config_fetched: bool,
    /// The configuration in force.
    pub config: config::CurrentConfig,
    /// Open power buttons, for the event loop.
    pub buttons: Vec<PowerButton>,
    /// Open watchdogs.
    pub watchdogs: Watchdogs,
    /// The thread that feeds the watchdogs until the supervisor does.
    feeder: Option<Feeder>,
    /// Counter of the boot entry, read from the firmware's variables or else from the ESP. Set by the phase "firmware".
    counter: Arc<OnceLock<Option<BootCounter>>>,
    /// The record of this boot.
    pub boot: Boot,
}

impl Host {
    /// The state before the first phase. Opens the console, and reads the files of the initrd stage and of the builder.
    ///
    /// # Errors
    /// When a file is missing, for example because another initrd has started this program.
    pub fn arrive() -> Result<Self, Failure> {
        console::open_outputs();
        let arrived = now_us();
        console::continue_from(read_json(paths::INITRD_LOG.as_ref(), paths::MAX_JSON).unwrap_or_default());
        let mut initrd: InitrdReport = read_json(paths::INITRD_REPORT.as_ref(), paths::MAX_JSON)?;
        // The phase "switch-root" ends here: the initrd stage could not stamp its end.
        for phase in initrd.phases.iter_mut().filter(|phase| phase.end_us.is_none()) {
            phase.end_us = Some(arrived);
        }
        let cmdline = cmdline::parse(&fs::read_to_string("/proc/cmdline").at("read", "/proc/cmdline")?);
        console::set_debug(cmdline.flag(cmdline::DEBUG));
        let image = read_json(paths::IMAGE_SPEC.as_ref(), paths::MAX_JSON)?;
        let watchdogs = Watchdogs::inherited();
        Ok(Self {
            feeder: feeder(&watchdogs, &image),
            watchdogs,
            timeline: Timeline::continued(initrd.phases.clone()),
            boot: Boot::begin(&image, &initrd),
            image,
            loader: Arc::new(Loader::of_running_kernel()?),
            initrd,
            cmdline,
            var_persistent: false,
            growth: None,
            machine_id: String::new(),
            settled: Arc::default(),
            is_config_fetched: false,
            config: config::CurrentConfig::default(),
            buttons: Vec::new(),
            counter: Arc::default(),
        })
    }
}

impl Host {
    /// The supervisor's part of the state. From now on the supervisor feeds the watchdogs.
    #[must_use]
    pub fn hand_over(self, signals: SignalFd) -> Handover {
        Handover {
            image: self.image,
            initrd: self.initrd,
            timeline: self.timeline,
            config: self.config,
            is_config_fetched: self.is_config_fetched,
            machine_id: self.machine_id,
            var_persistent: self.var_persistent,
            signals,
            buttons: self.buttons,
            watchdogs: self.watchdogs,
            boot: self.boot,
        }
    }
}

/// Starts a thread that feeds the watchdogs. The image's time limit is meant for a version on trial and may be short. It must not
/// reset a blessed version that comes up late, so the default limit is the minimum.
fn feeder(watchdogs: &Watchdogs, image: &ImageSpec) -> Option<Feeder> {
    let fed = watchdogs.feed_beside(image.health.limit.max(HealthSpec::default().limit)).at("feed", "watchdogs");
    fed.inspect_err(|error| console::warning(format_args!("{error}"))).ok()
}

/// Sets a clock that cannot be right to the date of the image.
pub fn correct_clock(_: &mut Host) -> Result<(), Failure> {
    if let Some(clock::Wrong { said, image }) = clock::correct(Path::new(paths::IMAGE_SPEC))? {
        console::warning(format_args!(
            "clock: expected {image} (the image's date, in seconds since 1970) or up to 15 years later, found {said}: set to the \
             image's date until a time server answers"
        ));
    }
    Ok(())
}

/// Mounts cgroup2, /dev/pts, /tmp.
pub fn mount_required(_: &mut Host) -> Result<(), Failure> {
    mounts::mount_required()
}

/// Mounts securityfs, bpf and other file systems that the kernel offers.
pub fn mount_offered(_: &Host) -> Job {
    Box::new(|| Ok(mounts::mount_offered()?))
}

/// Loads the modules that the recipe names, in its order. Then applies sysctl.d again, for parameters that came with the modules.
pub fn load_recipe_modules(host: &Host) -> Job {
    let (loader, names) = (Arc::clone(&host.loader), host.image.modules.clone());
    Box::new(move || load_modules(&loader, &names))
}

/// Loads the modules of all present devices, and starts the thread for devices that appear later.
pub fn load_device_modules(host: &Host) -> Job {
    let (loader, settled) = (Arc::clone(&host.loader), Arc::clone(&host.settled));
    Box::new(move || {
        // Opened first, so that no device is missed between the scan and the start of the thread.
        let socket = UeventSocket::open().at("open", "uevent socket")?;
        listener::load_for_all(&loader);
        Ok(listener::spawn(socket, loader, settled).at("start", "uevent thread")?)
    })
}

/// Makes /etc writable for this boot.
pub fn mount_etc(host: &mut Host) -> Result<(), Failure> {
    // Load the module here. The kernel would do it too, but through a modprobe process, which is slower.
    host.loader.load("overlay")?;
    Ok(etc::mount_overlay()?)
}

/// Time limit for the repair of /var, in seconds since the kernel's start. A large disk takes hours.
const REPAIR_TIME: u32 = 12 * 3600;

/// Mounts the var partition on /var. If its file system is damaged, it is repaired first. If that fails, a tmpfs is mounted, and the
/// supervisor does not start the engine.
pub fn mount_var(host: &mut Host) -> Result<(), Failure> {
    let mut feeder = None;
    let begin_repair = || feeder = host.watchdogs.feed_beside(REPAIR_TIME).ok();
    let mounted = var::mount_persistent(&host.initrd.disk, begin_repair);
    drop(feeder);
    match mounted {
        Ok(var::Mounted { growth, damage }) => {
            (host.var_persistent, host.growth) = (true, growth);
            damage.map_or(Ok(()), |damage| Err(damage.into()))
        }
        Err(error) => {
            var::mount_in_memory()?;
            Err(format!("{error}; /var is in memory, its content is lost at the next boot, and no container runs")
                .into())
        }
    }
}

/// Grows the file system on /var to the size of its partition.
pub fn grow_var(host: &Host) -> Job {
    let growth = host.growth.clone();
    Box::new(move || growth.map_or(Ok(()), |growth| Ok(var::grow(&growth, &GOING_DOWN)?)))
}

/// Reads the boot counter from the EFI variables. Most of the time is for mounting them.
pub fn ask_firmware(host: &Host) -> Job {
    let (loader, told) = (Arc::clone(&host.loader), Arc::clone(&host.counter));
    let record = &host.boot.record;
    let (disk, id, version) = (host.initrd.disk.clone(), record.id.clone(), record.version.clone());
    Box::new(move || {
        if !Path::new("/sys/firmware/efi").exists() {
            return Ok(());
        }
        // An error is only logged: the driver may be built in. If it is missing, the mount fails.
        if let Err(error) = loader.load("efivarfs") {
            console::debug(format_args!("{error}"));
        }
        let mounted = mounts::mount_efivars().map_err(CounterError::from);
        // The firmware has started the other version itself: the counter is that of the entry that systemd-boot could not start.
        if boot_option::booted_fallback(Path::new(mounts::EFIVARS.target())).is_some() {
            return Ok(());
        }
        let counter = match mounted.and_then(|()| counter::read(Path::new(paths::LOADER_BOOT_COUNT_PATH))) {
            Ok(counter) => counter,
            Err(error @ CounterError::NotOurs(_)) => return Err(error.into()),
            // Some firmware hides its variables from the running kernel. The file name of the entry has the counter as well.
            Err(error) => {
                console::warning(format_args!(
                    "{error}: reading the boot counter from the name of the boot entry instead"
                ));
                counter::by_name(&boot_entries(&disk)?, &id, &version)
            }
        };
        let _ = told.set(counter);
        Ok(())
    })
}

/// The boot entries on the ESP of a disk like `/dev/vda`.
fn boot_entries(disk: &str) -> Result<Vec<BootEntry>, Failure> {
    let disks = block::disks(Path::new("/sys"))?;
    let found = disks.iter().find(|found| block::node(&found.name) == Path::new(disk));
    let found = found.ok_or_else(|| format!("disk {disk}: not found; block devices: {}", block::describe(&disks)))?;
    Ok(esp::entries(&esp::device(Path::new("/dev"), found)?)?)
}

/// Writes the record of this boot now, so that it exists even if the boot fails.
pub fn record_boot(host: &mut Host) -> Result<(), Failure> {
    host.boot.record.counter = host.counter.get().copied().flatten();
    if let Some(counter) = host.boot.record.counter {
        let version = &host.image.version;
        console::announce(&format!("version {version} is on trial: boot {}, {} left", counter.done, counter.left));
    }
    if host.var_persistent { Ok(host.boot.keep()?) } else { Ok(()) }
}

/// Copies crash records of earlier kernels from the firmware's memory to the disk.
pub fn keep_crash_records(host: &Host) -> Job {
    let persistent = host.var_persistent;
    Box::new(move || if persistent { crash_records::keep(Path::new(paths::PSTORE)) } else { Ok(()) })
}

/// Makes the directories that programs expect in /var, /run and /tmp.
pub fn furnish(_: &mut Host) -> Result<(), Failure> {
    let mut failures = Failures::none();
    failures.keep(var::furnish());
    failures.keep(tmpfiles::apply());
    failures.end()
}

/// Loads the random seed of the last boot, and stores one for the next.
pub fn seed_random(_: &Host) -> Job {
    Box::new(|| Ok(random_seed::load()?))
}

/// Reads or makes the machine id. A disk that was copied to another machine gets a new one, and the engine forgets its own identity.
pub fn identify(host: &mut Host) -> Result<(), Failure> {
    let engine = host.image.engine.as_ref().map(|engine| Path::new(engine.kind.row().identity));
    let (machine_id, kept) = identity::Files::default().identity(|| engine.map_or(Ok(()), identity::forget));
    host.machine_id = machine_id;
    Ok(kept?)
}

/// Starts the thread that tells the disk every week which blocks of /var are free.
pub fn schedule_trim(host: &mut Host) -> Result<(), Failure> {
    if host.var_persistent { Ok(trim::spawn().at("start", "trim thread")?) } else { Ok(()) }
}

/// Sets the loopback interface up.
pub fn bring_loopback_up(_: &mut Host) -> Result<(), Failure> {
    Ok(sys::net::loopback_up().at("bring up", "lo")?)
}

/// Makes links and static nodes in /dev.
pub fn complete_dev(host: &mut Host) -> Result<(), Failure> {
    let devname = Path::new(paths::MODULES).join(&host.image.kernel).join(paths::MODULES_DEVNAME);
    device_nodes::complete(&fs::read_to_string(devname).unwrap_or_default())
}

/// Opens power buttons and watchdogs, and takes over Ctrl-Alt-Del.
pub fn watch_power(host: &mut Host) -> Result<(), Failure> {
    let mut failures = Failures::none();
    failures.keep(power::catch_ctrl_alt_del().at("take over", "Ctrl-Alt-Del"));
    // Load evdev by name, because no device has a module alias for it. An error is only logged: it may be built in.
    if let Err(error) = host.loader.load("evdev") {
        console::debug(format_args!("{error}"));
    }
    host.buttons = failures.keep(button::open_all().at("open", "power button")).unwrap_or_default();
    // Open the watchdogs whose drivers are not in the initrd.
    failures.keep(host.watchdogs.open_all(Across::Nothing).at("start", "watchdog"));
    host.watchdogs.feed();
    host.feeder = feeder(&host.watchdogs, &host.image);
    if let Some(period) = host.watchdogs.period() {
        console::info(format_args!("watchdogs, fed every {} s: {}", period.as_secs(), host.watchdogs.describe()));
    }
    failures.end()
}

/// Finds, checks and applies host.toml. If it has an error, the console shows the error, and the last good host.toml is used.
pub fn configure(host: &mut Host) -> Result<(), Failure> {
    let locations = Locations::new(&host.image.config_sources, &host.initrd.disk, &host.loader);
    let now = host.boot.record.started;
    host.is_config_fetched = config::fetched(&locations, &host.cmdline).is_some();
    host.config = config::load(&locations, &host.cmdline, (&Store::default(), now), || {
        if !host.settled.wait(SETTLING) {
            console::warning(format_args!("drivers still look for devices after {} s", SETTLING.as_secs()));
        }
    });
    let applied = config::apply(&host.config, &host.image, config::When::Boot);
    if host.config.config.sysctl.is_empty() {
        return applied;
    }
    let mut failures = Failures::none();
    failures.keep(applied);
    failures.keep(sysctl::apply());
    failures.end()
}

/// Loads the modules that host.toml names. Then applies sysctl.d again, for parameters that came with the modules.
pub fn load_configured_modules(host: &Host) -> Job {
    let names = host.config.config.kernel.as_ref().map(|kernel| kernel.modules.clone()).unwrap_or_default();
    let loader = Arc::clone(&host.loader);
    Box::new(move || if names.is_empty() { Ok(()) } else { load_modules(&loader, &names) })
}

fn load_modules(loader: &Loader, names: &[String]) -> Result<(), Failure> {
    let mut failures = Failures::none();
    for name in names {
        failures.keep(loader.load(name));
    }
    failures.keep(sysctl::apply());
    failures.end()
}

/// Sets the host name of host.toml, or one made from the machine id.
pub fn name_host(host: &mut Host) -> Result<(), Failure> {
    Ok(hostname::configure(host.config.config.hostname.as_deref(), &host.machine_id)?)
}

/// Applies sysctl.d.
pub fn set_parameters(_: &mut Host) -> Result<(), Failure> {
    sysctl::apply()
}
