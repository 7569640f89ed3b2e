//! The host stage: from the root file system to the supervisor. Its order is [`crate::sequence::HOST`].

pub mod crash_records;
pub mod device_nodes;
pub mod etc;
pub mod identity;
pub mod mounts;
pub mod sysctl;
pub mod tmpfiles;
pub mod var;

use crate::{
    block, config, console,
    fault::{At, Failure, Failures},
    initrd,
    modules::Loader,
    power::{
        self, PowerButton, Watchdogs, button,
        watchdog::{Across, Feeder},
    },
    sequence::Job,
    supervisor::Handover,
    sys::{self, signal::SignalFd},
    timeline::{Timeline, now_us},
    trial::{
        Boot,
        counter::{self, CounterError},
        esp,
    },
    uevent::{UeventSocket, listener},
};
use berth_contract::{
    boot_report::InitrdReport,
    cmdline::{self, Cmdline},
    entry::{BootCounter, BootEntry},
    image_spec::ImageSpec,
    paths,
    update::HealthSpec,
};
use berth_file::read_json;
use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

/// What the phases of this stage learn, and the supervisor takes over.
#[derive(Debug)]
pub struct Host {
    /// The boot's stamps, from the initrd on.
    pub timeline: Timeline,
    /// What the initrd stage found.
    pub initrd: InitrdReport,
    /// What the builder says of the image.
    pub image: ImageSpec,
    /// The kernel's command line.
    pub cmdline: Cmdline,
    /// Modules of the running kernel.
    pub loader: Arc<Loader>,
    /// Whether /var is on the disk (false: in memory).
    pub var_persistent: bool,
    growth: Option<var::Growth>,
    /// 32 hex digits.
    pub machine_id: String,
    /// The machine configuration in force.
    pub config: config::Outcome,
    /// To be polled.
    pub buttons: Vec<PowerButton>,
    /// To be fed.
    pub watchdogs: Watchdogs,
    /// Feeds them until the supervisor does.
    feeder: Option<Feeder>,
    /// What the firmware's variables, or else the ESP, say of the boot entry, once they have been asked.
    counter: Arc<OnceLock<Option<BootCounter>>>,
    /// This boot, as it is judged.
    pub boot: Boot,
}

impl Host {
    /// Reads what the initrd and the builder left. The console is open after it.
    ///
    /// # Errors
    /// When one of them is missing: this process was not started by our initrd, in our image.
    pub fn arrive() -> Result<Self, Failure> {
        console::open_outputs();
        let arrived = now_us();
        console::continue_from(read_json(initrd::LOG.as_ref(), paths::MAX_JSON).unwrap_or_default());
        let mut initrd: InitrdReport = read_json(paths::INITRD_REPORT.as_ref(), paths::MAX_JSON)?;
        // The switch ends here; the stage that began it could not say so.
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
            config: config::Outcome::default(),
            buttons: Vec::new(),
            counter: Arc::default(),
        })
    }
}

impl Host {
    /// What the supervisor needs of it. From here on it is the one who feeds the watchdogs.
    #[must_use]
    pub fn hand_over(self, signals: SignalFd) -> Handover {
        Handover {
            image: self.image,
            initrd: self.initrd,
            timeline: self.timeline,
            config: self.config,
            machine_id: self.machine_id,
            var_persistent: self.var_persistent,
            signals,
            buttons: self.buttons,
            watchdogs: self.watchdogs,
            boot: self.boot,
        }
    }
}

/// The image's limit is for versions on trial, and may be short: a blessed one that comes up late is not to be reset for ever.
fn feeder(watchdogs: &Watchdogs, image: &ImageSpec) -> Option<Feeder> {
    let fed = watchdogs.feed_beside(image.health.limit.max(HealthSpec::default().limit)).at("feed", "watchdogs");
    fed.inspect_err(|error| console::warning(format_args!("{error}"))).ok()
}

/// cgroup2, /dev/pts, /tmp.
pub fn mount_required(_: &mut Host) -> Result<(), Failure> {
    mounts::mount_required()
}

/// securityfs, bpf and the like.
pub fn mount_offered(_: &Host) -> Job {
    Box::new(|| Ok(mounts::mount_offered()?))
}

/// The modules that the recipe names, in its order; then sysctl.d again, for the parameters that came with them.
pub fn load_recipe_modules(host: &Host) -> Job {
    let (loader, names) = (Arc::clone(&host.loader), host.image.modules.clone());
    Box::new(move || {
        let mut failures = Failures::none();
        for name in names {
            failures.keep(loader.load(&name));
        }
        failures.keep(sysctl::apply());
        failures.end()
    })
}

/// The modules that devices ask for, those that are there and those that come.
pub fn load_device_modules(host: &Host) -> Job {
    let loader = Arc::clone(&host.loader);
    Box::new(move || {
        // Opened first, so that no device falls between the look around and the listening.
        let socket = UeventSocket::open().at("open", "uevent socket")?;
        listener::load_for_all(&loader);
        Ok(listener::spawn(socket, loader).at("start", "uevent thread")?)
    })
}

/// /etc becomes writable, for this boot.
pub fn mount_etc(host: &mut Host) -> Result<(), Failure> {
    // The kernel would ask for it by itself, through a process of its own.
    host.loader.load("overlay")?;
    Ok(etc::mount_overlay()?)
}

/// The var partition, or memory in its place.
pub fn mount_var(host: &mut Host) -> Result<(), Failure> {
    match var::mount_persistent(&host.initrd.disk) {
        Ok(growth) => {
            (host.var_persistent, host.growth) = (true, growth);
            Ok(())
        }
        Err(error) => {
            var::mount_in_memory()?;
            Err(format!("{error}; /var is in memory, and what is written there is lost at the next boot").into())
        }
    }
}

