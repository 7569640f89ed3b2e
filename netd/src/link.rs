//! The interfaces that netd manages: Ethernet cards, found in sysfs.
//!
//! Links are read from sysfs; a netlink event is only the signal to read again. sysfs shows which interfaces are hardware, and a new
//! netlink attribute of a newer kernel cannot break the parsing.

use std::{collections::BTreeMap, fs, io, path::Path};

/// Where the kernel lists interfaces.
pub const SYS_CLASS_NET: &str = "/sys/class/net";
/// `ARPHRD_ETHER`.
const ETHERNET: &str = "1";

/// An Ethernet interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel name.
    pub name: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Whether the interface is set up.
    pub up: bool,
    /// Whether there is a carrier. False while the interface is down.
    pub carrier: bool,
    /// MTU in bytes.
    pub mtu: u32,
}

/// Which interfaces are managed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Interfaces with a device: no bridges, veth pairs, tunnels, loopback.
    Physical,
    /// Interfaces with these names, of any kind.
    Named(Vec<String>),
}

/// Reads the chosen interfaces, by index. Leaves out members of a bridge or bond, and an interface that disappears during the scan.
///
/// # Errors
/// When the directory cannot be read.
pub fn scan(directory: &Path, choice: &Choice) -> io::Result<BTreeMap<u32, Link>> {
    let mut links = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let chosen = match choice {
            Choice::Physical => path.join("device").exists(),
            Choice::Named(names) => names.iter().any(|chosen| chosen == name),
        };
        if chosen && !path.join("master").exists() {
            links.extend(read(&path, name));
        }
    }
    Ok(links)
}

fn read(path: &Path, name: &str) -> Option<(u32, Link)> {
    let text = |file: &str| fs::read_to_string(path.join(file)).ok().map(|text| text.trim_end().to_owned());
    if text("type")? != ETHERNET {
        return None;
    }
    let flags = u32::from_str_radix(text("flags")?.strip_prefix("0x")?, 16).ok()?;
    let link = Link {
        name: name.to_owned(),
        mac: parse_mac(&text("address")?)?,
        up: flags & 1 != 0,
        // Reading this file is an error while the interface is down.
        carrier: text("carrier").is_some_and(|carrier| carrier == "1"),
        mtu: text("mtu")?.parse().ok()?,
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
    fn interfaces_of_container_engines_are_not_hardware() {
        let root = tempfile::tempdir().unwrap();
        for (name, index, device) in [
            ("eth0", "2", true),
            ("lo", "1", false),
            ("docker0", "5", false),
            ("veth1a2b", "7", false),
            ("ens4", "3", true),
        ] {
            interface(root.path(), name, &[("ifindex", index)]);
            if device {
                fs::create_dir(root.path().join(name).join("device")).unwrap();
            }
        }
        fs::create_dir(root.path().join("ens4/master")).unwrap();
        fs::write(root.path().join("bonding_masters"), "").unwrap();
        let links = scan(root.path(), &Choice::Physical).unwrap();
        assert_eq!(links.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(links[&2].mac, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert!(links[&2].up && links[&2].carrier);
        let named = scan(root.path(), &Choice::Named(vec!["veth1a2b".into(), "none".into()])).unwrap();
        assert_eq!(named[&7].name, "veth1a2b");
    }
}
