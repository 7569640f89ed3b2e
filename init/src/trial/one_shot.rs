//! Boots another version once after a boot that failed.
//!
//! If the version is not on trial, a failed boot uses no try, and the boot loader would take the same entry for ever. So init sets the
//! EFI variable `LoaderEntryOneShot` of the Boot Loader Interface: at the next boot, the boot loader takes the other blessed entry. It
//! does so once. After that it takes the failed entry again.

use super::{counter, esp};
use crate::{block, console, modules::Loader, mounts, slot::boot_disk};
use berth_contract::{
    entry::BootEntry,
    fault::{At, Failure},
    paths,
};
use std::{fs::OpenOptions, io::Write, path::Path};

/// `EFI_VARIABLE_NON_VOLATILE`, `_BOOTSERVICE_ACCESS` and `_RUNTIME_ACCESS`, UEFI 2.10, 8.2.
const ATTRIBUTES: u32 = 7;

/// Requests another version for the next boot, if this version is not on trial and there is another version. Prints the result. Never
/// fails.
pub fn take_another() {
    match ask_firmware() {
        Ok(Some(entry)) => console::announce(&format!("the boot loader is asked to take {entry} next, once")),
        Ok(None) => console::info(format_args!("the boot loader chooses the next entry itself")),
        Err(error) => console::warning(format_args!("cannot ask the boot loader to take another version: {error}")),
    }
}

fn ask_firmware() -> Result<Option<BootEntry>, Failure> {
    let efivars = Path::new(mounts::EFIVARS.target());
    // Booted without EFI, so there is no such boot loader.
    if !efivars.parent().is_some_and(Path::exists) {
        return Ok(None);
    }
    // The driver may be built in. If it is missing, the mount fails.
    if let Err(error) = Loader::of_running_kernel().map_err(Failure::from).and_then(|l| Ok(l.load("efivarfs")?)) {
        console::debug(format_args!("{error}"));
    }
    mounts::open_efivars()?;
    ask(efivars, || entries(efivars))
}

/// The entries on the ESP of the disk that was booted.
fn entries(efivars: &Path) -> Result<Vec<BootEntry>, Failure> {
    let dev = Path::new("/dev");
    let partition = boot_disk::loader_partition(efivars)
        .ok_or("the boot loader has not stored its partition in an EFI variable")?;
    let disks = block::disks(Path::new("/sys"))?;
    let disk = disks.iter().find(|disk| boot_disk::holds(dev, disk, partition));
    let disk = disk
        .ok_or_else(|| format!("the disk of the boot loader: not found; block devices: {}", block::describe(&disks)))?;
    Ok(esp::entries(&esp::device(dev, disk)?)?)
}

fn ask(
    efivars: &Path,
    entries: impl FnOnce() -> Result<Vec<BootEntry>, Failure>,
) -> Result<Option<BootEntry>, Failure> {
    let variable = |path: &str| efivars.join(Path::new(path).file_name().unwrap_or_default());
    if counter::read(&variable(paths::LOADER_BOOT_COUNT_PATH))?.is_some() {
        return Ok(None);
    }
    let Some(selected) = counter::read_text(&variable(paths::LOADER_ENTRY_SELECTED))? else { return Ok(None) };
    let Some(other) = other(&selected, entries()?) else { return Ok(None) };
    let path = variable(paths::LOADER_ENTRY_ONE_SHOT);
    // Use a single write(2): efivarfs takes each write as the whole variable.
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).at("create", &path)?;
    file.write_all(&content(&other)).at("write", &path)?;
    Ok(Some(other))
}

/// The newest blessed entry of the same image, except the selected entry. The boot loader writes `selected` in lower case.
fn other(selected: &str, entries: Vec<BootEntry>) -> Option<BootEntry> {
    let id = selected.parse::<BootEntry>().ok()?.id;
    let is_other = |entry: &BootEntry| {
        entry.id == id && entry.counter.is_none() && !entry.to_string().eq_ignore_ascii_case(selected)
    };
    entries.into_iter().filter(is_other).max_by(|one, two| one.version.cmp(&two.version))
}

/// The content of the variable in efivarfs: attributes, then the file name of the entry in UTF-16 with a final NUL.
fn content(entry: &BootEntry) -> Vec<u8> {
    let name = entry.to_string();
    let units = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
    ATTRIBUTES.to_le_bytes().into_iter().chain(units).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const GUID: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

    #[test]
    fn the_newest_other_blessed_version_of_the_same_image_is_requested() {
        let other = |selected: &str, names: &[&str]| {
            other(selected, names.iter().map(|name| name.parse().unwrap()).collect()).map(|entry| entry.to_string())
        };
        for (selected, names, expected) in [
            ("a_2.efi", &["a_1.efi", "a_2.efi"][..], Some("a_1.efi")),
            ("a_1.efi", &["a_1.efi", "a_2.efi"], Some("a_2.efi")),
            ("a_11.efi", &["a_9.efi", "a_10.efi", "a_11.efi", "a_8.efi"], Some("a_10.efi")),
            ("a_2-rc1.efi", &["a_2-RC1.efi"], None),
            ("a_2.efi", &["a_2.efi", "a_1+3.efi", "a_3+0-3.efi", "a_4+0.efi", "b_1.efi"], None),
            ("memtest.efi", &["a_1.efi"], None),
            ("a_2.efi", &[], None),
        ] {
            assert_eq!(other(selected, names).as_deref(), expected, "{selected} of {names:?}");
        }
    }

    #[test]
    fn the_variable_has_the_format_of_the_boot_loader_interface() {
        let bytes = content(&"a_1.efi".parse().unwrap());
        assert_eq!(bytes, b"\x07\0\0\0a\0_\x001\0.\0e\0f\0i\0\0\0");
    }

    #[test]
    fn another_version_is_requested_only_when_this_version_is_not_on_trial() {
        berth_judge::needs!("mkfs.fat", "mmd", "mcopy");
        let dir = tempfile::tempdir().unwrap();
        let efivars = dir.path();
        let esp = efivars.join("esp");
        super::esp::tests::esp(&esp, &["a_1.efi", "a_2.efi"]);
        let ask = || ask(efivars, || Ok(super::esp::entries(&esp)?)).unwrap().map(|entry| entry.to_string());
        let variable = |name: &str| efivars.join(format!("{name}-{GUID}"));
        let set = |name: &str, text: &str| {
            let units = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
            fs::write(variable(name), [6, 0, 0, 0].into_iter().chain(units).collect::<Vec<u8>>()).unwrap();
        };
        assert_eq!(ask(), None, "no variable of the boot loader");
        set("LoaderEntrySelected", "a_2.efi");
        set("LoaderBootCountPath", "\\EFI\\Linux\\a_2+2-1.efi");
        assert_eq!(ask(), None, "on trial: the boot uses a try");
        assert!(!variable("LoaderEntryOneShot").exists());
        fs::remove_file(variable("LoaderBootCountPath")).unwrap();
        assert_eq!(ask().as_deref(), Some("a_1.efi"));
        assert_eq!(fs::read(variable("LoaderEntryOneShot")).unwrap(), content(&"a_1.efi".parse().unwrap()));
    }
}
