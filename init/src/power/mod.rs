//! The power button, Ctrl-Alt-Del, and watchdogs.

pub mod button;
pub mod watchdog;

pub use button::PowerButton;
pub use watchdog::Watchdogs;

/// Makes the kernel send SIGINT to PID 1 on Ctrl-Alt-Del, instead of an immediate reset.
///
/// # Errors
/// The error of reboot(2).
pub fn catch_ctrl_alt_del() -> std::io::Result<()> {
    Ok(rustix::system::reboot(rustix::system::RebootCommand::CadOff)?)
}
