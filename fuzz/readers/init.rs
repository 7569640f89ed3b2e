//! init's readers: bytes of the kernel, the firmware, disks, host.toml, services, and clients of the control protocol.

use super::reader::Reader;
use berth_contract::{
    cmdline,
    control::{BootReport, ConfigChange, ControlError, LogLine, ServiceStatus, StatusReport},
    entry::BootEntry,
};
use berth_formats::{ext4, fat, gpt, kmod, label, tmpfiles};
use berth_init::{
    control::{
        Answers, LogName, Readiness, Started,
        session::{Access, Session},
    },
    efi::device_path::DevicePath,
    ending::Ending,
    kernel_log, mount_table, services,
    supervisor::notify,
    trial::counter,
    uevent,
};
use rustix::fs::{MemfdFlags, memfd_create};
use std::{
    fs::File,
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
};

/// The readers.
pub(crate) const READERS: &[Reader] = &[
    Reader { name: "uevent", seeds: uevent_seeds, read: |bytes| ignore(uevent::parse(bytes)) },
    Reader { name: "cmdline", seeds: cmdline_seeds, read: command_line },
    Reader { name: "host-config", seeds: config_seeds, read: host_config },
    Reader { name: "service", seeds: service_seeds, read: service },
    Reader { name: "notify", seeds: notify_seeds, read: |bytes| ignore(notify::says_ready(bytes)) },
    Reader { name: "control", seeds: control_seeds, read: control },
    Reader { name: "tmpfiles", seeds: tmpfiles_seeds, read: tmpfiles_line },
    Reader { name: "mount-table", seeds: mount_seeds, read: |bytes| ignore(mount_table::parse(&text(bytes))) },
    Reader { name: "kernel-log", seeds: kernel_seeds, read: |bytes| ignore(kernel_log::parse(bytes)) },
    Reader { name: "efi-variable", seeds: variable_seeds, read: variable },
    Reader { name: "device-path", seeds: device_path_seeds, read: |bytes| ignore(DevicePath::parse(bytes)) },
    Reader { name: "gpt", seeds: gpt_seeds, read: |bytes| ignore(gpt::read(&mut Cursor::new(bytes))) },
    Reader { name: "ext4-superblock", seeds: ext4_seeds, read: |bytes| ignore(ext4::Superblock::parse(bytes)) },
    Reader { name: "fat", seeds: fat_seeds, read: fat_volume },
    Reader { name: "label", seeds: label_seeds, read: volume_label },
    Reader { name: "module-index", seeds: module_seeds, read: modules },
];

/// Only the reading counts.
fn ignore<T>(_: T) {}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn texts(seeds: &[&str]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

fn uevent_seeds() -> Vec<Vec<u8>> {
    texts(&["add@/devices/virtio0\0ACTION=add\0SUBSYSTEM=virtio\0MODALIAS=virtio:d02v1AF4\0DEVNAME=net/tun\0"])
}

fn cmdline_seeds() -> Vec<Vec<u8>> {
    let hash = "ab".repeat(32);
    texts(&[&format!("quiet roothash={hash} \"a b\"=c berth.debug=1"), "roothash=1 roothash=2"])
}

fn command_line(bytes: &[u8]) {
    let line = cmdline::parse(&text(bytes));
    let _ = (line.root_hash(), line.flag("berth.debug"));
}

fn config_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "hostname = \"a\"\n[[container]]\nname = \"b\"\nimage = \"c\"\nports = [\"10.0.0.1:80:80/udp\"]\nmemory = \"1MiB\"\n",
    ])
}

fn host_config(bytes: &[u8]) {
    let text = text(bytes);
    let _ = (berth_settings::host_config(&text), berth_settings::without_secrets(&text));
}

fn service_seeds() -> Vec<Vec<u8>> {
    texts(&["exec = ['/bin/x', 'y']\nneeds = ['netd']\nready = { socket = '/run/x' }\nrestart = 'no'\n"])
}

fn service(bytes: &[u8]) {
    let _ = services::parse("fuzz", "fuzz", &text(bytes));
}

