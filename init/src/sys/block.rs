//! Ioctls that resize a partition in the kernel, and resize and trim a mounted file system.

use std::{
    ffi::c_void,
    fs::File,
    io,
    os::{fd::AsRawFd, raw::c_int},
};

/// `BLKPG` of linux/blkpg.h.
const BLKPG: libc::c_ulong = 0x1269;
/// `BLKPG_RESIZE_PARTITION` of linux/blkpg.h.
const BLKPG_RESIZE_PARTITION: c_int = 3;
/// `EXT4_IOC_RESIZE_FS` of fs/ext4/ext4.h: `_IOW('f', 16, __u64)`.
const EXT4_IOC_RESIZE_FS: libc::c_ulong = 0x4008_6610;

/// `FITRIM` of linux/fs.h: `_IOWR('X', 121, struct fstrim_range)`.
const FITRIM: libc::c_ulong = 0xc018_5879;

/// `struct fstrim_range`, in bytes. The kernel writes the number of trimmed bytes to `len`.
#[repr(C)]
struct FstrimRange {
    start: u64,
    len: u64,
    minlen: u64,
}

/// `struct blkpg_ioctl_arg`.
#[repr(C)]
struct BlkpgIoctlArg {
    op: c_int,
    flags: c_int,
    datalen: c_int,
    data: *mut c_void,
}

/// `struct blkpg_partition`. Sizes are in bytes.
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    pno: c_int,
    devname: [u8; 64],
    volname: [u8; 64],
}

/// Tells the kernel that partition `number` of `disk` now has `length` bytes. `start` is unchanged. Unlike rereading the whole
/// partition table, this works while partitions are in use.
///
/// # Errors
/// The error of ioctl(2), or a number that does not fit in the kernel's type.
pub fn resize_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    let mut partition = BlkpgPartition {
        start: i64::try_from(start).map_err(io::Error::other)?,
        length: i64::try_from(length).map_err(io::Error::other)?,
        pno: c_int::try_from(number).map_err(io::Error::other)?,
        devname: [0; 64],
        volname: [0; 64],
    };
    let size = size_of::<BlkpgPartition>();
    let argument = BlkpgIoctlArg {
        op: BLKPG_RESIZE_PARTITION,
        flags: 0,
        datalen: c_int::try_from(size).map_err(io::Error::other)?,
        data: (&raw mut partition).cast(),
    };
    // SAFETY: both structures have the kernel's layout (tested below) and outlive the call.
    if unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG, &raw const argument) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Grows a mounted ext4 file system to `blocks` blocks. `mount` is any open file or directory on the file system.
///
/// # Errors
/// The error of ioctl(2).
pub fn resize_ext4(mount: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: the argument is a pointer to the u64 that the kernel reads.
    if unsafe { libc::ioctl(mount.as_raw_fd(), EXT4_IOC_RESIZE_FS, &raw const blocks) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Reports the free blocks among the `len` bytes at `start` of a mounted file system to its disk. `mount` is any open file or directory on
/// the file system. Returns the number of reported bytes.
///
/// # Errors
/// The error of ioctl(2): [`io::ErrorKind::Unsupported`] if the disk has no such command.
pub fn trim(mount: &File, start: u64, len: u64) -> io::Result<u64> {
    let mut range = FstrimRange { start, len, minlen: 0 };
    // SAFETY: the structure has the kernel's layout (tested below) and outlives the call.
    if unsafe { libc::ioctl(mount.as_raw_fd(), FITRIM, &raw mut range) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(range.len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn structures_have_the_kernels_layout() {
        // linux/blkpg.h on a 64-bit machine.
        assert_eq!(size_of::<BlkpgPartition>(), 152);
        assert_eq!((offset_of!(BlkpgPartition, pno), offset_of!(BlkpgPartition, volname)), (16, 84));
        assert_eq!((size_of::<FstrimRange>(), offset_of!(FstrimRange, minlen)), (24, 16));
        assert_eq!((size_of::<BlkpgIoctlArg>(), offset_of!(BlkpgIoctlArg, data)), (24, 16));
    }

    #[test]
    fn a_regular_file_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(resize_partition(&file, 1, 0, 4096).unwrap_err().raw_os_error(), Some(libc::ENOTTY));
    }
}
