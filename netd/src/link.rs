//! The host's links, found in sysfs.
//!
//! Links are read from sysfs; a netlink event is only the signal to read again. sysfs shows which interfaces are hardware, and a new
//! netlink attribute of a newer kernel cannot break the parsing.

use crate::rtnetlink::link::OWN_GROUP;
use std::{collections::BTreeMap, fs, io, path::Path};

/// Where the kernel lists interfaces.
pub const SYS_CLASS_NET: &str = "/sys/class/net";
/// `ARPHRD_ETHER`.
const ETHERNET: &str = "1";
/// Paths of devices are shown and matched without this beginning.
const DEVICES: &str = "/sys/devices/";

/// A link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Kernel name.
    pub name: String,
    /// Ethernet's hardware address; `None` for other links.
    pub mac: Option<[u8; 6]>,
    /// Whether the interface is set up.
    pub up: bool,
    /// Whether there is a carrier. False while the interface is down.
    pub carrier: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// Whether the link has a device: no bridge, veth pair, tunnel, loopback.
    pub is_hardware: bool,
    /// Name of the device's driver.
    pub driver: Option<String>,
    /// Path of the device below `/sys/devices`.
    pub path: Option<String>,
    /// Index of the bond or bridge that the link is a port of.
    pub master: Option<u32>,
    /// Name of the primary port, if the link is a bond and has one.
    pub primary: Option<String>,
    /// Whether netd has made the link.
    pub is_ours: bool,
    /// The text that netd has set when it made the link.
    pub alias: String,
}

/// Which links netd may manage without being told their names in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Links with a device: no bridges, veth pairs, tunnels, loopback.
    Physical,
    /// Links with these names, of any kind.
    Named(Vec<String>),
}

impl Choice {
    /// Whether the link is one of them.
    #[must_use]
    pub fn has(&self, link: &Link) -> bool {
        match self {
            Self::Physical => link.is_hardware,
            Self::Named(names) => names.contains(&link.name),
        }
    }
}

/// Reads the links that are hardware, made by netd, or `named`, by index. Leaves out a link that disappears during the scan.
///
/// # Errors
/// When the directory cannot be read.
pub fn scan(directory: &Path, named: impl Fn(&str) -> bool) -> io::Result<BTreeMap<u32, Link>> {
    let mut links = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_hardware = path.join("device").exists();
        let is_ours = !is_hardware && text(&path, "netdev_group").is_some_and(|group| group == OWN_GROUP.to_string());
        // A host has many links of container engines. Their other files are not read.
        if is_hardware || is_ours || named(name) {
            links.extend(read(&path, name).map(|(index, link)| (index, Link { is_hardware, is_ours, ..link })));
        }
    }
    Ok(links)
}

fn text(path: &Path, file: &str) -> Option<String> {
    fs::read_to_string(path.join(file)).ok().map(|text| text.trim_end().to_owned())
}

fn read(path: &Path, name: &str) -> Option<(u32, Link)> {
    let text = |file: &str| text(path, file);
    let is_ethernet = text("type")? == ETHERNET;
    let flags = u32::from_str_radix(text("flags")?.strip_prefix("0x")?, 16).ok()?;
    let device = fs::canonicalize(path.join("device")).ok();
    let device = device.as_deref().and_then(Path::to_str).map(|path| path.strip_prefix(DEVICES).unwrap_or(path));
    let driver = fs::read_link(path.join("device/driver")).ok();
    let link = Link {
        name: name.to_owned(),
        mac: text("address").filter(|_| is_ethernet).and_then(|mac| parse_mac(&mac)),
        up: flags & 1 != 0,
        // Reading this file is an error while the interface is down.
        carrier: text("carrier").is_some_and(|carrier| carrier == "1"),
        mtu: text("mtu")?.parse().ok()?,
        driver: driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned),
        path: device.map(str::to_owned),
        master: text("master/ifindex").and_then(|index| index.parse().ok()),
        primary: text("bonding/primary").filter(|name| !name.is_empty()),
        alias: text("ifalias").unwrap_or_default(),
        ..Link::default()
    };
    Some((text("ifindex")?.parse().ok()?, link))
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn interface(root: &Path, name: &str, files: &[(&str, &str)]) {
        let dir = root.join(name);
        fs::create_dir(&dir).unwrap();
        let usual =
            [("type", "1"), ("flags", "0x1003"), ("address", "52:54:00:12:34:56"), ("carrier", "1"), ("mtu", "1500")];
        for (file, text) in usual.iter().chain(files) {
            fs::write(dir.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn interfaces_of_container_engines_are_not_read() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("pci0000:00/0000:00:03.0");
        fs::create_dir_all(&device).unwrap();
        symlink("/x/virtio_net", device.join("driver")).unwrap();
        for (name, index, group, is_hardware) in [
            ("eth0", "2", "0", true),
            ("lo", "1", "0", false),
            ("docker0", "5", "0", false),
            ("veth1a2b", "7", "0", false),
            ("ens4", "3", "0", true),
            ("bond7", "8", "1852142692", false),
        ] {
            interface(root.path(), name, &[("ifindex", index), ("netdev_group", group)]);
            if is_hardware {
                symlink(&device, root.path().join(name).join("device")).unwrap();
            }
        }
        symlink(root.path().join("bond7"), root.path().join("ens4/master")).unwrap();
        fs::write(root.path().join("bonding_masters"), "").unwrap();
        let links = scan(root.path(), |_| false).unwrap();
        assert_eq!(links.keys().collect::<Vec<_>>(), [&2, &3, &8]);
        assert_eq!(links[&2].mac, Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert!(links[&2].up && links[&2].carrier && links[&2].is_hardware && !links[&2].is_ours);
        assert_eq!((links[&2].driver.as_deref(), links[&2].master), (Some("virtio_net"), None));
        assert!(links[&2].path.as_ref().unwrap().ends_with("pci0000:00/0000:00:03.0"));
        assert_eq!(links[&3].master, Some(8));
        assert!(links[&8].is_ours);
        let named = scan(root.path(), |name| name == "veth1a2b").unwrap();
        assert_eq!(named[&7].name, "veth1a2b");
        assert!(Choice::Physical.has(&links[&2]) && !Choice::Physical.has(&named[&7]));
        assert!(Choice::Named(vec!["veth1a2b".into()]).has(&named[&7]));
    }
}
