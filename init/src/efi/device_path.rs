//! EFI device paths (UEFI 2.10, chapter 10.3), and the disk in sysfs that a path leads to.

use super::variable::utf16;
use berth_contract::disk::SECTOR;
use berth_formats::gpt::{Guid, Partition};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The way from the processor to a disk: host bridge, PCI devices, and the disk's address at its controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePath {
    /// `_UID` of the host bridge.
    bridge: u32,
    /// Device and function of each PCI device.
    pci: Vec<(u8, u8)>,
    unit: Unit,
}

/// The address of a disk at its controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// The controller has one disk, or an address that Linux counts in another way (USB).
    Unknown,
    /// Port of an AHCI controller.
    Sata { port: u16 },
    /// Target and logical unit.
    Scsi { target: u16, lun: u16 },
    /// NVMe namespace.
    Nvme { namespace: u32 },
}

// Types and subtypes of nodes.
const HARDWARE: u8 = 1;
const PCI: u8 = 1;
const ACPI: u8 = 2;
const MESSAGING: u8 = 3;
const MEDIA: u8 = 4;
const HARD_DRIVE: u8 = 1;
const FILE_PATH: u8 = 4;
const END: [u8; 4] = [0x7f, 0xff, 4, 0];
const SCSI: u8 = 2;
const MAC_ADDRESS: u8 = 11;
const SATA: u8 = 18;
const NVME: u8 = 23;
/// `EISA_ID`s of PNP0A03 and PNP0A08, the PCI and PCI Express host bridges.
const BRIDGES: [u32; 2] = [0x0a03_41d0, 0x0a08_41d0];
/// Type, subtype and length.
const HEAD: usize = 4;

impl DevicePath {
    /// Parses the nodes up to the partition. `None` when the path does not name hardware: a short path begins with the partition.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (mut rest, mut bridge, mut pci, mut unit) = (bytes, None, Vec::new(), Unit::Unknown);
        while let [kind @ (HARDWARE | ACPI | MESSAGING), subtype, low, high, ..] = *rest {
            let (node, behind) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])).max(HEAD))?;
            rest = behind;
            let body = &node[HEAD..];
            let short = |at: usize| Some(u16::from_le_bytes(*body.get(at..)?.first_chunk()?));
            let word = |at: usize| Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?));
            match (kind, subtype) {
                (ACPI, 1) if BRIDGES.contains(&word(0)?) => bridge = Some(word(4)?),
                (HARDWARE, PCI) => pci.push((*body.get(1)?, *body.first()?)),
                (MESSAGING, SCSI) => unit = Unit::Scsi { target: short(0)?, lun: short(2)? },
                (MESSAGING, SATA) => unit = Unit::Sata { port: short(0)? },
                // A network card: the kernel image has not come from a disk.
                (MESSAGING, MAC_ADDRESS) => return None,
                (MESSAGING, NVME) => unit = Unit::Nvme { namespace: word(0)? },
                (MESSAGING, _) => {}
                _ => return None,
            }
        }
        Some(Self { bridge: bridge?, pci, unit }).filter(|path| !path.pci.is_empty())
    }

    /// Whether the path leads to this disk. `name` is the disk's name in `/sys/block`.
    #[must_use]
    pub fn leads_to(&self, sys: &Path, name: &str) -> bool {
        let Ok(disk) = fs::canonicalize(sys.join("block").join(name)) else { return false };
        places(&disk).iter().any(|place| self.is_place(place, &disk))
    }

    /// Whether the path leads to `place`, a device in sysfs. `disk` is the disk there.
    fn is_place(&self, place: &Path, disk: &Path) -> bool {
        let (mut pci, mut scsi, mut unit_fits) = (Vec::new(), None, true);
        for folder in place.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let Some(part) = folder.file_name().and_then(|part| part.to_str()) else { continue };
            if let Some(address) = pci_address(part) {
                pci.push(address);
            } else if part.starts_with("pci") {
                // Without ACPI, Linux does not know the number of the bridge.
                if number(&folder.join("firmware_node/uid")).is_some_and(|uid| uid != u64::from(self.bridge)) {
                    return false;
                }
            } else if let (Unit::Sata { port }, true) = (self.unit, part.starts_with("ata")) {
                let found = number(&folder.join("ata_port").join(part).join("port_no"));
                unit_fits = found.is_none_or(|found| found == u64::from(port) + 1);
            } else {
                scsi = scsi_address(part).or(scsi);
            }
        }
        unit_fits &= match self.unit {
            Unit::Scsi { target, lun } => scsi.is_none_or(|found| found == (target, lun)),
            Unit::Nvme { namespace } => number(&disk.join("nsid")).is_none_or(|nsid| nsid == u64::from(namespace)),
            Unit::Unknown | Unit::Sata { .. } => true,
        };
        pci == self.pci && unit_fits
    }
}

