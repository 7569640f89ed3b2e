//! Boot options: the variables `BootCurrent`, `BootOrder` and `Boot####` (UEFI 2.10, chapter 3.1).
//!
//! Firmware starts the options in `BootOrder` until one does not return. systemd-boot returns if its entry cannot be started (a damaged
//! kernel image, or one that Secure Boot refuses). Without another option the boot would end in the firmware's menu. So the last options
//! start the other version's kernel image or the running version's, without systemd-boot ([`set_fallbacks`]).

use super::{
    device_path::{self, DevicePath},
    variable::{self, utf16},
};
use berth_contract::fault::PathError;
use berth_formats::gpt::Partition;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// GUID of the variables that the UEFI specification defines.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Attributes and length of the device paths, at the start of an `EFI_LOAD_OPTION`.
const HEAD: usize = 6;
/// `LOAD_OPTION_ACTIVE`
const ACTIVE: u32 = 1;
/// Descriptions of our options, in their order. They identify the options. An upgrade removes the file of the other version; then the
/// version that was running is left.
const DESCRIPTIONS: [&str; 2] = ["Berth: the other version", "Berth: this version"];

/// The hardware path of the boot option that the firmware has started; `None` if the firmware does not tell.
#[must_use]
pub fn booted(efivars: &Path) -> Option<DevicePath> {
    DevicePath::parse(parts(&current(efivars)?)?.1)
}

/// The name of the kernel image that the firmware has started by one of our own boot options. `None` if it has started systemd-boot.
#[must_use]
pub fn booted_fallback(efivars: &Path) -> Option<String> {
    let option = current(efivars)?;
    let (description, path) = parts(&option)?;
    if !DESCRIPTIONS.iter().any(|ours| description == utf16(ours)) {
        return None;
    }
    device_path::file(path)?.rsplit('\\').next().map(str::to_owned)
}

/// The `EFI_LOAD_OPTION` that the firmware has started.
fn current(efivars: &Path) -> Option<Vec<u8>> {
    variable::read(&numbered(efivars, current_number(efivars)?)).ok()?
}

fn current_number(efivars: &Path) -> Option<u16> {
    let current = variable::read(&named(efivars, "BootCurrent")).ok()??;
    Some(u16::from_le_bytes(*current.first_chunk()?))
}

/// Makes the firmware start `files` on the partition `esp` (the other version, then this one), if no option before them can be started.
/// `None` removes the option. All are removed if the firmware has not started systemd-boot by its order: then ours could come before it.
///
/// # Errors
/// When a variable cannot be read or written.
pub fn set_fallbacks(efivars: &Path, esp: &Partition, files: [Option<String>; 2]) -> Result<(), PathError> {
    let order_path = named(efivars, "BootOrder");
    let before = variable::read(&order_path)?.unwrap_or_default();
    let before: Vec<u16> = before.as_chunks().0.iter().map(|number| u16::from_le_bytes(*number)).collect();
    let ours = DESCRIPTIONS.map(|description| number_of(efivars, description));
    let mut order = before.clone();
    order.retain(|number| !ours.contains(&Some(*number)));
    let has_started = current_number(efivars).is_some_and(|current| order.contains(&current));
    let mut gone = Vec::new();
    for ((description, file), ours) in DESCRIPTIONS.into_iter().zip(files).zip(ours) {
        let Some(file) = file.filter(|_| has_started) else {
            gone.extend(ours);
            continue;
        };
        let free = || (0..u16::MAX).find(|number| !numbered(efivars, *number).exists());
        let Some(number) = ours.or_else(free) else { continue };
        variable::write(&numbered(efivars, number), &option(efivars, esp, description, &file))?;
        order.push(number);
    }
    if order != before {
        let bytes: Vec<u8> = order.into_iter().flat_map(u16::to_le_bytes).collect();
        variable::write(&order_path, &bytes)?;
    }
    gone.into_iter().try_for_each(|number| variable::remove(&numbered(efivars, number)))
}

