//! The clock at the start of the host. A battery-backed clock may be wrong by decades: it may be at its first year, or the kernel may
//! read the year 70 as 2070. The clock is never before the image was made, and never long after it, as systemd decides it too
//! (`clock_apply_epoch`). netd asks time servers later.

use berth_contract::fault::{At, PathError};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// systemd's `CLOCK_VALID_RANGE_USEC_MAX`: 15 years, in seconds.
const LONGEST_USE: i64 = 15 * 31_557_600;

/// A clock that was wrong, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What the clock said.
    pub said: i64,
    /// The date of the image, which the clock says now.
    pub image: i64,
}

/// Sets the clock to the date of the image if it is before that date, or more than 15 years after it. All files of an image have its
/// date, so `image_file` is any of them.
///
/// # Errors
/// When the file cannot be examined, or the clock cannot be set.
pub fn correct(image_file: &Path) -> Result<Option<Wrong>, PathError> {
    let image = fs::metadata(image_file).at("examine", image_file)?.mtime();
    let said = clock_gettime(ClockId::Realtime).tv_sec;
    if is_plausible(said, image) {
        return Ok(None);
    }
    clock_settime(ClockId::Realtime, Timespec { tv_sec: image, tv_nsec: 0 }).at("set", "clock")?;
    Ok(Some(Wrong { said, image }))
}

fn is_plausible(said: i64, image: i64) -> bool {
    (image..=image.saturating_add(LONGEST_USE)).contains(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_image_or_decades_after_it_is_wrong() {
        // 2026-11-20; 2001; 1970; 2070, as which the kernel reads a year 70; the next day; 2041, and 2042.
        let image = 1_795_132_800;
        for (said, wanted) in [
            (978_307_200, false),
            (0, false),
            (3_155_760_000, false),
            (image - 1, false),
            (image, true),
            (image + 86_400, true),
            (image + 15 * 31_557_600, true),
            (image + 16 * 31_557_600, false),
        ] {
            assert_eq!(is_plausible(said, image), wanted, "{said}");
        }
    }
}
