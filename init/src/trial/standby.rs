//! The standby entry: the blessed version that the boot loader takes if the start of the usual version never reaches init, for example
//! because its kernel image is damaged.
//!
//! Two EFI variables of the Boot Loader Interface do this. systemd-boot reads both as patterns of file names:
//!
//! - `LoaderEntryDefault` names the standby entry.
//! - `LoaderEntryOneShot` matches every entry of this image. So systemd-boot takes the entry that is first in its order, as if neither
//!   variable existed. It removes this variable before it starts the entry.
//!
//! While a host runs, both are set, so the next boot is the usual one. If that boot hangs, crashes or is reset before init does anything,
//! only the default is left. The verdict on a boot, or an ordered shutdown, sets `LoaderEntryOneShot` again.
//!
//! The default must never be set without the other variable while a host runs: then a healthy version would be left at the next boot. So
//! the other variable is written first, and the default is removed if that fails.
//!
//! A version of an older release does not know these variables: started as the standby entry, it would be started for ever, and the new
//! versions that it installs would never be tried. So such a version is no standby entry.

use super::counter;
use crate::efi::variable;
use berth_contract::{
    entry::BootEntry,
    fault::{Failure, PathError},
    paths,
    version::ImageId,
};
use std::path::{Path, PathBuf};

/// Whether the variables are right now. If not, the host has no standby entry, and the caller decides about `LoaderEntryOneShot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The next boot is the usual one.
    Yes,
    /// There is no standby entry, or a user has chosen another default.
    No,
}

/// The standby entry that the firmware has stored for the image `id`. A default that a user has chosen (another image, another system) is
/// none.
///
/// # Errors
/// When the variable cannot be read.
pub fn stored(efivars: &Path, id: &ImageId) -> Result<Option<BootEntry>, Failure> {
    let text = counter::read_text(&default_path(efivars))?;
    Ok(text.and_then(|text| text.parse().ok()).filter(|entry: &BootEntry| entry.id == *id))
}

/// Stores the second of the image's blessed entries as the standby entry. If there is none, both variables are removed. `is_able` says whether
/// a version knows these variables. `entries` are all entries of Berth on the ESP, also those of other images.
///
/// # Errors
/// When a variable cannot be read or written.
pub fn store(
    efivars: &Path,
    id: &ImageId,
    entries: &[BootEntry],
    is_able: impl FnOnce(&BootEntry) -> bool,
) -> Result<Settled, Failure> {
    let before = counter::read_text(&default_path(efivars))?;
    if before.is_some_and(|name| is_choice(&name, id, entries)) {
        return Ok(Settled::No);
    }
    match choose(id, entries).filter(|standby| is_able(standby)) {
        Some(standby) => {
            take_first(efivars, id)?;
            variable::write(&default_path(efivars), &variable::utf16(&standby.to_string()))?;
        }
        None => clear(efivars)?,
    }
    Ok(Settled::Yes)
}

/// Whether a user has chosen the default: it is no entry of this image. An entry of an image that is not on this ESP was left by an earlier
/// installation.
fn is_choice(default: &str, id: &ImageId, entries: &[BootEntry]) -> bool {
    match default.parse::<BootEntry>() {
        Ok(named) => named.id != *id && entries.iter().any(|entry| entry.id == named.id),
        Err(_) => true,
    }
}

/// Makes the next boot the usual one again, if there is a standby entry.
///
/// # Errors
/// When a variable cannot be read or written.
pub fn prefer_usual(efivars: &Path, id: &ImageId) -> Result<Settled, Failure> {
    match stored(efivars, id)? {
        Some(_) => take_first(efivars, id).map(|()| Settled::Yes),
        None => Ok(Settled::No),
    }
}

/// The second of the blessed entries, newest first. `None` while a version has tries left: then the counters alone decide.
fn choose<'a>(id: &ImageId, entries: &'a [BootEntry]) -> Option<&'a BootEntry> {
    let ours = || entries.iter().filter(|entry| entry.id == *id);
    if ours().any(|entry| entry.counter.is_some_and(|counter| counter.left > 0)) {
        return None;
    }
    let mut blessed: Vec<_> = ours().filter(|entry| entry.counter.is_none()).collect();
    blessed.sort_by(|one, two| two.version.cmp(&one.version));
    blessed.get(1).copied()
}

/// Makes the boot loader take, once, the entry of this image that is first in its order.
fn take_first(efivars: &Path, id: &ImageId) -> Result<(), Failure> {
    variable::write(&one_shot_path(efivars), &variable::utf16(&format!("{id}_*.efi"))).or_else(|error| {
        // It may still hold the request of `arm`. A healthy host must not leave its version.
        clear(efivars)?;
        Err(error.into())
    })
}

/// Removes both variables: then the boot loader decides alone. Tries to remove the second one even if the first one cannot be removed.
fn clear(efivars: &Path) -> Result<(), PathError> {
    let default = variable::remove(&default_path(efivars));
    variable::remove(&one_shot_path(efivars)).and(default)
}

/// `LoaderEntryOneShot` in efivarfs, or in a folder of a test.
pub(super) fn one_shot_path(efivars: &Path) -> PathBuf {
    within(efivars, paths::LOADER_ENTRY_ONE_SHOT)
}