fn option(efivars: &Path, esp: &Partition, description: &str, file: &str) -> Vec<u8> {
    // With the hardware path of the booted disk, a copy of the disk is not started instead.
    let hardware = current(efivars).and_then(|option| Some(device_path::hardware(parts(&option)?.1).to_vec()));
    let path = device_path::of_file(&hardware.unwrap_or_default(), esp, &format!("\\{}", file.replace('/', "\\")));
    let length = u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&ACTIVE.to_le_bytes()[..], &length, &utf16(description), &path].concat()
}

/// The number of the option with this description.
fn number_of(efivars: &Path, description: &str) -> Option<u16> {
    let is_it = |path: &Path| {
        let option = variable::read(path).ok()??;
        Some(parts(&option)?.0 == utf16(description))
    };
    fs::read_dir(efivars).into_iter().flatten().flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let number =
            u16::from_str_radix(name.strip_prefix("Boot")?.strip_suffix(GLOBAL)?.strip_suffix('-')?, 16).ok()?;
        is_it(&entry.path())?.then_some(number)
    })
}

/// Description and first device path of an `EFI_LOAD_OPTION`.
fn parts(option: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_le_bytes([*option.get(4)?, *option.get(5)?]));
    let rest = option.get(HEAD..)?;
    let end = (rest.as_chunks::<2>().0.iter().position(|unit| *unit == [0, 0])? + 1) * 2;
    Some((&rest[..end], rest.get(end..)?.get(..length)?))
}

fn named(efivars: &Path, name: &str) -> PathBuf {
    efivars.join(format!("{name}-{GLOBAL}"))
}