/// The devices in sysfs through which a disk is reached. The kernel puts an NVMe disk that may have several controllers below a virtual
/// subsystem, which has a link to each controller.
fn places(disk: &Path) -> Vec<PathBuf> {
    let subsystem = disk.parent().filter(|folder| {
        folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("nvme-subsys"))
    });
    let Some(subsystem) = subsystem else { return vec![disk.to_owned()] };
    let entries = fs::read_dir(subsystem).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(|entry| fs::canonicalize(entry.path()).ok()).collect()
}

/// The first node: type, subtype, body; and the nodes behind it. `None` at the end, and if the node is cut off.
fn split(path: &[u8]) -> Option<(u8, u8, &[u8], &[u8])> {
    let [kind, subtype, low, high, ..] = *path else { return None };
    let length = usize::from(u16::from_le_bytes([low, high])).max(HEAD);
    let (node, behind) = path.split_at_checked(length).filter(|_| kind != END[0])?;
    Some((kind, subtype, &node[HEAD..], behind))
}

/// The nodes of a path before the partition.
#[must_use]
pub fn hardware(path: &[u8]) -> &[u8] {
    let mut rest = path;
    while let Some((HARDWARE | ACPI | MESSAGING, _, _, behind)) = split(rest) {
        rest = behind;
    }
    &path[..path.len() - rest.len()]
}

/// The file that a path leads to.
#[must_use]
pub fn file(path: &[u8]) -> Option<String> {
    let mut rest = path;
    loop {
        let (kind, subtype, body, behind) = split(rest)?;
        if (kind, subtype) == (MEDIA, FILE_PATH) {
            let units = body.as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0);
            return String::from_utf16(&units.collect::<Vec<_>>()).ok();
        }
        rest = behind;
    }
}

/// The path of a file on a partition, behind these nodes. Without such nodes it is a short path: firmware searches the partition.
#[must_use]
pub fn of_file(hardware: &[u8], partition: &Partition, file: &str) -> Vec<u8> {
    // Partition format and signature type: GPT, GUID.
    let kinds = [2, 2];
    let drive = [
        &partition.number.to_le_bytes()[..],
        &(partition.start / SECTOR).to_le_bytes(),
        &(partition.size / SECTOR).to_le_bytes(),
        &on_disk(partition.guid),
        &kinds,
    ];
    [hardware, &node(HARD_DRIVE, &drive.concat()), &node(FILE_PATH, &utf16(file)), &END].concat()
}

/// A node of type [`MEDIA`].
fn node(subtype: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEAD + body.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&[MEDIA, subtype][..], &length, body].concat()
}

/// A GUID in the order of UEFI: the first three fields are little-endian.
fn on_disk(mut guid: Guid) -> Guid {
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    guid
}

/// Device and function of `DOMAIN:BUS:DEVICE.FUNCTION`.
fn pci_address(part: &str) -> Option<(u8, u8)> {
    let (bus, function) = part.split_once('.')?;
    let mut fields = bus.split(':');
    let (_, _, device, None) = (fields.next()?, fields.next()?, fields.next()?, fields.next()) else { return None };
    Some((u8::from_str_radix(device, 16).ok()?, function.parse().ok()?))
}

/// Target and logical unit of `HOST:CHANNEL:TARGET:LUN`.
fn scsi_address(part: &str) -> Option<(u16, u16)> {
    let fields: Vec<u16> = part.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [_, _, target, lun] = fields[..] else { return None };
    Some((target, lun))
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim_end().parse().ok()
}