/// The file system on /var fills its partition.
pub fn grow_var(host: &Host) -> Job {
    let growth = host.growth.clone();
    Box::new(move || growth.map_or(Ok(()), |growth| Ok(var::grow(&growth)?)))
}

/// Asks the firmware's variables whether this boot is counted. Most of the time is spent on mounting them.
pub fn ask_firmware(host: &Host) -> Job {
    let (loader, told) = (Arc::clone(&host.loader), Arc::clone(&host.counter));
    let record = &host.boot.record;
    let (disk, id, version) = (host.initrd.disk.clone(), record.id.clone(), record.version.clone());
    Box::new(move || {
        if !Path::new("/sys/firmware/efi").exists() {
            return Ok(());
        }
        // Built in, or not there at all: the mount will tell.
        if let Err(error) = loader.load("efivarfs") {
            console::debug(format_args!("{error}"));
        }
        let mounted = mounts::mount_api(&mounts::EFIVARS).map_err(CounterError::from);
        let counter = match mounted.and_then(|()| counter::read(Path::new(paths::LOADER_BOOT_COUNT_PATH))) {
            Ok(counter) => counter,
            Err(error @ CounterError::NotOurs(_)) => return Err(error.into()),
            // A firmware may keep its variables to itself, once the kernel runs. The boot loader has counted all the same.
            Err(error) => {
                console::warning(format_args!("{error}: the entry's name tells whether this boot is a trial"));
                counter::by_name(&boot_entries(&disk)?, &id, &version)
            }
        };
        let _ = told.set(counter);
        Ok(())
    })
}

/// Those on the ESP of a disk like `/dev/vda`.
fn boot_entries(disk: &str) -> Result<Vec<BootEntry>, Failure> {
    let disks = block::disks(Path::new("/sys"))?;
    let found = disks.iter().find(|found| block::node(&found.name) == Path::new(disk));
    let found = found.ok_or_else(|| format!("disk {disk}: not found; there are {}", block::describe(&disks)))?;
    Ok(esp::entries(&esp::device(Path::new("/dev"), found)?)?)
}

/// This boot gets its record, so that it is known to have been even if it never says another word.
pub fn record_boot(host: &mut Host) -> Result<(), Failure> {
    host.boot.record.counter = host.counter.get().copied().flatten();
    if let Some(counter) = host.boot.record.counter {
        let version = &host.image.version;
        console::announce(&format!("version {version} is on trial: boot {}, {} left", counter.done, counter.left));
    }
    if host.var_persistent { Ok(host.boot.keep()?) } else { Ok(()) }
}

/// The last words of kernels that panicked, from the firmware's memory to the disk.
pub fn keep_crash_records(host: &Host) -> Job {
    let persistent = host.var_persistent;
    Box::new(move || if persistent { crash_records::keep(Path::new(paths::PSTORE)) } else { Ok(()) })
}

/// Directories that programs expect in /var, /run and /tmp.
pub fn furnish(_: &mut Host) -> Result<(), Failure> {
    let mut failures = Failures::none();
    failures.keep(var::furnish());
    failures.keep(tmpfiles::apply());
    failures.end()
}

/// The last boot's seed for random numbers, and one for the next.
pub fn seed_random(_: &Host) -> Job {
    Box::new(|| Ok(identity::load_random_seed()?))
}

/// Who this machine is.
pub fn identify(host: &mut Host) -> Result<(), Failure> {
    let (id, kept) = identity::machine_id();
    host.machine_id = id;
    Ok(kept?)
}

/// 127.0.0.1 answers.
pub fn bring_loopback_up(_: &mut Host) -> Result<(), Failure> {
    Ok(sys::net::loopback_up().at("bring up", "lo")?)
}

/// Links and static nodes in /dev.
pub fn complete_dev(host: &mut Host) -> Result<(), Failure> {
    let devname = Path::new(paths::MODULES).join(&host.image.kernel).join("modules.devname");
    device_nodes::complete(&fs::read_to_string(devname).unwrap_or_default())
}

/// Power button, Ctrl-Alt-Del, watchdogs.
pub fn watch_power(host: &mut Host) -> Result<(), Failure> {
    let mut failures = Failures::none();
    failures.keep(power::catch_ctrl_alt_del().at("take over", "Ctrl-Alt-Del"));
    // No device asks for evdev by itself; a kernel may have it built in.
    if let Err(error) = host.loader.load("evdev") {
        console::debug(format_args!("{error}"));
    }
    host.buttons = failures.keep(button::open_all().at("open", "power button")).unwrap_or_default();
    // Those whose drivers the initrd did not have.
    failures.keep(host.watchdogs.open_all(Across::Nothing).at("start", "watchdog"));
    host.watchdogs.feed();
    host.feeder = feeder(&host.watchdogs, &host.image);
    if let Some(period) = host.watchdogs.period() {
        console::info(format_args!("watchdogs, fed every {} s: {}", period.as_secs(), host.watchdogs.describe()));
    }
    failures.end()
}

/// host.toml: found, checked, applied. A wrong one is named on the console, and the last good one serves.
pub fn configure(host: &mut Host) -> Result<(), Failure> {
    host.config = config::load(&host.initrd.disk, &host.loader);
    config::apply(&host.config, &host.image)
}

/// The host name: host.toml's, or one made from the machine id until DHCP has a better one.
pub fn name_host(host: &mut Host) -> Result<(), Failure> {
    let name = host.config.config.hostname.clone();
    Ok(identity::set_hostname(&name.unwrap_or_else(|| identity::default_hostname(&host.machine_id)))?)
}

/// sysctl.d.
pub fn set_parameters(_: &mut Host) -> Result<(), Failure> {
    sysctl::apply()
}
