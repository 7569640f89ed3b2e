//! Whether the drivers have found the devices that were there at boot.
//!
//! Loading a driver's module returns when the driver has probed its devices, and each device that it finds has sent an event by then. So
//! without buses that look for devices later, the devices are complete when no event is left. USB is such a bus.

use std::{
    fs,
    path::Path,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// A hub switches its ports on, waits until the contacts are stable, and resets the device: about half a second for each hub in a row.
const HUB: Duration = Duration::from_secs(1);
/// usb-storage waits a second before it looks at a device, and some devices need more until they answer.
const STORAGE: Duration = Duration::from_secs(3);
/// `USB_CLASS_MASS_STORAGE` of linux/usb/ch9.h, as sysfs shows it.
const MASS_STORAGE: &str = "08";

/// Set once, by the thread that loads the drivers.
#[derive(Debug, Default)]
pub struct Settled {
    is: Mutex<bool>,
    changed: Condvar,
}

impl Settled {
    /// Waits until the devices are complete, at most for `limit`. Returns whether they are.
    pub fn wait(&self, limit: Duration) -> bool {
        let is = self.is.lock().unwrap_or_else(PoisonError::into_inner);
        *self.changed.wait_timeout_while(is, limit, |is| !*is).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn set(&self) {
        *self.is.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

/// How long to wait for the next device event before the devices count as complete.
pub(super) fn patience(sys: &Path) -> Duration {
    let devices = || fs::read_dir(sys.join("bus/usb/devices")).into_iter().flatten().flatten();
    let is_storage = |interface: &Path| {
        fs::read_to_string(interface.join("bInterfaceClass")).is_ok_and(|class| class.trim_end() == MASS_STORAGE)
    };
    if devices().any(|device| is_storage(&device.path()) && !has_target(&device.path())) {
        STORAGE
    } else if devices().next().is_some() {
        HUB
    } else {
        Duration::ZERO
    }
}

/// Whether the driver of this USB interface has found a disk or drive: `hostN/targetN:0:0`.
fn has_target(interface: &Path) -> bool {
    let starts = |folder: &Path, word: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(word))
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    starts(interface, "host").iter().any(|host| !starts(host, "target").is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usb_is_waited_for_and_longer_while_a_stick_has_no_disk() {
        let sys = tempfile::tempdir().unwrap();
        let devices = sys.path().join("bus/usb/devices");
        assert_eq!(patience(sys.path()), Duration::ZERO);
        fs::create_dir_all(devices.join("usb1")).unwrap();
        assert_eq!(patience(sys.path()), HUB);
        let stick = devices.join("1-1:1.0");
        fs::create_dir_all(stick.join("host2")).unwrap();
        fs::write(stick.join("bInterfaceClass"), "08\n").unwrap();
        assert_eq!(patience(sys.path()), STORAGE);
        fs::create_dir(stick.join("host2/target2:0:0")).unwrap();
        assert_eq!(patience(sys.path()), HUB);
    }

    #[test]
    fn waiting_ends_when_it_is_set_or_at_the_limit() {
        let settled = Settled::default();
        assert!(!settled.wait(Duration::from_millis(10)));
        std::thread::scope(|scope| {
            scope.spawn(|| settled.set());
            assert!(settled.wait(Duration::from_secs(60)));
        });
    }
}
