//! Crash records: the last kernel messages of boots that ended in a panic. They are copied from pstore to /var, and then removed from
//! pstore.
//!
//! A crash record consists of parts, one file `dmesg-BACKEND-ID` each. The last part of the log comes first. A part starts with
//! a line like `Panic#1 Part2`. On the disk, a record is one file with its lines in the order of the log. Its name is
//! the time of the crash.

use crate::{
    console,
    modules::Loader,
    mounts::{self, PSTORE},
};
use berth_contract::fault::{At, Failure, Failures, PathError};
use berth_file::{Flush, replace};
use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Where pstore is mounted.
const MOUNTED: &str = "/sys/fs/pstore";
/// Number of records that are kept on the disk.
const KEPT: usize = 10;
/// Size limit of a record in bytes. The end of a longer record is kept. All records together stay within 1 MiB.
const LONGEST: usize = 100 * 1024;
/// Maximum number of parts that are read in one boot.
const MOST_PARTS: usize = 256;
/// Backends of pstore: EFI variables, and memory that survives a reset (if the firmware or the command line defines such memory).
const BACKENDS: [&str; 2] = ["efi_pstore", "ramoops"];

/// Loads the backends of pstore, so that a kernel that panics can store its log.
pub fn load_backends(loader: &Loader) {
    for name in BACKENDS.into_iter().filter(|name| loader.known(name)) {
        if let Err(error) = loader.load(name) {
            console::debug(format_args!("{error}"));
        }
    }
}

/// Copies the records to `folder` and removes them from pstore.
///
/// # Errors
/// Every record that could not be copied. These records stay in pstore.
pub fn keep(folder: &Path) -> Result<(), Failure> {
    // The kernel has no pstore.
    if !Path::new(MOUNTED).exists() {
        return Ok(());
    }
    mounts::mount_api(&PSTORE)?;
    collect(Path::new(MOUNTED), folder)
}

/// One part of a crash record.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    id: u64,
    /// Time of the crash, in seconds since 1970.
    at: u64,
    number: u32,
    text: String,
}

fn collect(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut failures = Failures::none();
    let mut parts = Vec::new();
    for entry in fs::read_dir(from).at("list", from)?.flatten().take(MOST_PARTS) {
        let path = entry.path();
        match failures.keep(part(&path)) {
            Some(Some(part)) => parts.push(part),
            // Not a part of a crash record. Remove the file: its space is needed for the next record.
            Some(None) => drop(failures.keep(fs::remove_file(&path).at("remove", &path))),
            None => {}
        }
    }
    parts.sort_by_key(|part| part.id);
    for record in parts.chunk_by(|_, next| next.number != 1) {
        failures.keep(store(record, to));
    }
    failures.keep(remove_oldest(to));
    failures.end()
}

/// Reads a part. `None` when the file is not a part of a crash record.
fn part(path: &Path) -> Result<Option<Part>, PathError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let id: Option<u64> = name.strip_prefix("dmesg-").and_then(|rest| rest.rsplit('-').next()?.parse().ok());
    let mut bytes = Vec::new();
    let limit = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let file = File::open(path).at("open", path)?;
    let modified = file.metadata().at("look at", path)?.mtime();
    file.take(limit).read_to_end(&mut bytes).at("read", path)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let number = text.lines().next().and_then(|line| line.rsplit_once(" Part")?.1.parse().ok());
    Ok(id.zip(number).map(|(id, number)| {
        // An EFI id is (time * 100 + part) * 1000 + count, see generic_id() in efi-pstore.c. The id of ramoops is a
        // position in its memory. For every backend but EFI, the modification time of the file is the time of the crash.
        let at = if name.starts_with("dmesg-efi") { id / 100_000 } else { u64::try_from(modified).unwrap_or(0) };
        Part { path: path.to_owned(), id, at, number, text }
    }))
}

