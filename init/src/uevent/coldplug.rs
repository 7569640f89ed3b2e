//! Coldplug: devices that the kernel announced before init listened for device events.

use std::{collections::BTreeSet, fs, path::Path};

/// The modaliases of all devices, without duplicates. Network devices and disks come first, because other parts of the boot wait for
/// them.
#[must_use]
pub fn modaliases(sys: &Path) -> Vec<String> {
    let mut found = BTreeSet::new();
    // Most devices are on a bus. A few devices with a modalias are only in a class (input, dmi).
    for bus in entries(&sys.join("bus")) {
        collect(&bus.join("devices"), &mut found);
    }
    for class in entries(&sys.join("class")) {
        collect(&class, &mut found);
    }
    let mut ordered: Vec<String> = found.into_iter().collect();
    ordered.sort_by_key(|alias| match alias.split(':').next() {
        Some("virtio") => 0,
        Some("pci" | "vmbus" | "xen") => 1,
        _ => 2,
    });
    ordered
}

fn collect(devices: &Path, found: &mut BTreeSet<String>) {
    for device in entries(devices) {
        // Most devices in classes have no modalias.
        let Ok(text) = fs::read_to_string(device.join("modalias")) else { continue };
        let alias = text.trim_end();
        if !alias.is_empty() {
            found.insert(alias.to_owned());
        }
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = std::path::PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buses_and_classes_are_searched_and_disks_come_first() {
        let sys = tempfile::tempdir().unwrap();
        for (path, alias) in [
            ("bus/cpu/devices/cpu0", "cpu:type:x86,ven0000\n"),
            ("bus/cpu/devices/cpu1", "cpu:type:x86,ven0000\n"),
            ("bus/virtio/devices/virtio0", "virtio:d00000002v00001AF4\n"),
            ("bus/pci/devices/0000:00:00.0", "pci:v00008086d00001237\n"),
            ("class/input/input0", "input:b0019v0000\n"),
            ("class/net/lo", "\n"),
        ] {
            let dir = sys.path().join(path);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("modalias"), alias).unwrap();
        }
        fs::create_dir_all(sys.path().join("class/tty/console")).unwrap();
        assert_eq!(
            modaliases(sys.path()),
            ["virtio:d00000002v00001AF4", "pci:v00008086d00001237", "cpu:type:x86,ven0000", "input:b0019v0000"]
        );
        assert!(modaliases(Path::new("/nowhere")).is_empty());
    }
}
