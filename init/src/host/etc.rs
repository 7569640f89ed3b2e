//! /etc: an overlay over the /etc of the image, with an upper layer in memory. Changes are lost at the next boot.

use berth_contract::fault::{At, PathError};
use rustix::mount::{MountFlags, mount};
use std::fs;

const UPPER: &str = "/run/berth/etc/upper";
const WORK: &str = "/run/berth/etc/work";

/// Mounts the overlay.
///
/// # Errors
/// When the kernel refuses the mount. /etc is then the read-only directory of the image.
pub fn mount_overlay() -> Result<(), PathError> {
    for directory in [UPPER, WORK] {
        fs::create_dir_all(directory).at("create", directory)?;
    }
    let data = c"lowerdir=/etc,upperdir=/run/berth/etc/upper,workdir=/run/berth/etc/work";
    mount("etc", "/etc", "overlay", MountFlags::NOSUID | MountFlags::NODEV, Some(data))
        .at("mount an overlay on", "/etc")
}
