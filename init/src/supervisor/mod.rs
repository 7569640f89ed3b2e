//! What PID 1 does after the boot's phases: keeps services, answers the control protocol, and goes down in order.
//!
//! One thread, one epoll. Nothing here waits: not for a service, not for a client, not for a disk that is not there.

use crate::{
    config,
    power::{PowerButton, Watchdog},
    sys::signal::SignalFd,
    timeline::Timeline,
};
use berth_contract::{boot_report::InitrdReport, image_spec::ImageSpec};

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
    /// The machine configuration, applied already ([`config::apply`]).
    pub config: config::Outcome,
    /// 32 hex digits.
    pub machine_id: String,
    /// Whether /var is on the disk.
    pub var_persistent: bool,
    /// [`SIGNALS`], blocked.
    pub signals: SignalFd,
    /// Open power buttons.
    pub buttons: Vec<PowerButton>,
    /// To be fed, where there is one.
    pub watchdog: Option<Watchdog>,
}

/// How the host ends. The services have been stopped; the caller ends what is left and unmounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Start again.
    Reboot,
    /// Power off.
    Poweroff,
}

/// Runs services until the host shall end.
pub fn run(handover: Handover) -> Outcome {
    drop(handover);
    Outcome::Reboot
}
