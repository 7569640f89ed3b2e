//! Tests that systemd-boot treats our boot entries as our model predicts: which entry it starts, and how it counts tries. Between boots our
//! code reads and changes an ESP that systemd-boot and the firmware have written to. The entries are small EFI programs that print their
//! version and halt.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../hostctl/tests/tiny_efi/mod.rs"]
mod tiny_efi;

use berth_contract::{
    arch::Arch,
    digest::{RootHash, Sha256},
    disk::{PartitionRole, SECTOR},
};
use berth_formats::{
    data::Data,
    fat::{self, Editor, Volume},
    gpt,
    range::Range,
};
use berth_qemu::machine::Machine;
use common::{LIMIT, build_small, machine, output, partition, tool};
use hostctl::entries::{Blessing, Destination, Entries, OtherSlot, Quarantine, Running, next};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const ID: &str = "berth-docker";
const ENTRIES: &str = "EFI/Linux";
const MIB: u64 = 1 << 20;
const ESP: (u64, u64) = (MIB, 64 * MIB);
/// Memory of the machine in MiB.
const MEMORY: u32 = 512;

fn hash(version: &str) -> RootHash {
    RootHash(Sha256([version.bytes().fold(7, |sum, byte| sum.wrapping_mul(31) ^ byte); 32]))
}

fn uki(version: &str) -> Vec<u8> {
    tiny_efi::version(ID, version, &hash(version).to_string())
}

fn running(version: &str) -> Running {
    Running { id: ID.parse().unwrap(), version: version.parse().unwrap(), root_hash: hash(version) }
}

/// A disk with an ESP, and a machine that boots from it many times. After each boot the machine halts.
struct Host {
    disk: PathBuf,
    /// File with a copy of the ESP. hostctl's code works on this file.
    esp: PathBuf,
    machine: Option<Machine>,
    scratch: tempfile::TempDir,
}

impl Host {
    fn new(systemd_boot: &[u8]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (disk, esp) = (scratch.path().join("disk.raw"), scratch.path().join("esp"));
        let mut file = File::options().read(true).write(true).create_new(true).open(&disk).unwrap();
        file.set_len(ESP.0 + ESP.1 + MIB).unwrap();
        let role = PartitionRole::Esp;
        let partition = gpt::Partition {
            number: 1,
            type_guid: role.type_guid(Arch::DEFAULT),
            guid: [1; 16],
            start: ESP.0,
            size: ESP.1,
            attributes: 0,
            label: role.label().to_owned(),
        };
        gpt::write(&mut file, [2; 16], &[partition]).unwrap();
        let files = BTreeMap::from([
            ("EFI/BOOT/BOOTX64.EFI".to_owned(), Data::from(systemd_boot.to_vec())),
            ("loader/loader.conf".to_owned(), Data::from(b"timeout 0\neditor no\nauto-firmware no\n".to_vec())),
            (format!("{ENTRIES}/README.txt"), Data::empty()),
        ]);
        fat::write(&Range::new(&file, ESP.0, ESP.1), "ESP", 1, 0, &files).unwrap();
        assert_eq!(ESP.0 % SECTOR, 0);
        Self { disk, esp, machine: None, scratch }
    }

    /// Copies the ESP to a file, calls `change` with the path of the file, and copies the file back.
    fn change<T>(&self, change: impl FnOnce(&Path) -> T) -> T {
        let copy = |from: &Path, at: u64, to: &Path, to_at: u64| {
            let mut bytes = vec![0; usize::try_from(ESP.1).unwrap()];
            File::open(from).unwrap().read_exact_at(&mut bytes, at).unwrap();
            let to = File::options().write(true).create(true).truncate(false).open(to).unwrap();
            to.write_all_at(&bytes, to_at).unwrap();
        };
        copy(&self.disk, ESP.0, &self.esp, 0);
        // The firmware and systemd-boot may have written to the ESP.
        tool("fsck.fat", &["-n", self.esp.to_str().unwrap()]).unwrap();
        let out = change(&self.esp);
        tool("fsck.fat", &["-n", self.esp.to_str().unwrap()]).unwrap();
        copy(&self.esp, 0, &self.disk, ESP.0);
        out
    }

    /// Replaces all entries of the ESP by `entries`.
    fn put(&self, entries: &[&str]) {
        self.change(|esp| {
            let mut editor = Editor::open(File::options().read(true).write(true).open(esp).unwrap()).unwrap();
            for item in editor.list(ENTRIES).unwrap() {
                editor.remove(ENTRIES, &item.name).unwrap();
            }
            for name in entries {
                let stem = name.strip_suffix(".efi").unwrap();
                let bytes = uki(stem.split_once('+').map_or(stem, |(version, _)| version));
                editor.add(ENTRIES, &format!("{ID}_{name}"), bytes.len() as u64, &mut &bytes[..]).unwrap();
            }
        });
    }

    fn names(&self) -> Vec<String> {
        self.change(|esp| {
            let names = Volume::open(File::open(esp).unwrap()).unwrap().list(ENTRIES).unwrap();
            let mut names: Vec<_> =
                names.iter().map(|item| item.name.strip_prefix("berth-docker_").unwrap().to_owned()).collect();
            names.sort();
            names
        })
    }

