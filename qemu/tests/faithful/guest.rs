//! The guest's part: the test program itself runs as PID 1 of a virtual machine. It loads modules, mounts the file systems, and writes a
//! listing to a disk. A serial console would be too slow for the listing.

use crate::{
    common::initrd::MODULES,
    listing::{Holes, found, text},
    tree::EPOCH,
};
use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    system::{RebootCommand, finit_module, reboot},
};
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, SystemTime},
};

// Disks in the order in which they are attached.
pub(crate) const EROFS: &str = "/dev/vda";
pub(crate) const EXT4: &str = "/dev/vdb";
pub(crate) const REPORT: &str = "/dev/vdc";
/// Separates the parts of the report.
pub(crate) const RULE: &str = "----\n";
/// The last line of a complete report.
pub(crate) const END: &str = "end\n";
/// Name and size of the file that is written to the grown file system.
pub(crate) const AFTER: (&str, usize) = ("after", 64 << 20);

/// Writes the report and powers the machine off. Does not return. If this program panics, the kernel panics.
pub(crate) fn main() {
    let report = make_report();
    fs::OpenOptions::new().write(true).open(REPORT).unwrap().write_all(report.as_bytes()).unwrap();
    rustix::fs::sync();
    reboot(RebootCommand::PowerOff).unwrap();
}

fn make_report() -> String {
    mount("dev", "/dev", "devtmpfs", MountFlags::empty(), None).unwrap();
    for path in fs::read_to_string(MODULES).unwrap().lines() {
        finit_module(File::open(path).unwrap(), c"", 0).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let erofs = listing(EROFS, "erofs", MountFlags::RDONLY, |_| Ok(()));
    let before = listing(EXT4, "ext4", MountFlags::empty(), |_| Ok(()));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH);
    let after = listing(EXT4, "ext4", MountFlags::empty(), |folder| {
        let blocks = File::open(EXT4)?.seek(SeekFrom::End(0))? / 4096;
        // Grow the file system with the same function as a host's init.
        berth_init::sys::block::resize_ext4(&File::open(folder)?, blocks)?;
        let path = folder.join(AFTER.0);
        fs::write(&path, vec![b'a'; AFTER.1])?;
        [path.as_path(), folder].iter().try_for_each(|path| File::open(path)?.set_modified(time))
    });
    [erofs, before, after, END.to_owned()].join(RULE)
}

fn listing(device: &str, kind: &str, flags: MountFlags, change: impl Fn(&Path) -> io::Result<()>) -> String {
    let folder = Path::new("/mnt");
    mount(device, folder, kind, flags, None).unwrap_or_else(|error| panic!("{device}: {error}"));
    change(folder).unwrap();
    let listing = found(folder, Holes::Judge).unwrap();
    unmount(folder, UnmountFlags::empty()).unwrap();
    text(&listing)
}
