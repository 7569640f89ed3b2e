//! The host's identity: machine-id(5).
//!
//! The machine id is kept in /var, together with the UUID that the machine's firmware has (SMBIOS). If the disk is copied to another
//! machine, the UUID differs, and the copy gets a machine id of its own.

use crate::console;
use berth_contract::{
    fault::{At, PathError},
    paths,
};
use berth_file::{Flush, replace};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The UUID of the machine. The kernel leaves the file out if the firmware has none.
const PRODUCT_UUID: &str = "/sys/class/dmi/id/product_uuid";
/// Length of a UUID as text.
const UUID: usize = 36;
/// Stands for a machine without a UUID.
const NO_UUID: &str = "none";

/// The files of the identity. Tests use others.
#[derive(Clone, Debug)]
pub struct Files {
    machine_id: PathBuf,
    machine_uuid: PathBuf,
    product_uuid: PathBuf,
    shown: PathBuf,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            machine_id: paths::MACHINE_ID.into(),
            machine_uuid: paths::MACHINE_UUID.into(),
            product_uuid: PRODUCT_UUID.into(),
            shown: "/etc/machine-id".into(),
        }
    }
}

impl Files {
    /// Reads the machine id, or makes one at the first boot and for a copied disk, and writes it to /etc/machine-id. `forget` is called for
    /// a copied disk: it removes what else belongs to the other machine.
    ///
    /// # Errors
    /// When the id cannot be stored, or /etc/machine-id cannot be written. The identity is returned in any case. An id that was not stored is
    /// valid for this boot only.
    pub fn identity(&self, forget: impl FnOnce() -> Result<(), PathError>) -> (String, Result<(), PathError>) {
        let read = |path: &Path| fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned());
        let (stored, was) = (read(&self.machine_id).filter(|id| is_machine_id(id)), read(&self.machine_uuid));
        let is = read(&self.product_uuid).filter(|uuid| uuid.len() == UUID).unwrap_or_else(|| NO_UUID.to_owned());
        let is_copy = stored.is_some() && is_other_machine(was.as_deref(), &is);
        if let (true, Some(was)) = (is_copy, &was) {
            console::warning(format_args!(
                "the disk comes from another machine (UUID {was}, here {is}): new machine id"
            ));
        }
        let store = |path: &Path, text: &str, mode| {
            replace(path, format!("{text}\n").as_bytes(), mode, Flush::Content).map_err(PathError::from)
        };
        let (machine_id, kept) = match stored.filter(|_| !is_copy) {
            Some(id) => (id, Ok(())),
            None => match new_id() {
                Ok(id) => {
                    let kept = store(&self.machine_id, &id, 0o444);
                    (id, kept)
                }
                Err(error) => return ("0".repeat(32), Err(error)),
            },
        };
        let forgotten = if is_copy { forget() } else { Ok(()) };
        // Written last: a power cut before it makes a new id again, and never keeps anything of the other machine.
        let bound = match was {
            // A machine whose UUID cannot be read now is not another machine.
            Some(was) if was == is || is == NO_UUID => Ok(()),
            _ => store(&self.machine_uuid, &is, 0o400),
        };
        let shown = fs::write(&self.shown, format!("{machine_id}\n")).at("write", &self.shown);
        (machine_id, kept.and(forgotten).and(bound).and(shown))
    }
}

/// Removes a file that identifies the other machine, and waits until that is on the disk.
///
/// # Errors
/// When the file cannot be removed.
pub fn forget(path: &Path) -> Result<(), PathError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        done => done.at("remove", path)?,
    }
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).at("sync", folder)
}

/// Whether the UUID of this machine, `is`, shows that the machine id was made on another machine. `was` is `None` if an older version made
/// it, which did not store the UUID.
fn is_other_machine(was: Option<&str>, is: &str) -> bool {
    is != NO_UUID && was.is_some_and(|was| !was.eq_ignore_ascii_case(is))
}

/// machine-id(5): 32 lower-case hex digits, not all zero.
fn is_machine_id(text: &str) -> bool {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.len() == 32 && text.bytes().all(hex) && text.bytes().any(|c| c != b'0')
}

/// A random id in the form of a version 4 UUID, as machine-id(5) makes them.
fn new_id() -> Result<String, PathError> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads /dev/random, which blocks only until the kernel's generator is seeded.
fn random(bytes: &mut [u8]) -> Result<(), PathError> {
    File::open("/dev/random").and_then(|mut file| file.read_exact(bytes)).at("read", "/dev/random")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ids_are_valid_and_differ() {
        let (a, b) = (new_id().unwrap(), new_id().unwrap());
        assert!(is_machine_id(&a) && a != b);
        assert_eq!(&a[12..13], "4");
        for bad in ["", "uninitialized", &"0".repeat(32), &a.to_uppercase().replace(char::is_numeric, "F"), &a[1..]] {
            assert!(!is_machine_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_copied_disk_gets_a_new_machine_id_and_a_moved_or_unknown_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = Files {
            machine_id: path("machine-id"),
            machine_uuid: path("machine-uuid"),
            product_uuid: path("product_uuid"),
            shown: path("shown"),
        };
        let boot = |uuid: Option<&str>| {
            let _ = fs::remove_file(path("product_uuid"));
            uuid.into_iter().for_each(|uuid| fs::write(path("product_uuid"), format!("{uuid}\n")).unwrap());
            let mut is_copy = false;
            let (machine_id, kept) = files.identity(|| {
                // The new id is stored, and the new UUID is not: a power cut now does all of it again.
                assert_ne!(fs::read_to_string(path("machine-uuid")).unwrap().trim_end(), uuid.unwrap());
                is_copy = true;
                fs::write(path("engine-id"), "x").unwrap();
                forget(&path("engine-id")).and_then(|()| forget(&path("engine-id")))
            });
            kept.unwrap();
            assert!(!path("engine-id").exists());
            assert_eq!(fs::read_to_string(path("shown")).unwrap(), format!("{machine_id}\n"));
            (machine_id, is_copy)
        };
        let (a, b) = ("11111111-2222-3333-4444-00000000000a", "11111111-2222-3333-4444-00000000000b");
        // A disk of an older version has an id and no UUID.
        fs::write(path("machine-id"), format!("{}\n", "5".repeat(32))).unwrap();
        assert_eq!(boot(Some(a)), ("5".repeat(32), false));
        assert_eq!(boot(Some(&a.to_uppercase())), ("5".repeat(32), false));
        assert_eq!(boot(None), ("5".repeat(32), false), "a firmware that hides its UUID");
        let (copy, is_copy) = boot(Some(b));
        assert!(is_copy && is_machine_id(&copy) && copy != "5".repeat(32));
        assert_eq!(boot(Some(b)), (copy, false));
        // The first machine had no UUID, and the second has one.
        for name in ["machine-id", "machine-uuid"] {
            fs::remove_file(path(name)).unwrap();
        }
        let (first, is_copy) = boot(None);
        assert!(!is_copy);
        assert_eq!(boot(None), (first.clone(), false));
        let (copy, is_copy) = boot(Some(a));
        assert!(is_copy && copy != first);
    }
}
