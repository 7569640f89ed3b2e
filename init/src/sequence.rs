//! The boot as two lists: what happens, in this order, and nothing else.
//!
//! A row is a phase: its name, its function, and what a failure means. No phase calls another one. A phase keeps its results in the
//! state of its stage, [`Initrd`] or [`Host`], where later phases read them. How rows are run is in [`crate::phase`]; every row is
//! stamped for `hostctl boot` and writes one line to the console.

use crate::{
    host::{self, Host},
    initrd::{self, Initrd},
    phase::{
        OnFailure::{Degrade, Reboot},
        Phase, beside, now, until,
    },
};

/// From the kernel's first process to the root file system.
pub const INITRD: &[Phase<Initrd>] = &[
    now("early-mounts", initrd::mount_early, Reboot),
    now("listen", initrd::open_devices, Reboot),
    beside("root-modules", initrd::load_root_modules),
    beside("guards", initrd::set_guards),
    now("find-slot", initrd::find_slot, Reboot),
    until("root-modules"),
    now("verity-open", initrd::open_verity, Reboot),
    now("mount-root", initrd::mount_root, Reboot),
    // The switch keeps the watchdogs that "guards" has opened, and deletes the files of its modules.
    until("guards"),
    // Does not return: the host's init continues with HOST.
    now("switch-root", initrd::switch_root, Reboot),
];

/// From the root file system to the supervisor, which starts the services.
pub const HOST: &[Phase<Host>] = &[
    now("mounts", host::mount_required, Degrade),
    beside("devices", host::load_device_modules),
    beside("more-mounts", host::mount_offered),
    beside("firmware", host::ask_firmware),
    now("etc", host::mount_etc, Degrade),
    now("var", host::mount_var, Degrade),
    beside("grow-var", host::grow_var),
    now("furnish", host::furnish, Degrade),
    beside("random-seed", host::seed_random),
    beside("crash-records", host::keep_crash_records),
    now("machine-id", host::identify, Degrade),
    now("loopback", host::bring_loopback_up, Degrade),
    now("sysctl", host::set_parameters, Degrade),
    // A configuration disk and fw_cfg are devices with drivers.
    until("devices"),
    // Not awaited: when a service needs one of these modules earlier, the kernel asks for it.
    beside("engine-modules", host::load_recipe_modules),
    now("device-nodes", host::complete_dev, Degrade),
    now("power", host::watch_power, Degrade),
    now("config", host::configure, Degrade),
    now("hostname", host::name_host, Degrade),
    until("firmware"),
    now("boot-record", host::record_boot, Degrade),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase;

    #[test]
    fn both_lists_are_in_order() {
        phase::check(INITRD);
        phase::check(HOST);
    }
}
