//! The root device: opens dm-verity with ioctls, and mounts the EROFS on it.

use crate::{
    block, console,
    slot::Found,
    sys::dm::{self, Target},
};
use berth_contract::{
    digest::RootHash,
    disk::SECTOR,
    fault::{At, PathError},
    paths,
};
use berth_formats::verity;
use rustix::{
    fs::{CWD, FileType, Mode, makedev, mknodat},
    mount::{MountFlags, mount},
};
use std::{
    fs::{self, OpenOptions},
    path::Path,
};

const CONTROL: &str = "/dev/mapper/control";
const NAME: &str = "root";
const NODE: &str = "/dev/mapper/root";
/// Mount point of the root file system until the switch.
pub const SYSROOT: &str = "/sysroot";
/// Options of dm-verity, best first: the kernel panics and reboots when a block is corrupt or cannot be read, so that a version on trial
/// uses a try, and a blessed version is replaced by the other one. Kernels before 6.12 do not know the second word, kernels before 5.9 only
/// know the last row.
const ON_FAULT: [&[&str]; 3] =
    [&["panic_on_corruption", "panic_on_error"], &["panic_on_corruption"], &["restart_on_corruption"]];

/// Opens the slot as /dev/mapper/root.
///
/// # Errors
/// When the kernel refuses a step.
pub fn open(found: &Found, root_hash: RootHash) -> Result<(), PathError> {
    let control = OpenOptions::new().read(true).write(true).open(CONTROL).at("open", CONTROL)?;
    // The same UUID as cryptsetup would set, so that `veritysetup status root` recognizes the device.
    let uuid: String = found.superblock.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let device = dm::create(&control, NAME, &format!("CRYPT-VERITY-{uuid}-{NAME}")).at("create", NODE)?;
    let (data, hash) = (block::node(&found.data.name), block::node(&found.verity.name));
    let (data, hash) = (data.to_string_lossy(), hash.to_string_lossy());
    let load = |options: &[&str]| {
        let table = verity::table(&found.superblock, &data, &hash, &root_hash, options);
        console::debug(format_args!("verity table: {table}"));
        let length = found.superblock.data_size() / SECTOR;
        dm::load_read_only(&control, NAME, &Target { length, kind: "verity", parameters: &table })
    };
    let loaded = load(ON_FAULT[0]).or_else(|_| load(ON_FAULT[1])).or_else(|_| load(ON_FAULT[2]));
    loaded.at("load the verity table of", NODE)?;
    dm::resume(&control, NAME).at("resume", NODE)?;
    // There is no udev: the kernel itself makes only /dev/dm-0.
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, NODE, FileType::BlockDevice, mode, makedev(device.major, device.minor)).at("make node", NODE)
}

/// Mounts the root file system and checks that it has an init. After the switch to it, a missing init could not be reported.
///
/// # Errors
/// When the root file system cannot be mounted, or has no init.
pub fn mount_root() -> Result<(), PathError> {
    fs::create_dir_all(SYSROOT).at("create", SYSROOT)?;
    mount(NODE, SYSROOT, "erofs", MountFlags::RDONLY, None).at("mount", NODE)?;
    let init = Path::new(SYSROOT).join(paths::INIT.trim_start_matches('/'));
    fs::metadata(&init).at("find", &init).map(drop)
}
