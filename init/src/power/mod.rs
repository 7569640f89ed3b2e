//! What ends the machine from outside: the power button, Ctrl-Alt-Del, watchdogs.

pub mod button;
pub mod watchdog;

pub use button::PowerButton;
pub use watchdog::Watchdogs;

/// Makes Ctrl-Alt-Del a SIGINT to PID 1 instead of an immediate reset.
///
/// # Errors
/// What reboot(2) says.
pub fn catch_ctrl_alt_del() -> std::io::Result<()> {
    Ok(rustix::system::reboot(rustix::system::RebootCommand::CadOff)?)
}
