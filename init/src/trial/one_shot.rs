//! Another version's turn. When a boot cannot go on and is no trial, no counter falls by it, and the boot loader would take the
//! same entry for ever: it is asked to take the other blessed one at the next boot, by the variable `LoaderEntryOneShot` of the
//! Boot Loader Interface. It does so once; after that the entry that has failed is tried again.

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

/// Asks for another version, if this boot is no trial and there is another. Says what it has done; never fails.
pub fn take_another() {
    match ask_firmware() {
        Ok(Some(entry)) => console::announce(&format!("the boot loader is asked to take {entry} next, once")),
        Ok(None) => console::info(format_args!("the boot loader is left to choose what it takes next")),
        Err(error) => {
            console::warning(format_args!("the boot loader cannot be asked to take another version: {error}"))
        }
    }
}

fn ask_firmware() -> Result<Option<BootEntry>, Failure> {
    let efivars = Path::new(mounts::EFIVARS.target());
    // Booted without EFI: by nobody who could be asked.
    if !efivars.parent().is_some_and(Path::exists) {
        return Ok(None);
    }
    // Built in, or not there at all: the mount will tell.
    if let Err(error) = Loader::of_running_kernel().map_err(Failure::from).and_then(|l| Ok(l.load("efivarfs")?)) {
        console::debug(format_args!("{error}"));
    }
    mounts::open_efivars()?;
    ask(efivars, || entries(efivars))
}

/// The entries of the disk that was booted.
fn entries(efivars: &Path) -> Result<Vec<BootEntry>, Failure> {
    let dev = Path::new("/dev");
    let partition = boot_disk::loader_partition(efivars).ok_or("the boot loader does not say where it lies")?;
    let disks = block::disks(Path::new("/sys"))?;
    let disk = disks.iter().find(|disk| boot_disk::holds(dev, disk, partition));
    let disk =
        disk.ok_or_else(|| format!("the boot loader's disk is not there; there are {}", block::describe(&disks)))?;
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
    // One write(2): efivarfs makes a variable of each.
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).at("create", &path)?;
    file.write_all(&content(&other)).at("write", &path)?;
    Ok(Some(other))
}

/// The newest blessed version beside the selected entry, of the same image. The boot loader writes `selected` in small letters.
fn other(selected: &str, entries: Vec<BootEntry>) -> Option<BootEntry> {
    let id = selected.parse::<BootEntry>().ok()?.id;
    let is_other = |entry: &BootEntry| {
        entry.id == id && entry.counter.is_none() && !entry.to_string().eq_ignore_ascii_case(selected)
    };
    entries.into_iter().filter(is_other).max_by(|one, two| one.version.cmp(&two.version))
}

/// As efivarfs takes a variable: attributes, then the file's name in UTF-16 with a NUL.
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
    fn the_newest_other_blessed_version_of_the_same_image_is_taken() {
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
    fn the_variable_is_what_the_interface_says() {
        let bytes = content(&"a_1.efi".parse().unwrap());
        assert_eq!(bytes, b"\x07\0\0\0a\0_\x001\0.\0e\0f\0i\0\0\0");
    }

    #[test]
    fn it_is_asked_for_when_this_boot_is_no_trial() {
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
        assert_eq!(ask(), None, "no boot loader of this kind");
        set("LoaderEntrySelected", "a_2.efi");
        set("LoaderBootCountPath", "\\EFI\\Linux\\a_2+2-1.efi");
        assert_eq!(ask(), None, "its counter falls");
        assert!(!variable("LoaderEntryOneShot").exists());
        fs::remove_file(variable("LoaderBootCountPath")).unwrap();
        assert_eq!(ask().as_deref(), Some("a_1.efi"));
        assert_eq!(fs::read(variable("LoaderEntryOneShot")).unwrap(), content(&"a_1.efi".parse().unwrap()));
    }
}
