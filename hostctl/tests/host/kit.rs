//! The folder of a host, and its repository.

use crate::{
    entries::kit::Esp,
    kit::repo::Repo,
    slots::kit::{Disk, name, new_image, old_image, release_version},
    tiny_efi,
};
use berth_contract::{
    boot_report::{InitrdReport, NextBoot},
    digest::Sha256,
    disk::{PartitionRole, Slot},
    host_config::HostConfig,
    paths::{HOST_CONFIG, IMAGE_SPEC, INITRD_REPORT, TRUST_ROOT},
    release::{RecordCustom, ReleaseRecord, Target, UkiPart},
};
use berth_formats::data::Data;
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// Id of the host's image, as of the releases of [`release_version`].
const ID: &str = "berth-test";
/// The partitions of the host, in the order of their numbers.
const PARTITIONS: [(PartitionRole, &str); 5] = [
    (PartitionRole::Esp, "esp"),
    (PartitionRole::RootA, "a"),
    (PartitionRole::RootAVerity, "a-verity"),
    (PartitionRole::RootB, "b"),
    (PartitionRole::RootBVerity, "b-verity"),
];

/// Whether this process can change its root folder and mount /proc there. If not, the test is skipped with a printed line.
pub(crate) fn cannot_run() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        // Skip the test even if stderr cannot be written.
        let _ = writeln!(std::io::stderr(), "skipped: only root can change its root folder");
    }
    !is_root || berth_judge::missing(&[Path::new("unshare"), Path::new("chroot")])
}

/// What hostctl has said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A host that runs version 1 from slot A, with room for other images in slot B. Its root folder is on a file system of this computer.
pub(crate) struct HostFolder {
    root: TempDir,
}

impl HostFolder {
    /// The host trusts the keys of `repo`. Its running version has the boot entry `entry`.
    pub(crate) fn new(repo: &Repo, entry: &str) -> Self {
        let host = Self { root: TempDir::new().unwrap() };
        for folder in ["proc", "tmp", "dev", "run/berth", "var/lib/berth", "usr/bin", "usr/lib/berth", "sys/block/vda"]
        {
            fs::create_dir_all(host.path(folder)).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_hostctl"), host.path("usr/bin/hostctl")).unwrap();
        let disk = Disk::new(&old_image(), new_image().len());
        let uki = tiny_efi::version(ID, "1", &disk.running.to_string());
        let esp = Esp::with(&BTreeMap::from([(format!("EFI/Linux/{entry}"), Data::from(uki))]));
        for (number, (role, file)) in PARTITIONS.iter().enumerate() {
            let (from, to) = (if *file == "esp" { esp.path.clone() } else { disk.path(file) }, host.device(*role));
            fs::copy(from, to).unwrap();
            let partition = host.path(&format!("sys/block/vda/vda{}", number + 1));
            fs::create_dir(&partition).unwrap();
            fs::write(partition.join("uevent"), format!("PARTNAME={}\n", role.label())).unwrap();
        }
        let report = InitrdReport {
            phases: vec![],
            root_hash: disk.running,
            slot: Slot::A,
            disk: "/dev/vda".to_owned(),
            named_by_firmware: true,
            next_boot: NextBoot::Usual,
        };
        host.write(INITRD_REPORT, &serde_json::to_value(report).unwrap());
        host.write(HOST_CONFIG, &serde_json::to_value(HostConfig::default()).unwrap());
        let image = json!({
            "id": ID, "version": "1", "arch": "x86_64", "kernel": "6.12", "engine": null, "modules": [], "images": [],
            "containers": [],
        });
        host.write(IMAGE_SPEC, &image);
        fs::write(host.path(TRUST_ROOT), repo.root()).unwrap();
        host
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, value: &Value) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value.to_string()).unwrap();
    }

    pub(crate) fn device(&self, role: PartitionRole) -> PathBuf {
        let number = PARTITIONS.iter().position(|(other, _)| *other == role).unwrap() + 1;
        self.path(&format!("dev/vda{number}"))
    }

    /// Copies a repository into the host's folder `/repo`.
    pub(crate) fn bring(&self, repo: &Repo) -> &'static str {
        let to = self.path("repo");
        let _ = fs::remove_dir_all(&to);
        let copied =
            Command::new("cp").arg("-rT").arg("--sparse=always").args([repo.dir.path(), &to]).status().unwrap();
        assert!(copied.success());
        "/repo"
    }

    /// Runs hostctl on the host.
    pub(crate) fn hostctl(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    /// A command that runs hostctl on the host.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_after(":", arguments)
    }

    /// Runs hostctl on the host while nothing can replace or remove `file`.
    pub(crate) fn hostctl_without(&self, file: &str, arguments: &[&str]) -> Answer {
        let mount = format!("mount --bind \"$0{file}\" \"$0{file}\"");
        Answer::of(self.command_after(&mount, arguments).output().unwrap())
    }

    /// `prepare` are words of the shell, whose `$0` is the host's folder.
    fn command_after(&self, prepare: &str, arguments: &[&str]) -> Command {
        // The mounts are seen by this command only, and end with it.
        let script =
            format!("{prepare} && mount --bind /proc \"$0/proc\" && exec chroot \"$0\" /usr/bin/hostctl \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(self.root.path());
        command.args(arguments).env("TMPDIR", "/tmp");
        command
    }

    /// Adds a disk with the same content, for a host that does not know from which of the two it was started.
    pub(crate) fn add_copy_of_disk(&self) {
        for number in 1..=PARTITIONS.len() {
            let [from, to] = ["vda", "vdb"].map(|disk| self.path(&format!("dev/{disk}{number}")));
            fs::copy(from, to).unwrap();
            let [from, to] = ["vda", "vdb"].map(|disk| self.path(&format!("sys/block/{disk}/{disk}{number}")));
            fs::create_dir_all(&to).unwrap();
            fs::copy(from.join("uevent"), to.join("uevent")).unwrap();
        }
        let mut report: Value = serde_json::from_slice(&fs::read(self.path(INITRD_REPORT)).unwrap()).unwrap();
        report["named_by_firmware"] = json!(false);
        self.write(INITRD_REPORT, &report);
    }

    /// Digests of all devices: nothing was written if they stay the same.
    pub(crate) fn devices(&self) -> Vec<Sha256> {
        let digest = |role| Sha256(sha2::Sha256::digest(fs::read(self.device(role)).unwrap()).into());
        PARTITIONS.iter().map(|(role, _)| digest(*role)).collect()
    }

    /// The files in `/EFI/Linux`.
    pub(crate) fn entries(&self) -> Vec<String> {
        let esp = self.device(PartitionRole::Esp);
        hostctl::entries::Entries::look(&esp).unwrap().into_iter().map(|found| found.file).collect()
    }
}

