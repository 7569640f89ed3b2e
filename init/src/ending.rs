//! What follows a shutdown.

/// What the host does after its shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Restart the machine: firmware, boot loader, kernel.
    Reboot,
    /// Power the machine off.
    Poweroff,
}