fn notify_seeds() -> Vec<Vec<u8>> {
    texts(&["STATUS=up\nREADY=1", "MAINPID=1\n"])
}

fn control_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "{\"id\":1,\"request\":\"services\"}\n{\"id\":2,\"request\":\"boot\"}\n{\"id\":5,\"request\":\"status\"}\n",
        "{\"id\":3,\"request\":{\"logs\":{\"service\":\"x\",\"follow\":true}}}\n{\"id\":4,\"request\":\"reboot\"}\n",
        "{\"id\":3,\"request\":{\"run\":{\"arguments\":[\"a\"]}}}\n{\"id\":4,\"request\":{\"cancel\":{\"call\":3}}}\n",
    ])
}

/// A client that sends these bytes in small parts.
fn control(bytes: &[u8]) {
    let mut session = Session::new(PathBuf::from("/nonexistent"), Access::All);
    for part in bytes.chunks(64) {
        session.receive(part);
        while session.work(&mut Quiet) {}
        let count = session.output().len();
        session.sent(count);
    }
}

/// A host without anything to say.
struct Quiet;

impl Answers for Quiet {
    fn status(&self) -> StatusReport {
        let hash = "ab".repeat(32);
        let status = serde_json::json!({
            "image_id": "x", "version": "1", "kernel": "6", "slot": "a", "root_hash": hash, "hostname": "x", "machine_id": hash,
            "state": "booting", "problems": [], "uptime_us": 1, "engine": null, "config": { "source": null, "error": null },
            "network": null, "memory": { "total_kib": 1, "available_kib": 1 },
            "var": { "size": 1, "available": 1, "persistent": true }, "containers": [],
        });
        serde_json::from_value(status).expect("a status report")
    }
    fn boot(&self) -> BootReport {
        BootReport { phases: Vec::new(), ready_us: None, engine_us: None }
    }
    fn services(&self) -> Vec<ServiceStatus> {
        Vec::new()
    }
    fn readiness(&self) -> Readiness {
        Readiness::Booting
    }
    fn log_names(&self) -> Vec<String> {
        vec!["x".to_owned()]
    }
    fn log(&self, _: &LogName, from: u64, _: usize) -> (Vec<LogLine>, u64) {
        (Vec::new(), from)
    }
    fn configure(&mut self, _: &str, _: bool) -> Result<ConfigChange, String> {
        Err("not here".to_owned())
    }
    fn start_hostctl(&mut self, _: &[String], _: Option<&str>) -> Result<Started, String> {
        Err("not here".to_owned())
    }
    fn end_of(&self, _: &Started) -> Option<Result<(), ControlError>> {
        Some(Ok(()))
    }
    fn restart(&mut self, _: &str) -> Result<(), String> {
        Ok(())
    }
    fn end(&mut self, _: Ending, _: Option<u64>) -> Result<(), String> {
        Ok(())
    }
}

fn tmpfiles_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "d!+ /run/%b/\"x y\" ~0755 root :adm 1d2h -",
        "f+ /var/a\\x20b - - - - text\\n%%",
        "C /var/x - - - - /usr/x",
    ])
}

fn tmpfiles_line(bytes: &[u8]) {
    let _ = tmpfiles::Line::parse(&text(bytes), &|letter| (letter == 'b').then(|| "boot".to_owned()));
}

fn mount_seeds() -> Vec<Vec<u8>> {
    texts(&["36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root ro,errors=continue\n"])
}

fn kernel_seeds() -> Vec<Vec<u8>> {
    texts(&["7,160,424069,-,caller=T1;a text\n SUBSYSTEM=acpi\n"])
}

fn variable_seeds() -> Vec<Vec<u8>> {
    let path = "\\EFI\\Linux\\berth-base_2026.11.0+3-1.efi\0";
    let units = path.encode_utf16().flat_map(u16::to_le_bytes);
    vec![[6, 0, 0, 0].into_iter().chain(units).collect()]
}

fn variable(bytes: &[u8]) {
    if let Ok(path) = counter::text_of(Path::new("variable"), bytes) {
        let _ = path.rsplit('\\').next().unwrap_or_default().parse::<BootEntry>();
    }
}