/// Joins the parts of one record and writes it. The first part has the newest text.
fn store(parts: &[Part], folder: &Path) -> Result<(), PathError> {
    let Some(first) = parts.first() else { return Ok(()) };
    let mut text = String::new();
    for part in parts.iter().rev() {
        text.push_str(part.text.split_once('\n').map_or("", |(_, rest)| rest));
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    let reason = first.text.split('#').next().unwrap_or_default();
    let start = text.ceil_char_boundary(text.len().saturating_sub(LONGEST));
    let text = format!("{reason}\n{}", &text[start..]);
    fs::create_dir_all(folder).at("create", folder)?;
    let path = folder.join(format!("{:010}-{}.txt", first.at, first.id % 100_000));
    replace(&path, text.as_bytes(), 0o600, Flush::Content)?;
    console::warning(format_args!("kernel crash record of an earlier boot ({reason}): {}", path.display()));
    parts.iter().try_for_each(|part| fs::remove_file(&part.path).at("remove", &part.path))
}

fn remove_oldest(folder: &Path) -> Result<(), PathError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let surplus = paths.len().saturating_sub(KEPT);
    paths[..surplus].iter().try_for_each(|path| fs::remove_file(path).at("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn parts_are_joined_in_the_order_of_the_log_and_removed_from_pstore() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let to = to.path().join("pstore");
        let id = |time: u64, part: u64| (time * 100 + part) * 1000 + 1;
        for (name, text) in [
            (
                format!("dmesg-efi_pstore-{}", id(1_795_140_670, 1)),
                "Panic#1 Part1\n<0>[ 9.0] Kernel panic - not syncing\n",
            ),
            (format!("dmesg-efi_pstore-{}", id(1_795_140_670, 2)), "Panic#1 Part2\n<6>[ 8.0] before\nmore"),
            // The clock advanced between the parts.
            (format!("dmesg-efi_pstore-{}", id(1_795_140_671, 3)), "Panic#1 Part3\n<6>[ 7.0] long before\n"),
            (format!("dmesg-efi_pstore-{}", id(1_795_150_000, 1)), "Oops#1 Part1\nsecond\u{fffd}"),
            ("console-ramoops-0".to_owned(), "not a crash record"),
            ("dmesg-ramoops-0.enc.z".to_owned(), "still compressed"),
        ] {
            fs::write(from.path().join(name), text).unwrap();
        }
        collect(from.path(), &to).unwrap();
        assert_eq!(names(&to), ["1795140670-1001.txt", "1795150000-1001.txt"]);
        assert_eq!(
            fs::read_to_string(to.join("1795140670-1001.txt")).unwrap(),
            "Panic\n<6>[ 7.0] long before\n<6>[ 8.0] before\nmore\n<0>[ 9.0] Kernel panic - not syncing\n"
        );
        assert_eq!(names(from.path()), [] as [&str; 0]);
        collect(from.path(), &to).unwrap();
    }

    #[test]
    fn records_of_ramoops_get_the_modification_time_of_their_files() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // ramoops fills its positions in turn: position 1 may hold an older record than position 0.
        for (id, time) in [(0, 1_795_150_000), (1, 1_795_140_670)] {
            let path = from.path().join(format!("dmesg-ramoops-{id}"));
            fs::write(&path, "Panic#1 Part1\n<0>[ 9.0] Kernel panic - not syncing\n").unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(time);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
        collect(from.path(), to.path()).unwrap();
        assert_eq!(names(to.path()), ["1795140670-1.txt", "1795150000-0.txt"]);
        assert_eq!(names(from.path()), [] as [&str; 0]);
    }

    #[test]
    fn ten_records_of_limited_size_are_kept() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for time in 0..14_u64 {
            let name = format!("dmesg-efi_pstore-{}", ((1_000_000_000 + time) * 100 + 1) * 1000 + 1);
            fs::write(from.path().join(name), format!("Panic#1 Part1\n{}", "\u{e4}".repeat(LONGEST))).unwrap();
        }
        collect(from.path(), to.path()).unwrap();
        assert_eq!(names(to.path()).len(), KEPT);
        assert_eq!(names(to.path())[0], "1000000004-1001.txt");
        let size: u64 = fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 1 << 20, "{size}");
    }

    #[test]
    fn a_record_that_cannot_be_copied_stays() {
        let from = tempfile::tempdir().unwrap();
        let path = from.path().join("dmesg-efi_pstore-179514067001001");
        fs::write(&path, "Panic#1 Part1\nx").unwrap();
        assert!(collect(from.path(), Path::new("/proc/no")).is_err());
        assert!(path.exists());
    }
}
