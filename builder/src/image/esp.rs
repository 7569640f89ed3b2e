//! The EFI system partition's files: systemd-boot, its configuration, and the unified kernel image.

use berth_contract::{entry::BootEntry, paths::ESP_LINUX};
use berth_formats::data::Data;
use std::collections::BTreeMap;

/// Where firmware looks for a boot loader on a disk that it has no entry for (UEFI 2.10, 3.5.1.1).
const REMOVABLE: &str = "EFI/BOOT/BOOTX64.EFI";
/// Where systemd-boot looks for itself when it is updated.
const OWN: &str = "EFI/systemd/systemd-bootx64.efi";
/// No menu unless a key is held, no command line editing: whoever has the console still does not have the machine.
const LOADER_CONF: &str = "timeout 0\neditor no\nauto-firmware no\n";

/// Files of the ESP by path.
#[must_use]
pub fn files(systemd_boot: &Data, entry: &BootEntry, uki: Data) -> BTreeMap<String, Data> {
    BTreeMap::from([
        (REMOVABLE.to_owned(), systemd_boot.clone()),
        (OWN.to_owned(), systemd_boot.clone()),
        ("loader/loader.conf".to_owned(), LOADER_CONF.to_owned().into()),
        (format!("{ESP_LINUX}/{entry}"), uki),
    ])
}
