//! PID 1 after the phases of the boot: runs services, answers the control protocol, and stops the services at the end.
//!
//! The supervisor is one thread with one epoll, and it never blocks: not for a service, a client, or a missing device. [`states`] decides
//! what to do with services, without clock or system calls. [`fleet`] does it. [`running_host`] knows the state of the host.
//! [`event_loop`] waits for events and calls the others.

mod cgroup;
mod confinement;
mod declared;
mod event_loop;
mod exit;
mod facts;
mod fleet;
mod helper;
mod hostctl_error;
mod judge;
pub mod notify;
mod output;
mod process;
mod programs;
mod reconfigure;
mod running_host;
mod settings;
mod sockets;
mod states;
mod unit;

use crate::{
    config, console, control,
    ending::Ending,
    power::{PowerButton, Watchdogs},
    services::accounts,
    sys::signal::SignalFd,
    timeline::Timeline,
    trial::{Boot, one_shot},
};
use berth_contract::{boot_report::InitrdReport, fault::Failure, image_spec::ImageSpec, paths};
use event_loop::EventLoop;
use std::path::PathBuf;

/// Signals that [`run`] reads. Block them ([`SignalFd::block`]) before the first thread is started, so that no thread receives one.
pub const SIGNALS: [i32; 4] = [libc::SIGCHLD, libc::SIGINT, libc::SIGTERM, libc::SIGPWR];

/// The results of the boot's phases.
#[derive(Debug)]
pub struct Handover {
    /// The image that runs.
    pub image: ImageSpec,
    /// The report of the initrd stage.
    pub initrd: InitrdReport,
    /// The timeline; services are added to it. Its failed phases are problems of the host.
    pub timeline: Timeline,
    /// The host's configuration, applied already ([`config::apply`]).
    pub config: config::CurrentConfig,
    /// Whether `hostctl config fetch` is started, for the address in the kernel's command line.
    pub is_config_fetched: bool,
    /// The machine id: 32 hex digits.
    pub machine_id: String,
    /// Whether /var is on the disk.
    pub var_persistent: bool,
    /// [`SIGNALS`], blocked.
    pub signals: SignalFd,
    /// Open power buttons.
    pub buttons: Vec<PowerButton>,
    /// Open watchdogs. After the services have stopped they are disarmed before a power-off, and left running before a reboot.
    pub watchdogs: Watchdogs,
    /// The record of this boot.
    pub boot: Boot,
}

/// Files and sockets of the supervisor. Tests put them into a separate folder.
#[derive(Clone, Debug)]
pub struct SupervisorPaths {
    /// Directory of service files.
    pub services: PathBuf,
    /// Mount point of cgroup2. Without it a service is a process group.
    pub cgroup: Option<PathBuf>,
    /// The socket of sd_notify(3).
    pub notify: PathBuf,
    /// Sockets and ports of the control protocol.
    pub control: control::server::ControlPaths,
    /// Folder of the files with the part of host.toml that each service reads.
    pub service_config: PathBuf,
    /// The configuration that a change takes.
    pub next_config: PathBuf,
    /// Writes the files that are made from a configuration ([`config::apply`]).
    pub apply: fn(&config::CurrentConfig, &ImageSpec) -> Result<(), Failure>,
    /// Report of the workload program.
    pub containers_status: PathBuf,
    /// Report of netd.
    pub network_status: PathBuf,
    /// Report about the clock.
    pub time_status: PathBuf,
    /// The persistent file system.
    pub var: PathBuf,
    /// The program hostctl: it judges the boot, and clients can run it.
    pub hostctl: PathBuf,
}

impl Default for SupervisorPaths {
    fn default() -> Self {
        Self {
            services: paths::SERVICES.into(),
            cgroup: Some("/sys/fs/cgroup".into()),
            notify: format!("{}/notify", paths::RUN).into(),
            control: control::server::ControlPaths::default(),
            service_config: paths::SERVICE_CONFIG.into(),
            next_config: paths::NEXT_CONFIG.into(),
            apply: |current, image| config::apply(current, image, config::When::Running),
            containers_status: paths::CONTAINERS_STATUS.into(),
            network_status: paths::NETWORK_STATUS.into(),
            time_status: paths::TIME_STATUS.into(),
            var: paths::VAR.into(),
            hostctl: paths::HOSTCTL.into(),
        }
    }
}

/// Runs services until the host must shut down, and stops them. The caller then ends the other processes and unmounts. This function
/// reaps orphaned processes, so no other thread may wait for a child meanwhile.
pub fn run(handover: Handover) -> Ending {
    let mut all = SupervisorPaths::default();
    all.control.group = accounts::group(paths::CONTROL_GROUP);
    run_in(handover, all)
}

/// Like [`run`], with other paths.
pub fn run_in(handover: Handover, paths: SupervisorPaths) -> Ending {
    match EventLoop::new(handover, paths) {
        Ok(event_loop) => event_loop.run(),
        Err(error) => {
            console::error(format_args!("cannot start the supervisor: {error}"));
            one_shot::take_another();
            Ending::Reboot
        }
    }
}