/// A release of [`new_image`] whose metadata are valid whenever this test runs.
pub(crate) struct Publication {
    pub(crate) repo: Repo,
    pub(crate) record: ReleaseRecord,
    files: TempDir,
}

impl Publication {
    pub(crate) fn new() -> Self {
        let mut repo = Repo::new();
        for role in crate::kit::repo::ROLES {
            repo.twists.insert(role, Box::new(|value| value["expires"] = json!("2099-01-01T00:00:00Z")));
        }
        repo.write_root(1, &[]);
        let files = TempDir::new().unwrap();
        let mut record = release_version(&new_image(), files.path(), "2");
        let uki = tiny_efi::version(ID, "2", &record.root.root_hash.to_string());
        record.uki.size = uki.len() as u64;
        record.uki.sha256 = Sha256(sha2::Sha256::digest(&uki).into());
        record.uki.parts = vec![UkiPart { offset: 0, size: record.uki.size, sha256: record.uki.sha256 }];
        fs::write(files.path().join(name(&record, Target::Uki)), uki).unwrap();
        let mut packed = fs::File::create(files.path().join(name(&record, Target::Packed))).unwrap();
        std::io::copy(&mut liblzma::read::XzEncoder::new(&new_image()[..], 1), &mut packed).unwrap();
        Self { repo, record, files }
    }

    /// Publishes the record with these targets, which replace all others.
    pub(crate) fn publish(&mut self, forms: &[Target]) {
        self.add_record();
        for target in [&[Target::Uki], forms].concat() {
            let name = name(&self.record, target);
            self.repo.add_target(&name, fs::read(self.files.path().join(&name)).unwrap(), None);
        }
        self.repo.publish();
    }

    /// Publishes the record alone.
    pub(crate) fn publish_record(&mut self) {
        self.add_record();
        self.repo.publish();
    }

    fn add_record(&mut self) {
        self.repo.remove_targets();
        let record = &self.record;
        let custom = RecordCustom {
            id: record.id.clone(),
            version: record.version.clone(),
            arch: record.arch.clone(),
            channel: record.channel.clone(),
        };
        let bytes = serde_json::to_vec(record).unwrap();
        self.repo.add_target(&name(record, Target::Record), bytes, Some(serde_json::to_value(custom).unwrap()));
    }

    /// A repository with all forms of the release.
    pub(crate) fn whole() -> Self {
        let mut publication = Self::new();
        publication.publish(&[Target::Index, Target::Chunks, Target::Packed, Target::Root]);
        publication
    }
}
