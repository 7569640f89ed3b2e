//! What the kernel's last words were, of boots that ended in a panic: pstore(5), copied to /var and freed.
//!
//! A dump comes in parts, `dmesg-BACKEND-ID` each, the last part of the log first; each begins with a line `Panic#1 Part2`. On the
//! disk a dump is one file in the log's order, named by the time of the crash.

use super::mounts::{self, PSTORE};
use crate::{
    console,
    fault::{At, Failure, Failures, PathError},
    modules::Loader,
};
use berth_file::{Flush, replace};
use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Where pstore is mounted.
const MOUNTED: &str = "/sys/fs/pstore";
/// Dumps that are kept on the disk.
const KEPT: usize = 10;
/// Bytes that are kept of one: its end. Together they stay within 1 MiB.
const LONGEST: usize = 100 * 1024;
/// Parts that are read in one boot.
const MOST_PARTS: usize = 256;
/// Backends: EFI variables; memory that survives a reset (where the firmware or the command line names some).
const BACKENDS: [&str; 2] = ["efi_pstore", "ramoops"];

/// Makes the kernel store its last words, where this machine has a place for them.
pub fn load_backends(loader: &Loader) {
    for name in BACKENDS.into_iter().filter(|name| loader.known(name)) {
        if let Err(error) = loader.load(name) {
            console::debug(format_args!("{error}"));
        }
    }
}

/// Copies what there is to `folder`, and frees its place.
///
/// # Errors
/// What could not be copied; it stays where it is.
pub fn keep(folder: &Path) -> Result<(), Failure> {
    // A kernel may have been built without it.
    if !Path::new(MOUNTED).exists() {
        return Ok(());
    }
    mounts::mount_api(&PSTORE)?;
    collect(Path::new(MOUNTED), folder)
}

/// One part of a dump.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    id: u64,
    /// When it was written, in seconds since 1970.
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
            // Nothing that a crash leaves: its place is wanted for the next one.
            Some(None) => drop(failures.keep(fs::remove_file(&path).at("remove", &path))),
            None => {}
        }
    }
    parts.sort_by_key(|part| part.id);
    for dump in parts.chunk_by(|_, next| next.number != 1) {
        failures.keep(store(dump, to));
    }
    failures.keep(forget_oldest(to));
    failures.end()
}

/// None when it is no part of a dump.
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
        // An EFI id is (time * 100 + part) * 1000 + count, see generic_id() in efi-pstore.c. That of ramoops is the place in its
        // memory; there as everywhere the file's time is that of the crash.
        let at = if name.starts_with("dmesg-efi") { id / 100_000 } else { u64::try_from(modified).unwrap_or(0) };
        Part { path: path.to_owned(), id, at, number, text }
    }))
}

/// Parts of one dump, the newest text first.
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
    console::warning(format_args!("the kernel's last words of an earlier boot ({reason}): {}", path.display()));
    parts.iter().try_for_each(|part| fs::remove_file(&part.path).at("remove", &part.path))
}

fn forget_oldest(folder: &Path) -> Result<(), PathError> {
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
    fn parts_become_dumps_in_the_logs_order_and_are_freed() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let to = to.path().join("pstore");
        let id = |time: u64, part: u64| (time * 100 + part) * 1000 + 1;
        for (name, text) in [
            (
                format!("dmesg-efi_pstore-{}", id(1_795_140_670, 1)),
                "Panic#1 Part1\n<0>[ 9.0] Kernel panic - not syncing\n",
            ),
            (format!("dmesg-efi_pstore-{}", id(1_795_140_670, 2)), "Panic#1 Part2\n<6>[ 8.0] before\nmore"),
            // The clock went on between the parts.
            (format!("dmesg-efi_pstore-{}", id(1_795_140_671, 3)), "Panic#1 Part3\n<6>[ 7.0] long before\n"),
            (format!("dmesg-efi_pstore-{}", id(1_795_150_000, 1)), "Oops#1 Part1\nsecond\u{fffd}"),
            ("console-ramoops-0".to_owned(), "not asked for"),
            ("dmesg-ramoops-0.enc.z".to_owned(), "not unpacked"),
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
    fn dumps_of_ramoops_have_the_time_of_their_files() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // Its places are used in turn: the second may hold the older one.
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
    fn ten_dumps_of_a_bounded_size_are_kept() {
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
    fn what_cannot_be_copied_stays() {
        let from = tempfile::tempdir().unwrap();
        let path = from.path().join("dmesg-efi_pstore-179514067001001");
        fs::write(&path, "Panic#1 Part1\nx").unwrap();
        assert!(collect(from.path(), Path::new("/proc/no")).is_err());
        assert!(path.exists());
    }
}