fn numbered(efivars: &Path, number: u16) -> PathBuf {
    named(efivars, &format!("Boot{number:04X}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{super::device_path::fixture::path, *};

    /// A partition for tests.
    pub(crate) fn esp() -> Partition {
        let guid = *b"\xc1\x2a\x73\x28\xf8\x1f\x11\xd2\xba\x4b\0\xa0\xc9\x3e\xc9\x3b";
        let (type_guid, label) = ([0; 16], "esp".to_owned());
        Partition { number: 1, type_guid, guid, start: 1 << 20, size: 64 << 20, attributes: 0, label }
    }

    /// Variables of a firmware that has started option 0x1a, with this device path.
    fn efivars(path: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let length = u16::try_from(path.len()).unwrap().to_le_bytes();
        let option = [&[1, 0, 0, 0][..], &length, &utf16("UEFI disk"), path, b"data"].concat();
        variable::write(&numbered(dir.path(), 0x1a), &option).unwrap();
        variable::write(&named(dir.path(), "BootCurrent"), &[0x1a, 0]).unwrap();
        variable::write(&named(dir.path(), "BootOrder"), &[0x1a, 0, 2, 0]).unwrap();
        dir
    }

    /// The value of `BootOrder`; empty if it does not exist.
    pub(crate) fn order(efivars: &Path) -> Vec<u8> {
        variable::read(&named(efivars, "BootOrder")).unwrap().unwrap_or_default()
    }

    #[test]
    fn the_path_of_the_started_option_is_found() {
        let wanted = path(3, &[]);
        let dir = efivars(&wanted);
        assert_eq!(booted(dir.path()), DevicePath::parse(&wanted));
        assert!(booted(dir.path()).is_some() && booted_fallback(dir.path()).is_none());
        let option = variable::read(&numbered(dir.path(), 0x1a)).unwrap().unwrap();
        for end in 0..option.len() - 4 {
            assert_eq!(parts(&option[..end]), None, "{end}");
        }
        fs::remove_file(numbered(dir.path(), 0x1a)).unwrap();
        assert_eq!(booted(dir.path()), None);
        assert_eq!(booted(Path::new("/nowhere")), None);
    }

    /// Variables of a firmware that has started our option 5.
    pub(crate) fn started_by_ours(efivars: &Path) {
        let option = option(efivars, &esp(), DESCRIPTIONS[0], "EFI/Linux/a_1.efi");
        variable::write(&numbered(efivars, 5), &option).unwrap();
        variable::write(&named(efivars, "BootCurrent"), &[5, 0]).unwrap();
        assert_eq!(booted_fallback(efivars).as_deref(), Some("a_1.efi"));
    }

    #[test]
    fn the_options_for_both_versions_are_added_last_changed_and_removed() {
        let dir = efivars(&path(3, &[]));
        let file = |version: &str| Some(format!("EFI/Linux/a_{version}.efi"));
        let set = |other, this| set_fallbacks(dir.path(), &esp(), [other, this]).unwrap();
        set(None, None);
        assert_eq!(order(dir.path()), [0x1a, 0, 2, 0]);
        set(file("1"), file("2"));
        assert_eq!(order(dir.path()), [0x1a, 0, 2, 0, 0, 0, 1, 0]);
        let option = variable::read(&numbered(dir.path(), 0)).unwrap().unwrap();
        let (description, path_found) = parts(&option).unwrap();
        assert_eq!((description, &option[..4]), (&utf16(DESCRIPTIONS[0])[..], &[1, 0, 0, 0][..]));
        // The hardware of the booted option, the partition, the file, the end.
        let hardware = path(3, &[]);
        let (start, rest) = path_found.split_at(hardware.len() - 4);
        assert_eq!(start, &hardware[..hardware.len() - 4]);
        assert_eq!(rest[..8], [4, 1, 42, 0, 1, 0, 0, 0]);
        assert_eq!(rest[8..24], [[0, 8, 0, 0, 0, 0, 0, 0], [0, 0, 2, 0, 0, 0, 0, 0]].concat());
        assert_eq!(rest[24..42], *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\0\xa0\xc9\x3e\xc9\x3b\x02\x02");
        assert_eq!(device_path::file(path_found).as_deref(), Some("\\EFI\\Linux\\a_1.efi"));
        assert_eq!(rest[rest.len() - 4..], [0x7f, 0xff, 4, 0]);
        // Other versions. The firmware or a user has put our options first: they go to the end.
        variable::write(&named(dir.path(), "BootOrder"), &[1, 0, 0, 0, 0x1a, 0, 2, 0]).unwrap();
        set(file("2"), file("3"));
        assert_eq!(order(dir.path()), [0x1a, 0, 2, 0, 0, 0, 1, 0]);
        let current = |number: u8| variable::write(&named(dir.path(), "BootCurrent"), &[number, 0]).unwrap();
        for (number, started) in [(0, Some("a_2.efi")), (1, Some("a_3.efi")), (0x1a, None)] {
            current(number);
            assert_eq!(booted_fallback(dir.path()).as_deref(), started);
            assert_eq!(booted(dir.path()), DevicePath::parse(&path(3, &[])));
        }
        // efivarfs takes a write as the whole variable, but a plain file does not become shorter.
        set(None, file("3"));
        assert_eq!(order(dir.path())[..6], [0x1a, 0, 2, 0, 1, 0]);
        assert!(!numbered(dir.path(), 0).exists() && numbered(dir.path(), 1).exists());
    }

    #[test]
    fn our_options_are_never_before_the_boot_loader() {
        let dir = efivars(&path(3, &[]));
        let set = || set_fallbacks(dir.path(), &esp(), [Some("EFI/Linux/a_1.efi".to_owned()), None]).unwrap();
        set();
        assert_eq!(order(dir.path()), [0x1a, 0, 2, 0, 0, 0]);
        // The boot loader was started from the firmware's menu, and is not in the order.
        variable::write(&named(dir.path(), "BootOrder"), &[0, 0, 2, 0, 2, 0]).unwrap();
        set();
        assert_eq!(order(dir.path())[..4], [2, 0, 2, 0]);
        assert!(!numbered(dir.path(), 0).exists());
        fs::remove_file(named(dir.path(), "BootOrder")).unwrap();
        set();
        assert!(!named(dir.path(), "BootOrder").exists() && !numbered(dir.path(), 0).exists());
    }
}
