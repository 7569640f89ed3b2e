//! The EFI system partition: Microsoft's "FAT: General Overview of On-Disk Format" 1.03, FAT32.

use super::{
    place::{Fields, Place},
    uki,
    view::View,
};

const BOOT_SECTOR: Fields = &[
    (0, "BS_jmpBoot"),
    (3, "BS_OEMName"),
    (11, "BPB_BytsPerSec"),
    (13, "BPB_SecPerClus"),
    (14, "BPB_RsvdSecCnt"),
    (16, "BPB_NumFATs"),
    (17, "BPB_RootEntCnt"),
    (19, "BPB_TotSec16"),
    (21, "BPB_Media"),
    (22, "BPB_FATSz16"),
    (24, "BPB_SecPerTrk"),
    (26, "BPB_NumHeads"),
    (28, "BPB_HiddSec"),
    (32, "BPB_TotSec32"),
    (36, "BPB_FATSz32"),
    (40, "BPB_ExtFlags"),
    (42, "BPB_FSVer"),
    (44, "BPB_RootClus"),
    (48, "BPB_FSInfo"),
    (50, "BPB_BkBootSec"),
    (52, "BPB_Reserved"),
    (64, "BS_DrvNum"),
    (65, "BS_Reserved1"),
    (66, "BS_BootSig"),
    (67, "BS_VolID"),
    (71, "BS_VolLab"),
    (82, "BS_FilSysType"),
    (90, "boot code"),
    (510, "signature"),
    (512, ""),
];
const FS_INFO: Fields = &[
    (0, "FSI_LeadSig"),
    (4, "FSI_Reserved1"),
    (484, "FSI_StrucSig"),
    (488, "FSI_Free_Count"),
    (492, "FSI_Nxt_Free"),
    (496, "FSI_Reserved2"),
    (508, "FSI_TrailSig"),
    (512, ""),
];
const ENTRY: Fields = &[
    (0, "DIR_Name"),
    (11, "DIR_Attr"),
    (12, "DIR_NTRes"),
    (13, "DIR_CrtTimeTenth"),
    (14, "DIR_CrtTime"),
    (16, "DIR_CrtDate"),
    (18, "DIR_LstAccDate"),
    (20, "DIR_FstClusHI"),
    (22, "DIR_WrtTime"),
    (24, "DIR_WrtDate"),
    (26, "DIR_FstClusLO"),
    (28, "DIR_FileSize"),
    (ENTRY_LEN, ""),
];
const ENTRY_LEN: u64 = 32;
const LONG_NAME: u8 = 0x0f;
const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;

pub(super) fn place(view: &View, at: u64) -> Option<Place> {
    let volume = Volume::read(view)?;
    let (sector, backup) = (volume.sector, view.u16(50)? * volume.sector);
    for (which, start) in [("", 0), ("backup of the ", backup)] {
        let tables = [("boot sector", BOOT_SECTOR, start), ("FSInfo sector", FS_INFO, start + view.u16(48)? * sector)];
        for (name, fields, start) in tables {
            if let Some(field) = Place::field(fields, start, at) {
                return Some(field.within(format!("{which}{name}"), 0));
            }
        }
    }
    if at < volume.fats {
        return Some(Place::new("reserved sectors", volume.fats));
    }
    let mut files = Vec::new();
    volume.walk("", volume.root, 0, &mut files)?;
    let owner = |cluster: u64| files.iter().find(|file| file.clusters.contains(&cluster));
    if at < volume.data {
        let (fat, inside) = ((at - volume.fats) / volume.fat_len, (at - volume.fats) % volume.fat_len);
        let cluster = inside / 4;
        let of = match owner(cluster) {
            Some(file) => format!("FAT {}: entry of cluster {cluster}, of {}", fat + 1, file.path),
            None => format!("FAT {}: entry of cluster {cluster}", fat + 1),
        };
        return Some(Place::new(of, at - inside % 4 + 4));
    }
    let cluster = 2 + (at - volume.data) / volume.cluster;
    let end = volume.start(cluster) + volume.cluster;
    let Some(file) = owner(cluster) else { return Some(Place::new(format!("cluster {cluster}, which is free"), end)) };
    let index = file.clusters.iter().position(|own| *own == cluster)? as u64;
    let inside = index * volume.cluster + at - volume.start(cluster);
    if file.directory {
        return volume.entry(file, inside, at);
    }
    if inside >= file.size {
        return Some(Place::new(format!("behind the end of {}", file.path), end));
    }
    let name = format!("file {}", file.path);
    let kernel = file.path.ends_with(".efi").then(|| uki::inside(&volume.content(file)?, inside)).flatten();
    Some(match kernel {
        Some(place) => Place::new(format!("{name}: {}", place.name), at + place.end.saturating_sub(inside).max(1)),
        None => Place::new(format!("{name}: byte {inside}"), end),
    })
}