fn default_path(efivars: &Path) -> PathBuf {
    within(efivars, paths::LOADER_ENTRY_DEFAULT)
}

/// The variable with the file name of `path`.
pub(super) fn within(efivars: &Path, path: &str) -> PathBuf {
    efivars.join(Path::new(path).file_name().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn entries(names: &[&str]) -> Vec<BootEntry> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn text(path: &Path) -> Option<String> {
        counter::read_text(path).unwrap()
    }

    #[test]
    fn the_second_blessed_version_is_the_standby_entry() {
        let id: ImageId = "a".parse().unwrap();
        for (names, expected) in [
            (&["a_1.efi", "a_2.efi"][..], Some("a_1.efi")),
            (&["a_9.efi", "a_11.efi", "a_10.efi", "b_10.5.efi"], Some("a_10.efi")),
            (&["a_1.efi", "a_2.efi", "a_3+0-3.efi", "a_4+0.efi", "b_1+3.efi"], Some("a_1.efi")),
            // One version, or the other one is set aside or failed.
            (&["a_1.efi"], None),
            (&["a_1.efi", "a_2+0.efi"], None),
            // A version has tries left.
            (&["a_1.efi", "a_2.efi", "a_3+3.efi"], None),
            (&[], None),
        ] {
            let entries = entries(names);
            assert_eq!(choose(&id, &entries).map(ToString::to_string).as_deref(), expected, "{names:?}");
            let dir = tempfile::tempdir().unwrap();
            for (is_able, expected) in [(true, expected), (false, None)] {
                assert_eq!(store(dir.path(), &id, &entries, |_| is_able).unwrap(), Settled::Yes);
                assert_eq!(text(&default_path(dir.path())).as_deref(), expected);
                assert_eq!(text(&one_shot_path(dir.path())).as_deref(), expected.map(|_| "a_*.efi"));
            }
        }
    }

    #[test]
    fn the_usual_version_is_preferred_again_and_other_defaults_are_kept() {
        let (id, dir) = ("a".parse().unwrap(), tempfile::tempdir().unwrap());
        let (default, one_shot) = (default_path(dir.path()), one_shot_path(dir.path()));
        assert_eq!(prefer_usual(dir.path(), &id).unwrap(), Settled::No);
        let store = |names: &[&str]| store(dir.path(), &id, &entries(names), |_| true);
        store(&["a_1.efi", "a_2.efi"]).unwrap();
        // The boot loader removes the variable.
        fs::remove_file(&one_shot).unwrap();
        assert_eq!(prefer_usual(dir.path(), &id).unwrap(), Settled::Yes);
        assert_eq!(text(&one_shot).as_deref(), Some("a_*.efi"));
        // Without a second version nothing is left.
        store(&["a_2.efi"]).unwrap();
        assert!(!default.exists() && !one_shot.exists());
        // A user has chosen another default.
        for chosen in ["b_1.efi", "auto-windows", "memtest.efi"] {
            variable::write(&default, &variable::utf16(chosen)).unwrap();
            assert_eq!(prefer_usual(dir.path(), &id).unwrap(), Settled::No);
            assert_eq!(store(&["a_1.efi", "a_2.efi", "b_1.efi"]).unwrap(), Settled::No);
            assert_eq!(store(&["a_2.efi", "b_1.efi"]).unwrap(), Settled::No);
            assert_eq!(text(&default).as_deref(), Some(chosen));
            assert!(!one_shot.exists());
            fs::remove_file(&default).unwrap();
        }
        // An earlier installation has left its default.
        variable::write(&default, &variable::utf16("b_1.efi")).unwrap();
        assert_eq!(store(&["a_1.efi", "a_2.efi"]).unwrap(), Settled::Yes);
        assert_eq!(text(&default).as_deref(), Some("a_1.efi"));
    }

    #[test]
    fn the_default_is_not_left_alone_when_the_other_variable_cannot_be_written() {
        let (id, dir) = ("a".parse().unwrap(), tempfile::tempdir().unwrap());
        variable::write(&default_path(dir.path()), &variable::utf16("a_1.efi")).unwrap();
        fs::create_dir(one_shot_path(dir.path())).unwrap();
        prefer_usual(dir.path(), &id).unwrap_err();
        assert!(!default_path(dir.path()).exists());
        store(dir.path(), &id, &entries(&["a_1.efi", "a_2.efi"]), |_| true).unwrap_err();
        assert!(!default_path(dir.path()).exists());
    }

    #[test]
    fn a_request_that_cannot_be_replaced_is_removed() {
        let (id, dir) = ("a".parse().unwrap(), tempfile::tempdir().unwrap());
        let one_shot = one_shot_path(dir.path());
        variable::write(&default_path(dir.path()), &variable::utf16("a_1.efi")).unwrap();
        // It can be removed, but nothing can be written to it.
        std::os::unix::fs::symlink("none/none", &one_shot).unwrap();
        prefer_usual(dir.path(), &id).unwrap_err();
        assert!(fs::symlink_metadata(&one_shot).is_err() && !default_path(dir.path()).exists());
    }
}