    /// Boots once. Our model and systemd-boot must both choose `version`. Returns the names of the entries after the boot.
    fn boot(&mut self, version: &str) -> Vec<String> {
        let expected = self.change(|esp| next(&Entries::look(esp).unwrap()).unwrap().file.clone());
        let model = expected.strip_prefix("berth-docker_").unwrap().split(['+']).next().unwrap();
        assert_eq!(model.trim_end_matches(".efi"), version, "the version that our model predicts");
        let from = match &mut self.machine {
            Some(machine) => {
                let from = machine.console().text().len();
                machine.monitor().unwrap().reset().unwrap();
                from
            }
            none => {
                let mut description = machine("boot-entries", None);
                (description.memory, description.cpus) = (MEMORY, 1);
                description.disks = vec![self.disk.clone()];
                *none = Some(description.start().unwrap());
                0
            }
        };
        let machine = self.machine.as_mut().unwrap();
        machine.wait_for_text("started ", from, LIMIT).unwrap();
        machine.wait_for_text(".\n", from, LIMIT).unwrap();
        let said = machine.console().text();
        let said = said[from..].split_once("started ").unwrap().1.split_once(".\n").unwrap().0.to_owned();
        assert_eq!(said, format!("{ID} {version}"), "the version that systemd-boot starts");
        self.names()
    }
}

/// Reads the systemd-boot program from one of our images.
fn systemd_boot(scratch: &Path) -> Vec<u8> {
    let esp = scratch.join("image.esp");
    partition(&output(&build_small(), ".raw"), PartitionRole::Esp.number(), &esp).unwrap();
    let loader = scratch.join("loader.efi");
    let paths = [esp.to_str().unwrap(), loader.to_str().unwrap()];
    tool("mcopy", &["-n", "-i", paths[0], "::EFI/BOOT/BOOTX64.EFI", paths[1]]).unwrap();
    fs::read(loader).unwrap()
}

#[test]
fn systemd_boot_starts_and_counts_entries_as_our_model_predicts() {
    let scratch = tempfile::tempdir().unwrap();
    let mut host = Host::new(&systemd_boot(scratch.path()));

    // hostctl's code upgrades. systemd-boot then starts the new version, and each boot uses one try.
    host.put(&["2026.9.0.efi"]);
    let upgrade = |esp: &Path, from: &str, to: &str| {
        let (running, version) = (running(from), to.parse().unwrap());
        let mut entries = Entries::open(esp).unwrap();
        entries.clear_idle(&running, None).unwrap();
        entries.stage(&running.id, &version, &uki(to)).unwrap();
        entries.commit(&running.id, &version, &running).unwrap();
    };
    host.change(|esp| upgrade(esp, "2026.9.0", "2026.10.0"));
    assert_eq!(host.names(), ["2026.10.0+3.efi", "2026.9.0.efi"]);
    assert_eq!(host.boot("2026.10.0"), ["2026.10.0+2-1.efi", "2026.9.0.efi"]);
    assert_eq!(host.boot("2026.10.0"), ["2026.10.0+1-2.efi", "2026.9.0.efi"]);
    assert_eq!(host.boot("2026.10.0"), ["2026.10.0+0-3.efi", "2026.9.0.efi"]);
    assert_eq!(
        host.boot("2026.9.0"),
        ["2026.10.0+0-3.efi", "2026.9.0.efi"],
        "all tries have failed: the old version starts again"
    );

    // After a blessing, systemd-boot still starts the newer version.
    host.put(&["2026.10.0+2-1.efi", "2026.9.0.efi"]);
    let bless = |esp: &Path, version: &str| Entries::open(esp).unwrap().bless(&running(version)).unwrap();
    assert_eq!(host.change(|esp| bless(esp, "2026.10.0")), Blessing::Given);
    assert_eq!(host.boot("2026.10.0"), ["2026.10.0.efi", "2026.9.0.efi"]);

    // After a rollback the older version has tries. The newer version is used only if the older version fails.
    let failed = Quarantine::load(&scratch.path().join("quarantine.json"));
    let rollback = |esp: &Path, from: &str, to: &str| {
        let other = OtherSlot { root_hash: Some(hash(to)), ..OtherSlot::default() };
        Entries::open(esp).unwrap().rollback(&running(from), Destination::Other, &other, &failed).unwrap();
    };
    host.change(|esp| rollback(esp, "2026.10.0", "2026.9.0"));
    assert_eq!(host.names(), ["2026.10.0+0.efi", "2026.9.0+3.efi"]);
    assert_eq!(host.boot("2026.9.0"), ["2026.10.0+0.efi", "2026.9.0+2-1.efi"]);
    host.change(|esp| bless(esp, "2026.9.0"));
    // Roll back again, now to the newer version.
    host.change(|esp| rollback(esp, "2026.9.0", "2026.10.0"));
    assert_eq!(host.names(), ["2026.10.0+3.efi", "2026.9.0.efi"]);
    assert_eq!(host.boot("2026.10.0"), ["2026.10.0+2-1.efi", "2026.9.0.efi"]);

    // The older version has failed all its tries. If no version has tries left, the newer version starts, and it can be blessed.
    host.put(&["2026.10.0+0.efi", "2026.9.0+0-3.efi"]);
    assert_eq!(host.boot("2026.10.0"), ["2026.10.0+0-1.efi", "2026.9.0+0-3.efi"]);
    assert_eq!(host.change(|esp| bless(esp, "2026.10.0")), Blessing::Given);

    // An allowed downgrade: the older version starts because the newer version has no tries.
    host.change(|esp| upgrade(esp, "2026.10.0", "2026.9.1"));
    assert_eq!(host.names(), ["2026.10.0+0.efi", "2026.9.1+3.efi"]);
    assert_eq!(host.boot("2026.9.1"), ["2026.10.0+0.efi", "2026.9.1+2-1.efi"]);
    drop(host.machine.take());
    host.scratch.close().unwrap();
}