struct Volume<'a> {
    view: &'a View,
    sector: u64,
    cluster: u64,
    fats: u64,
    fat_len: u64,
    data: u64,
    root: u64,
}

/// A file or folder.
struct Node {
    path: String,
    directory: bool,
    size: u64,
    clusters: Vec<u64>,
}

impl<'a> Volume<'a> {
    fn read(view: &'a View) -> Option<Self> {
        let sector = view.u16(11).filter(|sector| *sector > 0)?;
        let cluster = sector * view.u8(13).filter(|sectors| *sectors > 0)?;
        let (fats, fat_len) = (view.u16(14)? * sector, view.u32(36).filter(|sectors| *sectors > 0)? * sector);
        let data = fats + view.u8(16)? * fat_len;
        Some(Self { view, sector, cluster, fats, fat_len, data, root: view.u32(44)? })
    }

    fn start(&self, cluster: u64) -> u64 {
        self.data + cluster.saturating_sub(2) * self.cluster
    }

    fn chain(&self, first: u64) -> Option<Vec<u64>> {
        let (mut chain, mut next) = (Vec::new(), first);
        while (2..0x0fff_fff8).contains(&next) {
            // A chain that is longer than the table runs in circles.
            if chain.len() as u64 > self.fat_len / 4 {
                return None;
            }
            chain.push(next);
            next = self.view.u32(self.fats + next * 4)? & 0x0fff_ffff;
        }
        Some(chain)
    }

    fn content(&self, file: &Node) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for cluster in &file.clusters {
            bytes.extend(self.view.bytes(self.start(*cluster), self.cluster)?);
        }
        bytes.truncate(usize::try_from(file.size).ok()?);
        Some(bytes)
    }

    /// This folder and everything below it. No more than so many levels: a damaged one may hold itself.
    fn walk(&self, path: &str, first: u64, depth: usize, all: &mut Vec<Node>) -> Option<()> {
        let folder = Node { path: format!("{path}/"), directory: true, size: u64::MAX, clusters: self.chain(first)? };
        let slots = self.content(&folder)?;
        all.push(folder);
        for (slot, name) in names(&slots) {
            let raw = &slots[slot * 32..slot * 32 + 32];
            if raw[0] == b'.' || raw[11] & LABEL != 0 {
                continue;
            }
            let number = |at: usize| u64::from(u16::from_le_bytes([raw[at], raw[at + 1]]));
            let (first, size) = (number(20) << 16 | number(26), number(28) | number(30) << 16);
            let path = format!("{path}/{name}");
            if raw[11] & DIRECTORY == 0 {
                all.push(Node { path, directory: false, size, clusters: self.chain(first)? });
            } else if depth < 16 {
                self.walk(&path, first, depth + 1, all)?;
            }
        }
        Some(())
    }

    fn entry(&self, folder: &Node, inside: u64, at: u64) -> Option<Place> {
        let slot = inside / ENTRY_LEN;
        let found = names(&self.content(folder)?).into_iter().find(|(last, _)| *last as u64 >= slot);
        let start = at - inside % ENTRY_LEN;
        let Some((last, name)) = found else {
            return Some(Place::new(format!("directory {}: unused entries", folder.path), start + ENTRY_LEN));
        };
        let place = match last as u64 == slot {
            true => Place::field(ENTRY, start, at)?,
            false => Place::new("long name", start + ENTRY_LEN),
        };
        Some(place.within(format!("directory {}: entry {name}", folder.path), 0))
    }
}

/// The slot of each entry, long names put together.
fn names(slots: &[u8]) -> Vec<(usize, String)> {
    let (mut all, mut long) = (Vec::new(), Vec::new());
    for (number, raw) in slots.chunks_exact(32).enumerate().take_while(|(_, raw)| raw[0] != 0) {
        if raw[11] == LONG_NAME {
            let units = raw[1..11].chunks(2).chain(raw[14..26].chunks(2)).chain(raw[28..32].chunks(2));
            let units =
                units.map(|unit| u16::from_le_bytes([unit[0], unit[1]])).filter(|unit| !matches!(unit, 0 | 0xffff));
            long.splice(0..0, units);
            continue;
        }
        let short = |part: &[u8]| String::from_utf8_lossy(part).trim_end().to_owned();
        let name = match (long.is_empty(), short(&raw[8..11])) {
            (false, _) => String::from_utf16_lossy(&long),
            (true, ending) if ending.is_empty() => short(&raw[..8]),
            (true, ending) => format!("{}.{ending}", short(&raw[..8])),
        };
        long.clear();
        all.push((number, name));
    }
    all
}
