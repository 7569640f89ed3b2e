//! The ACPI power button, an input device (evdev, linux/input.h).

use rustix::{
    fs::{Mode, OFlags, open},
    io::{Errno, read},
};
use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Size of `struct input_event` on a 64-bit machine: two times of 8 bytes, type and code of 2 bytes, value of 4 bytes.
const EVENT: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// An open button. Poll it for reading, then ask [`PowerButton::pressed`].
#[derive(Debug)]
pub struct PowerButton(OwnedFd);

/// Opens all power buttons. A machine may have two: the fixed ACPI button, and one that the ACPI tables describe.
///
/// # Errors
/// When the node of a button cannot be opened.
pub fn open_all() -> io::Result<Vec<PowerButton>> {
    let Ok(devices) = fs::read_dir("/sys/class/input") else { return Ok(Vec::new()) };
    let mut buttons = Vec::new();
    for device in devices.flatten() {
        let name = device.file_name();
        if name.as_encoded_bytes().starts_with(b"event") && is_button(&device.path()) {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
            buttons.push(PowerButton(open(Path::new("/dev/input").join(name), flags, Mode::empty())?));
        }
    }
    Ok(buttons)
}

fn is_button(device: &Path) -> bool {
    fs::read_to_string(device.join("device/name")).is_ok_and(|name| name.trim_end() == "Power Button")
}

impl PowerButton {
    /// Reads all waiting events. Returns whether the button was pressed.
    ///
    /// # Errors
    /// The error of read(2), e.g. ENODEV when the device was removed. Do not poll the button after that.
    pub fn pressed(&self) -> io::Result<bool> {
        let mut events = [0; EVENT * 16];
        let mut down = false;
        loop {
            match read(&self.0, &mut events) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(down),
                Ok(count) => down |= is_press(&events[..count]),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for PowerButton {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether one of the events is a press of the power key: value 1. Value 0 is a release, value 2 a repeat.
fn is_press(events: &[u8]) -> bool {
    events.chunks_exact(EVENT).any(|event| {
        let kind = u16::from_ne_bytes([event[16], event[17]]);
        let code = u16::from_ne_bytes([event[18], event[19]]);
        let value = i32::from_ne_bytes([event[20], event[21], event[22], event[23]]);
        (kind, code, value) == (EV_KEY, KEY_POWER, 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        [&[0; 16][..], &kind.to_ne_bytes(), &code.to_ne_bytes(), &value.to_ne_bytes()].concat()
    }

    #[test]
    fn only_a_press_of_the_power_key_counts() {
        assert!(is_press(&[event(0, 0, 0), event(1, 116, 1), event(0, 0, 0)].concat()));
        for other in [event(1, 116, 0), event(1, 116, 2), event(1, 142, 1), event(4, 116, 1), vec![1; 23]] {
            assert!(!is_press(&other));
        }
    }

    #[test]
    fn all_waiting_events_of_a_button_are_read() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let button = PowerButton(reader);
        assert!(!button.pressed().unwrap());
        rustix::io::write(&writer, &[event(1, 116, 1), event(1, 116, 0)].concat()).unwrap();
        assert!(button.pressed().unwrap());
        assert!(!button.pressed().unwrap());
    }
}