/// Device paths for tests.
#[cfg(test)]
pub(crate) mod fixture {
    /// A node.
    pub(crate) fn node(kind: u8, subtype: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len() + 4).unwrap().to_le_bytes();
        [&[kind, subtype][..], &length, body].concat()
    }

    /// `PciRoot(0)/Pci(DEVICE,0)` as OVMF writes it, then `rest`, then the end.
    pub(crate) fn path(device: u8, rest: &[u8]) -> Vec<u8> {
        let bridge = node(2, 1, &[0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0]);
        [&bridge[..], &node(1, 1, &[0, device]), rest, &node(0x7f, 0xff, &[])].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        fixture::{node, path},
        *,
    };
    use std::os::unix::fs::symlink;

    /// A sysfs with disks at these places.
    fn sysfs(disks: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("block")).unwrap();
        for place in disks {
            let place = dir.path().join("devices").join(place);
            fs::create_dir_all(&place).unwrap();
            symlink(&place, dir.path().join("block").join(place.file_name().unwrap())).unwrap();
        }
        dir
    }

    #[test]
    fn a_path_leads_to_one_of_two_equal_disks() {
        let sys = sysfs(&[
            "pci0000:00/0000:00:03.0/virtio1/block/vda",
            "pci0000:00/0000:00:04.0/virtio2/block/vdb",
            "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda",
            "pci0000:00/0000:00:1f.2/ata2/host1/target1:0:0/1:0:0:0/block/sdb",
            "pci0000:00/0000:00:05.0/virtio3/host2/target2:0:0/2:0:0:0/block/sdc",
            "pci0000:00/0000:00:05.0/virtio3/host2/target2:0:1/2:0:1:0/block/sdd",
            "pci0000:00/0000:00:06.0/0000:02:00.0/nvme/nvme0/nvme0n1",
            "pci0000:00/0000:00:06.0/0000:02:00.0/nvme/nvme0/nvme0n2",
            "virtual/block/loop0",
            "virtual/nvme-subsystem/nvme-subsys1/nvme1n1",
        ]);
        // An NVMe disk that may have several controllers.
        let controller = sys.path().join("devices/pci0000:00/0000:00:08.0/nvme/nvme1");
        fs::create_dir_all(&controller).unwrap();
        symlink(controller, sys.path().join("devices/virtual/nvme-subsystem/nvme-subsys1/nvme1")).unwrap();
        let at = |place: &str, text: &str| {
            let file = sys.path().join("devices/pci0000:00").join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        at("firmware_node/uid", "0\n");
        at("0000:00:1f.2/ata1/ata_port/ata1/port_no", "1\n");
        at("0000:00:1f.2/ata2/ata_port/ata2/port_no", "2\n");
        at("0000:00:06.0/0000:02:00.0/nvme/nvme0/nvme0n1/nsid", "1\n");
        at("0000:00:06.0/0000:02:00.0/nvme/nvme0/nvme0n2/nsid", "2\n");
        let partition = node(4, 1, &[0; 38]);
        let sata = |port: u8| [node(3, 18, &[port, 0, 0xff, 0xff, 0, 0]), partition.clone()].concat();
        let ahci = [
            node(2, 1, &[0xd0, 0x41, 0x08, 0x0a, 0, 0, 0, 0]),
            node(1, 1, &[2, 0x1f]),
            node(3, 18, &[1, 0, 0xff, 0xff, 0, 0]),
        ];
        let nvme = [node(1, 1, &[0, 0]), node(3, 23, &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])].concat();
        for (bytes, leads_to) in [
            (path(3, &partition), &["vda"][..]),
            (path(4, &[]), &["vdb"]),
            (path(7, &[]), &[]),
            (ahci.concat(), &["sdb"]),
            (path(5, &node(3, 2, &[1, 0, 0, 0])), &["sdd"]),
            (path(5, &node(3, 2, &[1, 0, 1, 0])), &[]),
            (path(5, &node(3, 5, &[0, 0])), &["sdc", "sdd"]),
            (path(6, &nvme), &["nvme0n2"]),
            (path(8, &node(3, 23, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])), &["nvme1n1"]),
            (path(0x1f, &sata(1)), &[]),
        ] {
            let parsed = DevicePath::parse(&bytes).unwrap();
            let all = ["vda", "vdb", "sda", "sdb", "sdc", "sdd", "nvme0n1", "nvme0n2", "nvme1n1", "loop0", "none"];
            let found: Vec<&str> = all.into_iter().filter(|name| parsed.leads_to(sys.path(), name)).collect();
            assert_eq!(found, leads_to, "{parsed:?}");
        }
        at("firmware_node/uid", "1\n");
        assert!(!DevicePath::parse(&path(3, &[])).unwrap().leads_to(sys.path(), "vda"), "another host bridge");
    }

    #[test]
    fn short_and_broken_paths_lead_nowhere() {
        let partition = node(4, 1, &[0; 38]);
        let whole = path(3, &partition);
        for bytes in [
            &partition[..],
            &[],
            &node(0x7f, 0xff, &[]),
            &node(1, 4, &[0; 16]),
            &path(3, &node(3, 11, &[0; 33])),
            &[1, 1, 0, 0],
            &[2, 1, 12],
        ] {
            assert_eq!(DevicePath::parse(bytes), None, "{bytes:?}");
        }
        // A path that ends too early is no path, or the one without its end.
        for end in 0..whole.len() {
            let parsed = DevicePath::parse(&whole[..end]);
            assert!(parsed.is_none() || end >= 18, "{end}: {parsed:?}");
        }
    }
}
