//! What PID 1 does after the boot's phases: keeps services, answers the control protocol, and goes down in order.
//!
//! One thread, one epoll. Nothing here waits: not for a service, not for a client, not for a device that is not there.
//! [`states`] decides, without clock or system call; [`fleet`] does what it says; [`running_host`] knows how the host is;
//! [`event_loop`] turns.

mod cgroup;
mod event_loop;
mod exit;
mod facts;
mod fleet;
mod judge;
mod notify;
mod output;
mod process;
mod programs;
mod running_host;
mod sockets;
mod states;
mod unit;

use crate::{
    config, console, control,
    ending::Ending,
    power::{PowerButton, Watchdogs},
    sys::signal::SignalFd,
    timeline::Timeline,
    trial::{Boot, one_shot},
};
use berth_contract::{boot_report::InitrdReport, image_spec::ImageSpec, paths};
use event_loop::EventLoop;
use std::path::PathBuf;

/// Signals that [`run`] reads. Block them ([`SignalFd::block`]) before the first thread is started, so that none of them
/// is delivered elsewhere.
pub const SIGNALS: [i32; 4] = [libc::SIGCHLD, libc::SIGINT, libc::SIGTERM, libc::SIGPWR];

/// What the boot's phases hand over.
#[derive(Debug)]
pub struct Handover {
    /// The image that runs.
    pub image: ImageSpec,
    /// What the initrd stage found.
    pub initrd: InitrdReport,
    /// The boot's stamps; services add theirs. Failed phases in it are the host's problems.
    pub timeline: Timeline,
    /// The host's configuration, applied already ([`config::apply`]).
    pub config: config::CurrentConfig,
    /// 32 hex digits.
    pub machine_id: String,
    /// Whether /var is on the disk.
    pub var_persistent: bool,
    /// [`SIGNALS`], blocked.
    pub signals: SignalFd,
    /// Open power buttons.
    pub buttons: Vec<PowerButton>,
    /// To be fed; when the services have been stopped, disarmed before a power-off, and left running before a reboot.
    pub watchdogs: Watchdogs,
    /// This boot, as it is judged.
    pub boot: Boot,
}

/// Files and sockets of the supervisor. Tests put them into a folder of their own.
#[derive(Clone, Debug)]
pub struct SupervisorPaths {
    /// Directory of service files.
    pub services: PathBuf,
    /// Where cgroup2 is mounted; without it a service is its process group.
    pub cgroup: Option<PathBuf>,
    /// The socket of sd_notify(3).
    pub notify: PathBuf,
    /// Sockets and ports of the control protocol.
    pub control: control::server::ControlPaths,
    /// What the workload program reports.
    pub containers_status: PathBuf,
    /// What netd reports.
    pub network_status: PathBuf,
    /// The persistent file system.
    pub var: PathBuf,
    /// The host's command: it judges, and does what clients want run.
    pub hostctl: PathBuf,
}

impl Default for SupervisorPaths {
    fn default() -> Self {
        Self {
            services: paths::SERVICES.into(),
            cgroup: Some("/sys/fs/cgroup".into()),
            notify: format!("{}/notify", paths::RUN).into(),
            control: control::server::ControlPaths::default(),
            containers_status: paths::CONTAINERS_STATUS.into(),
            network_status: paths::NETWORK_STATUS.into(),
            var: paths::VAR.into(),
            hostctl: paths::HOSTCTL.into(),
        }
    }
}

/// Runs services until the host shall end, and stops them. The caller ends the other processes and unmounts. All processes whose parent has gone are waited for here, so no other thread may wait
/// for a child meanwhile.
pub fn run(handover: Handover) -> Ending {
    run_in(handover, SupervisorPaths::default())
}

/// The same, elsewhere.
pub fn run_in(handover: Handover, paths: SupervisorPaths) -> Ending {
    match EventLoop::new(handover, paths) {
        Ok(event_loop) => event_loop.run(),
        Err(error) => {
            console::error(format_args!("no service can be started: {error}"));
            one_shot::take_another();
            Ending::Reboot
        }
    }
}
