//! Reading a file of a disk whose content is not trusted: somebody may have plugged it in to attack the host, or it is broken.

use crate::{console, modules::Loader};
use berth_contract::fault::{At, PathError};
use berth_file::open_beneath;
use berth_formats::label::{self, Labelled};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Where file systems are mounted while a file is read, each in a folder with the name of its device.
const MOUNT_POINTS: &str = "/run/berth/config";
/// Time limit for one disk. A disk that answers later is not waited for. The kernel itself tries for about this time to read a bad sector.
const LONGEST: Duration = Duration::from_secs(20);
/// Modules for mounting FAT: the driver, and the code pages that kernels may ask for.
const FAT_MODULES: [&str; 5] = ["vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "nls_utf8"];

/// The type of a file system, as mount(2) names it.
pub(super) const FAT: &str = "vfat";
/// See [`FAT`].
pub(super) const ISO: &str = "iso9660";

/// The label of the file system on a device. `None` if it has none, or the device cannot be read: an empty drive, or a device that has
/// just been removed.
pub(super) fn label(device: &Path) -> Option<Labelled> {
    label::read(&File::open(device).ok()?).ok()?
}

/// Runs `job`, which reads a disk, in a thread of its own, and waits for it at most [`LONGEST`]: a broken disk or file system must not stop
/// the boot. A thread that is late stays behind.
///
/// # Errors
/// When no thread can be started, or the time has passed.
pub(super) fn in_time<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    within(LONGEST, job)
}

fn within<T: Send + 'static>(limit: Duration, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().name("disk".to_owned()).spawn(move || sender.send(job()))?;
    receiver.recv_timeout(limit).map_err(|_| {
        io::Error::new(ErrorKind::TimedOut, format!("expected an answer within {} s, found none", limit.as_secs()))
    })
}

/// Mounts the device read-only and reads one regular file of at most `limit` bytes and one more. `None` when the file does not exist.
///
/// # Errors
/// When the file system cannot be mounted, or the file cannot be read, or is not a regular file.
pub(super) fn read_file(
    (device, kind): (&Path, &str),
    path: &str,
    limit: u64,
    loader: &Loader,
) -> Result<Option<Vec<u8>>, PathError> {
    let modules = if kind == FAT { &FAT_MODULES[..] } else { &["isofs"] };
    modules.iter().for_each(|module| load_quietly(loader, module));
    let mount_point = Path::new(MOUNT_POINTS).join(device.file_name().unwrap_or_default());
    fs::create_dir_all(&mount_point).at("create", &mount_point)?;
    let flags =
        MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOSYMFOLLOW;
    mount(device, &mount_point, kind, flags, None).at("mount", device)?;
    let content = read_beneath(&mount_point, path, limit);
    // DETACH: the mount point becomes free even if the file system is busy.
    unmount(&mount_point, UnmountFlags::DETACH).at("unmount", device)?;
    content
}

/// Reads a regular file below `root` up to one byte more than `limit`. `None` when it does not exist.
pub(super) fn read_beneath(root: &Path, path: &str, limit: u64) -> Result<Option<Vec<u8>>, PathError> {
    let mut bytes = Vec::new();
    match open_beneath(root, Path::new(path)).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", root.join(path)),
    }
}

/// Loads a module. An error is only logged: the driver may be built in. If it is missing, the mount fails.
pub(super) fn load_quietly(loader: &Loader, module: &str) {
    if let Err(error) = loader.load(module) {
        console::debug(format_args!("{error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_answer_is_given_up() {
        assert_eq!(in_time(|| 7).unwrap(), 7);
        let (hold, held) = mpsc::channel::<()>();
        let late = within(Duration::from_millis(20), move || held.recv());
        assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
        drop(hold);
    }
}