/// A host bridge, a PCI device, and a disk of the kinds that have an address.
fn device_path_seeds() -> Vec<Vec<u8>> {
    let bridge = [2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0, 1, 1, 6, 0, 2, 31];
    let disks = [&[3, 2, 8, 0, 1, 0, 0, 0][..], &[3, 18, 10, 0, 1, 0, 0xff, 0xff, 0, 0], &[3, 23, 16, 0, 1, 0, 0, 0]];
    disks.map(|disk| [&bridge[..], disk, &[0; 8], &[4, 1, 4, 0, 0x7f, 0xff, 4, 0]].concat()).to_vec()
}

/// Headers without entries.
fn gpt_seeds() -> Vec<Vec<u8>> {
    let mut disk = vec![0; 2048];
    disk[512..520].copy_from_slice(b"EFI PART");
    (disk[524], disk[584], disk[592], disk[596]) = (92, 2, 128, 128);
    vec![disk]
}

fn ext4_seeds() -> Vec<Vec<u8>> {
    let mut superblock = vec![0; 1024];
    superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
    vec![superblock]
}

/// The boot sector of a volume.
fn fat_seeds() -> Vec<Vec<u8>> {
    let mut sector = vec![0; 4096];
    sector[..11].copy_from_slice(b"\xeb\x58\x90MSWIN4.1");
    sector[11..18].copy_from_slice(&[0, 2, 1, 32, 0, 2, 0]);
    sector[32..40].copy_from_slice(&[0, 0, 8, 0, 0, 4, 0, 0]);
    sector[44] = 2;
    sector[510..512].copy_from_slice(&[0x55, 0xaa]);
    vec![sector]
}

/// A disk in memory. What lies behind its end is zeros, so that a short input can be a large volume.
struct Bytes<'a>(&'a [u8]);

impl fat::Disk for Bytes<'_> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        bytes.fill(0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let found = &self.0[from..];
        let length = found.len().min(bytes.len());
        bytes[..length].copy_from_slice(&found[..length]);
        Ok(())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn fat_volume(bytes: &[u8]) {
    if let Ok(volume) = fat::Volume::open(Bytes(bytes)) {
        for item in volume.list("").unwrap_or_default() {
            let _ = volume.read(&item.name, 1 << 16);
        }
        let _ = volume.read("EFI/Linux/x.efi", 1 << 16);
    }
}

/// A FAT12 volume with a label in its root directory, and an ISO 9660 volume.
fn label_seeds() -> Vec<Vec<u8>> {
    let mut volume = vec![0; 1024 + 64];
    volume[11..19].copy_from_slice(&[0, 2, 1, 1, 0, 1, 2, 0]);
    volume[22] = 1;
    volume[43..62].copy_from_slice(b"NO NAME    FAT12   ");
    volume[510..512].copy_from_slice(&[0x55, 0xaa]);
    volume[1024..1036].copy_from_slice(b"CIDATA     \x08");
    let mut disc = vec![0; 17 * 2048];
    disc[16 * 2048..][..6].copy_from_slice(b"\x01CD001");
    disc[16 * 2048 + 40..][..6].copy_from_slice(b"cidata");
    vec![volume, disc]
}

fn volume_label(bytes: &[u8]) {
    let mut device = File::from(memfd_create("label", MemfdFlags::CLOEXEC).expect("a file in memory"));
    device.write_all(bytes).expect("written to memory");
    let _ = label::read(&device);
}

fn module_seeds() -> Vec<Vec<u8>> {
    texts(&["kernel/a.ko: kernel/b.ko\nkernel/b.ko:\nalias pci:v*d[0-9]* a\nsoftdep a pre: b post: a\n"])
}

/// The same text as every index file.
fn modules(bytes: &[u8]) {
    let all = text(bytes);
    let index = kmod::Index::parse(kmod::Texts { dep: &all, alias: &all, softdep: &all, builtin: &all });
    for word in all.split_ascii_whitespace().take(20) {
        let _ = (index.resolve(word), index.modules_for(word));
    }
}
