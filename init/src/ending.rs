//! What follows a shutdown, and whether one has begun.

use std::sync::atomic::AtomicBool;

/// Set when the shutdown begins. Threads that keep /var busy end then.
pub static GOING_DOWN: AtomicBool = AtomicBool::new(false);

/// What the host does after its shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Restart the machine: firmware, boot loader, kernel.
    Reboot,
    /// Power the machine off.
    Poweroff,
}
