//! Device-mapper ioctls, linux/dm-ioctl.h, interface version 4.0.0.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Size of `struct dm_ioctl`, where a request's payload starts.
const HEADER: usize = 312;
/// Size of `struct dm_target_spec`.
const TARGET: usize = 40;
const NAME_OFFSET: usize = 48;
const NAME_LEN: usize = 128;
const UUID_OFFSET: usize = 176;
const UUID_LEN: usize = 129;
const TARGET_TYPE_LEN: usize = 16;
const DM_READONLY_FLAG: u32 = 1;

/// Commands: `_IOWR(0xfd, number, struct dm_ioctl)`.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Command {
    Create = 0xc138_fd03,
    /// Without a flag: resume, which makes the loaded table live.
    Suspend = 0xc138_fd06,
    TableLoad = 0xc138_fd09,
}

/// Major and minor number of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// One line of a device-mapper table. It starts at sector 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Length in sectors of 512 bytes.
    pub length: u64,
    /// Name of the target, at most 15 bytes.
    pub kind: &'a str,
    /// Parameters of the target.
    pub parameters: &'a str,
}

/// Creates a device without a table.
///
/// # Errors
/// The error of ioctl(2), or a name that is too long.
pub fn create(control: impl AsFd, name: &str, uuid: &str) -> io::Result<DeviceNumber> {
    let mut request = header(name, uuid, 0, HEADER)?;
    call(control, Command::Create, &mut request)?;
    Ok(device_number(&request))
}

/// Loads a read-only table of one target.
///
/// # Errors
/// The error of ioctl(2). EINVAL means that the target refused its parameters: the kernel's log has the reason.
pub fn load_read_only(control: impl AsFd, name: &str, target: &Target<'_>) -> io::Result<()> {
    call(control, Command::TableLoad, &mut table_load(name, target)?)
}

/// Makes the loaded table live.
///
/// # Errors
/// The error of ioctl(2).
pub fn resume(control: impl AsFd, name: &str) -> io::Result<()> {
    call(control, Command::Suspend, &mut header(name, "", 0, HEADER)?)
}

fn call(control: impl AsFd, command: Command, request: &mut [u8]) -> io::Result<()> {
    // SAFETY: the request is at least a dm_ioctl, and its data_size field holds its real length, which bounds what the
    // kernel reads and writes.
    if unsafe { libc::ioctl(control.as_fd().as_raw_fd(), command as libc::c_ulong, request.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `struct dm_ioctl`, followed by zeroes up to `size`.
fn header(name: &str, uuid: &str, flags: u32, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let data_size = u32::try_from(size).map_err(io::Error::other)?;
    // version[3], data_size, data_start
    let words = [4_u32, 0, 0, data_size, 312];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    bytes[28..32].copy_from_slice(&flags.to_ne_bytes());
    put_text(&mut bytes[NAME_OFFSET..NAME_OFFSET + NAME_LEN], name)?;
    put_text(&mut bytes[UUID_OFFSET..UUID_OFFSET + UUID_LEN], uuid)?;
    Ok(bytes)
}

fn table_load(name: &str, target: &Target<'_>) -> io::Result<Vec<u8>> {
    // The parameters end with a NUL. Each target occupies a multiple of 8 bytes.
    let spec = (TARGET + target.parameters.len() + 1).next_multiple_of(8);
    let mut bytes = header(name, "", DM_READONLY_FLAG, HEADER + spec)?;
    bytes[20..24].copy_from_slice(&1_u32.to_ne_bytes()); // target_count
    let (fixed, parameters) = bytes[HEADER..].split_at_mut(TARGET);
    fixed[8..16].copy_from_slice(&target.length.to_ne_bytes()); // sector_start stays 0
    fixed[20..24].copy_from_slice(&u32::try_from(spec).map_err(io::Error::other)?.to_ne_bytes()); // next
    put_text(&mut fixed[24..24 + TARGET_TYPE_LEN], target.kind)?;
    put_text(parameters, target.parameters)?;
    Ok(bytes)
}

fn put_text(field: &mut [u8], text: &str) -> io::Result<()> {
    if text.len() >= field.len() || text.contains('\0') {
        let message = format!("device-mapper: expected a text of less than {} bytes, found {text:?}", field.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    field[..text.len()].copy_from_slice(text.as_bytes());
    Ok(())
}

/// Decodes the `dev` field, the kernel's `huge_encode_dev`: the major number has 12 bits, between two parts of the minor number.
fn device_number(request: &[u8]) -> DeviceNumber {
    let mut field = [0; 4];
    field.copy_from_slice(&request[40..44]);
    let dev = u32::from_ne_bytes(field);
    DeviceNumber { major: (dev >> 8) & 0xfff, minor: (dev & 0xff) | ((dev >> 12) & 0xf_ff00) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout as the C compiler sees linux/dm-ioctl.h.
    #[test]
    fn requests_have_the_layout_of_dm_ioctl_h() {
        let target = Target { length: 0x1122, kind: "verity", parameters: "1 /dev/a /dev/b" };
        let bytes = table_load("root", &target).unwrap();
        assert_eq!(bytes.len(), 312 + 56);
        assert_eq!(bytes[..20], [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x70, 1, 0, 0, 0x38, 1, 0, 0]);
        assert_eq!(bytes[20..24], [1, 0, 0, 0]);
        assert_eq!(bytes[28..32], [1, 0, 0, 0]);
        assert_eq!(&bytes[48..53], b"root\0");
        assert!(bytes[176..312].iter().all(|&byte| byte == 0));
        assert_eq!(bytes[312..328], [0, 0, 0, 0, 0, 0, 0, 0, 0x22, 0x11, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[328..336], [0, 0, 0, 0, 56, 0, 0, 0]);
        assert_eq!(&bytes[336..352], b"verity\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(&bytes[352..], b"1 /dev/a /dev/b\0");
    }

    #[test]
    fn numbers_and_texts_are_checked_at_their_limits() {
        let mut request = vec![0; HEADER];
        request[40..44].copy_from_slice(&0x0030_fd02_u32.to_ne_bytes());
        assert_eq!(device_number(&request), DeviceNumber { major: 0xfd, minor: 0x302 });
        assert!(header(&"n".repeat(128), "", 0, HEADER).is_err());
        assert!(header("n\0", "", 0, HEADER).is_err());
        assert!(header(&"n".repeat(127), &"u".repeat(128), 0, HEADER).is_ok());
    }
}
