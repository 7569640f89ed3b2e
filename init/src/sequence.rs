//! The boot, as two lists of phases. A list is run from top to bottom.
//!
//! [`INITRD`] runs in the initrd: it finds the root file system and switches to it. [`HOST`] runs in the root file system: it prepares
//! the host. After [`HOST`], the supervisor starts the services.
//!
//! Each row is one phase:
//! - [`now`]: run the function and wait for it. Its last argument says what a failure does: `Reboot` the machine, or `Degrade` the
//!   host (continue the boot, and report the error in `hostctl status`).
//! - [`beside`]: start the function in a thread, and continue with the next row. A failure degrades the host.
//! - [`until`]: wait for the thread of an earlier row.
//!
//! No phase calls another phase. A phase stores its results in the state of its stage, [`Initrd`] or [`Host`], where later phases read
//! them. [`crate::phase`] runs the lists. It measures each phase for `hostctl boot` and prints one console line per phase.

use crate::{
    host::{self, Host},
    initrd::{self, Initrd},
    phase::{
        OnFailure::{Degrade, Reboot},
        Phase, beside, now, until,
    },
};

/// The initrd stage: from the first process of the kernel to the root file system.
pub const INITRD: &[Phase<Initrd>] = &[
    now("early-mounts", initrd::mount_early, Reboot),
    // Listen for device events before the first driver is loaded, so that no device is missed.
    now("listen", initrd::open_devices, Reboot),
    // Load dm-verity and EROFS while the disks are searched.
    beside("root-modules", initrd::load_root_modules),
    // Start watchdogs and load drivers for crash records, in case the kernel hangs or panics.
    beside("guards", initrd::set_guards),
    // Slow, so it runs while the disks are searched.
    beside("firmware", initrd::ask_firmware),
    now("find-slot", initrd::find_slot, Reboot),
    until("firmware"),
    // From the next phase on, a damaged block panics the kernel. Before that, ask the boot loader for the other version.
    now("fallback", initrd::arm_fallback, Degrade),
    until("root-modules"),
    // A panic leaves its last messages only if the driver for crash records is loaded. The switch also needs all modules of "guards", because
    // it deletes the initrd's files. The opened watchdogs stay open.
    until("guards"),
    now("verity-open", initrd::open_verity, Reboot),
    now("mount-root", initrd::mount_root, Reboot),
    // Does not return: it executes the init of the root file system, which runs HOST.
    now("switch-root", initrd::switch_root, Reboot),
];

/// The host stage: from the root file system to the supervisor.
pub const HOST: &[Phase<Host>] = &[
    // First, because all later phases write files, and some compare dates.
    now("clock", host::correct_clock, Degrade),
    now("mounts", host::mount_required, Degrade),
    // These three are slow, and the next phases do not need them.
    beside("devices", host::load_device_modules),
    beside("more-mounts", host::mount_offered),
    beside("firmware", host::ask_firmware),
    now("etc", host::mount_etc, Degrade),
    now("var", host::mount_var, Degrade),
    // Slow on a large disk. The file system can be used while it grows.
    beside("grow-var", host::grow_var),
    // Makes the directories in /var, /run and /tmp that the phases below write to.
    now("furnish", host::furnish, Degrade),
    beside("random-seed", host::seed_random),
    beside("crash-records", host::keep_crash_records),
    now("machine-id", host::identify, Degrade),
    now("loopback", host::bring_loopback_up, Degrade),
    now("sysctl", host::set_parameters, Degrade),
    // The next phases use devices: partitions, power buttons, and the disk or fw_cfg device that holds host.toml.
    until("devices"),
    // No row waits for this thread: when a service needs one of these modules earlier, the kernel requests the module.
    beside("engine-modules", host::load_recipe_modules),
    now("device-nodes", host::complete_dev, Degrade),
    now("power", host::watch_power, Degrade),
    now("config", host::configure, Degrade),
    beside("host-modules", host::load_configured_modules),
    // host.toml may set the host name.
    now("hostname", host::name_host, Degrade),
    // "firmware" reads the boot counter, which is part of the boot record.
    until("firmware"),
    now("boot-record", host::record_boot, Degrade),
    // Services use these file systems: AppArmor's profiles are loaded into securityfs.
    until("more-mounts"),
    now("trim", host::schedule_trim, Degrade),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase;

    #[test]
    fn phase_names_are_unique_and_no_phase_is_awaited_before_its_start() {
        phase::check(INITRD);
        phase::check(HOST);
    }
}
