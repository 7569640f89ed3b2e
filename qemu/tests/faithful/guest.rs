//! The other side: this test's own program, as PID 1 of a virtual machine. It loads modules, mounts what it is given,
//! and writes what it finds onto a disk: a serial line is slow.

use crate::{
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

/// Disks, in the order in which they are attached.
pub(crate) const EROFS: &str = "/dev/vda";
pub(crate) const EXT4: &str = "/dev/vdb";
pub(crate) const REPORT: &str = "/dev/vdc";
/// Between the parts of the report.
pub(crate) const RULE: &str = "----\n";
/// At its end, so that half a report is none.
pub(crate) const END: &str = "end\n";
/// Modules in the order in which they are to be loaded, in the initial root.
pub(crate) const MODULES: &str = "/modules.list";
/// What is written to the grown file system, and how much of it.
pub(crate) const AFTER: (&str, usize) = ("after", 64 << 20);

/// Never returns: the machine ends, by order or, when this panics, by the kernel's panic.
pub(crate) fn main() {
    let report = judge();
    fs::OpenOptions::new().write(true).open(REPORT).unwrap().write_all(report.as_bytes()).unwrap();
    rustix::fs::sync();
    reboot(RebootCommand::PowerOff).unwrap();
}

fn judge() -> String {
    mount("dev", "/dev", "devtmpfs", MountFlags::empty(), None).unwrap();
    for path in fs::read_to_string(MODULES).unwrap().lines() {
        finit_module(File::open(path).unwrap(), c"", 0).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let erofs = listing(EROFS, "erofs", MountFlags::RDONLY, |_| Ok(()));
    let before = listing(EXT4, "ext4", MountFlags::empty(), |_| Ok(()));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(EPOCH);
    let after = listing(EXT4, "ext4", MountFlags::empty(), |folder| {
        let blocks = File::open(EXT4)?.seek(SeekFrom::End(0))? / 4096;
        // As PID 1 of a host does it.
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
