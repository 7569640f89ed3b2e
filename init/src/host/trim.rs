//! Trim: tells the disk which blocks of /var are free, every week. A flash disk needs to know, and a virtual disk gives the space back.

use crate::{console, ending::GOING_DOWN, sys};
use berth_contract::{
    fault::{At, PathError},
    paths,
};
use berth_file::{Flush, replace};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::atomic::Ordering,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Wait after boot, so that a trim does not slow the start of the containers.
const FIRST: Duration = Duration::from_secs(15 * 60);
/// Wait between two looks at the time.
const PAUSE: Duration = Duration::from_secs(6 * 60 * 60);
/// Time between two trims.
const PERIOD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Bytes of the file system in one call. The kernel cannot be interrupted in a call, and a shutdown must not wait.
const STEP: u64 = 16 << 30;

/// Starts the thread.
///
/// # Errors
/// When no thread can be started.
pub fn spawn() -> io::Result<()> {
    thread::Builder::new().name("trim".to_owned()).spawn(follow).map(drop)
}

fn follow() {
    let mut pause = FIRST;
    loop {
        thread::sleep(pause);
        pause = PAUSE;
        let last = fs::metadata(paths::TRIMMED).and_then(|found| found.modified()).ok();
        if !is_due(now(), last) {
            continue;
        }
        match trim(Path::new(paths::VAR)) {
            Ok(bytes) => console::info(format_args!("/var: {} MiB trimmed", bytes >> 20)),
            // The disk cannot be trimmed.
            Err(error) if error.source.kind() == io::ErrorKind::Unsupported => return,
            Err(error) => console::warning(format_args!("{error}")),
        }
        if let Err(error) = replace(Path::new(paths::TRIMMED), b"", 0o644, Flush::Nothing) {
            console::warning(format_args!("{error}"));
        }
    }
}

fn now() -> SystemTime {
    let now = clock_gettime(ClockId::Realtime);
    UNIX_EPOCH + Duration::from_secs(u64::try_from(now.tv_sec).unwrap_or(0))
}

/// Whether the last trim is more than [`PERIOD`] ago, or in the future because the clock was wrong.
fn is_due(now: SystemTime, last: Option<SystemTime>) -> bool {
    last.is_none_or(|last| now.duration_since(last).map_or(true, |age| age >= PERIOD))
}

/// Trims the file system that is mounted at `path`. Returns the number of free bytes that were reported to the disk.
fn trim(path: &Path) -> Result<u64, PathError> {
    let directory = File::open(path).at("open", path)?;
    let found = rustix::fs::statvfs(path).map_err(io::Error::from).at("read the size of", path)?;
    let size = found.f_blocks.saturating_mul(found.f_frsize);
    let mut trimmed = 0;
    // statvfs counts without the blocks of metadata, so the file system is a little larger.
    let mut start = 0;
    while !GOING_DOWN.load(Ordering::Relaxed) {
        let last = start + STEP >= size;
        trimmed += sys::block::trim(&directory, start, if last { u64::MAX - start } else { STEP }).at("trim", path)?;
        start += STEP;
        if last {
            break;
        }
    }
    Ok(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trim_is_due_after_a_week_or_when_the_clock_was_wrong() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        let week = PERIOD.as_secs();
        assert!(is_due(at(10), None));
        assert!(!is_due(at(1000 + week - 1), Some(at(1000))));
        assert!(is_due(at(1000 + week), Some(at(1000))));
        assert!(is_due(at(1000), Some(at(5000))));
    }

    /// Needs a loop device, so only the superuser runs it.
    #[test]
    fn a_trim_gives_the_blocks_of_removed_files_back() {
        berth_judge::needs!("mke2fs", "mount", "umount");
        let dir = tempfile::tempdir().unwrap();
        let (image, point) = (dir.path().join("image"), dir.path().join("mnt"));
        fs::create_dir(&point).unwrap();
        File::create(&image).unwrap().set_len(128 << 20).unwrap();
        let run = |program: &str, words: &[&std::ffi::OsStr]| {
            std::process::Command::new(program).args(words).status().is_ok_and(|status| status.success())
        };
        assert!(run("mke2fs", &["-q".as_ref(), "-F".as_ref(), "-t".as_ref(), "ext4".as_ref(), image.as_ref()]));
        if !run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), point.as_ref()]) {
            return;
        }
        let used = || std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&image).unwrap()) * 512;
        fs::write(point.join("file"), vec![0x5a; 64 << 20]).unwrap();
        rustix::fs::sync();
        let full = used();
        fs::remove_file(point.join("file")).unwrap();
        rustix::fs::sync();
        let trimmed = trim(&point);
        assert!(run("umount", &[point.as_ref()]));
        assert!(trimmed.unwrap() >= 64 << 20);
        assert!(full > 64 << 20 && used() < 32 << 20, "{full} {}", used());
    }

    #[test]
    fn a_file_system_without_trim_says_so() {
        let error = trim(Path::new("/proc")).unwrap_err();
        assert!(error.to_string().starts_with("cannot trim /proc"), "{error}");
    }
}
