//! The EFI system partition's files: systemd-boot, its configuration, and the unified kernel image.

use berth_contract::{arch::Arch, entry::BootEntry, paths::ESP_LINUX};
use berth_formats::data::Data;
use std::collections::BTreeMap;

/// Shows the menu only while a key is held, and disables editing of the command line: a person at the console must not be able to
/// take control of the host.
const LOADER_CONF: &str = "timeout 0\neditor no\nauto-firmware no\n";

/// The files of the ESP, by path.
#[must_use]
pub fn files(arch: Arch, systemd_boot: &Data, entry: &BootEntry, uki: Data) -> BTreeMap<String, Data> {
    // Firmware looks for a boot loader at this path if it has no boot entry for the disk (UEFI 2.10, 3.5.1.1).
    let removable = format!("EFI/BOOT/BOOT{}.EFI", arch.efi.to_uppercase());
    // An update of systemd-boot expects the installed boot loader at this path.
    let own = format!("EFI/systemd/systemd-boot{}.efi", arch.efi);
    BTreeMap::from([
        (removable, systemd_boot.clone()),
        (own, systemd_boot.clone()),
        ("loader/loader.conf".to_owned(), LOADER_CONF.to_owned().into()),
        (format!("{ESP_LINUX}/{entry}"), uki),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::arch::ArchRow;

    #[test]
    fn file_names_of_the_boot_loader_depend_on_the_architecture() {
        static OTHER: ArchRow = ArchRow { efi: "aa64", ..*Arch::DEFAULT.row() };
        let entry: BootEntry = "host_1.efi".parse().unwrap();
        let names = |arch| files(arch, &Data::empty(), &entry, Data::empty()).into_keys().collect::<Vec<_>>();
        let rest = [&format!("{ESP_LINUX}/host_1.efi")[..], "loader/loader.conf"];
        let wanted = |boot: &[&'static str]| [&boot[..1], &rest[..1], &boot[1..], &rest[1..]].concat();
        assert_eq!(names(Arch::DEFAULT), wanted(&["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"]));
        assert_eq!(names(Arch::of(&OTHER)), wanted(&["EFI/BOOT/BOOTAA64.EFI", "EFI/systemd/systemd-bootaa64.efi"]));
    }
}
