//! Device events: messages of the kernel's uevent socket, lib/kobject_uevent.c, and the devices that were present before init
//! listened.

pub mod coldplug;
pub mod listener;
mod settled;
pub mod socket;

pub use settled::Settled;
pub use socket::UeventSocket;

/// One device event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uevent {
    /// `add`, `remove`, `change`, ...
    pub action: String,
    /// Path of the device below /sys.
    pub devpath: String,
    /// Subsystem, e.g. `block`.
    pub subsystem: String,
    /// The modalias: the aliases of drivers are compared with it.
    pub modalias: Option<String>,
    /// Name of the device node below /dev.
    pub devname: Option<String>,
}

/// Parses a message: `ACTION@DEVPATH`, then `KEY=VALUE` fields, each ended by NUL. `None` for other messages, such as those of udevd,
/// which start with `libudev`.
#[must_use]
pub fn parse(message: &[u8]) -> Option<Uevent> {
    let text = std::str::from_utf8(message).ok()?;
    let mut fields = text.split('\0');
    let (action, devpath) = fields.next()?.split_once('@')?;
    let mut event = Uevent { action: action.to_owned(), devpath: devpath.to_owned(), ..Uevent::default() };
    for (key, value) in fields.filter_map(|field| field.split_once('=')) {
        match key {
            "SUBSYSTEM" => value.clone_into(&mut event.subsystem),
            "MODALIAS" => event.modalias = Some(value.to_owned()),
            "DEVNAME" => event.devname = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_kernel_are_parsed_and_others_are_not() {
        let event = parse(
            b"add@/devices/pci0000:00/0000:00:03.0/virtio0\0ACTION=add\0DEVPATH=/devices/pci0000:00/0000:00:03.0/virtio0\0\
              SUBSYSTEM=virtio\0MODALIAS=virtio:d00000002v00001AF4\0SEQNUM=1042\0",
        )
        .unwrap();
        assert_eq!((event.action.as_str(), event.subsystem.as_str()), ("add", "virtio"));
        assert_eq!(event.modalias.as_deref(), Some("virtio:d00000002v00001AF4"));
        let event =
            parse(b"remove@/devices/x/block/vda/vda1\0SUBSYSTEM=block\0DEVNAME=vda1\0DEVTYPE=partition\0").unwrap();
        assert_eq!((event.devname.as_deref(), event.modalias), (Some("vda1"), None));
        assert_eq!(parse(b"libudev\0\xfe\xed\xca\xfe"), None);
        assert_eq!(parse(b""), None);
    }
}
