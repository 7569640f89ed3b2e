//! How the host ends.

/// Reboot or power off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Start again: firmware, boot loader, kernel.
    Reboot,
    /// Power off.
    Poweroff,
}
