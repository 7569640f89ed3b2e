//! The description of a virtual machine, and QEMU's arguments for it.

use crate::{
    accel::Accel,
    booted::{Booted, LAYER, VARS},
    disk::{self, Bus},
    error::VmError,
    firmware::{self, Firmware},
    tool::option,
};
use berth_contract::{
    arch::Arch,
    paths::{CONTROL_PORT, FW_CFG_HOST_CONFIG},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Default of [`Description::silence`] with KVM. Emulation gets a multiple of it.
const SILENCE: Duration = Duration::from_secs(15);

/// The description of a virtual machine.
#[derive(Clone, Debug)]
pub struct Description {
    /// Architecture of the processor.
    pub arch: Arch,
    /// The disk image that the machine boots. It is never written to.
    pub image: Option<PathBuf>,
    /// Size of the boot disk in bytes, if it is larger than the image.
    pub disk_size: Option<u64>,
    /// How the disk is attached.
    pub bus: Bus,
    /// Further disk images, attached as virtio-blk and written to.
    pub disks: Vec<PathBuf>,
    /// Further disk images, attached by SATA and written to. The driver finds them later than virtio-blk disks.
    pub sata_disks: Vec<PathBuf>,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// Forwarded TCP ports: (port of 127.0.0.1 on this computer, port of the guest). Port 0 on this computer means any free port.
    pub forwards: Vec<(u16, u16)>,
    /// Whether the guest may open connections to this computer and its network. Forwarded ports always work.
    pub reach_out: bool,
    /// A network of the caller's own instead of QEMU's. Ports are not forwarded then.
    pub wire: Option<Wire>,
    /// Text of the guest's host.toml. QEMU passes it through fw_cfg.
    pub host_config: Option<String>,
    /// Where the serial console goes.
    pub serial: Serial,
    /// How QEMU executes the guest's instructions.
    pub accel: Accel,
    /// The firmware.
    pub firmware: Firmware,
    /// A kernel that QEMU starts instead of the firmware.
    pub kernel: Option<Kernel>,
    /// Time of the guest's clock at the start, as QEMU's `-rtc base` takes it (`2040-01-01T00:00:00`). Without it the guest's clock has the
    /// time of this computer.
    pub clock: Option<String>,
    /// Folder for the data that the machine writes, and for the firmware's variables. The next machine with the same folder continues from
    /// them, as after a power cut. Without a folder everything is removed with the machine.
    pub kept: Option<PathBuf>,
    /// File for a log of every write and flush of the boot disk, in the format of Linux's dm-log-writes. The file must exist, be empty, and
    /// be large enough. The log shows the possible contents of a disk with a volatile cache after a power cut.
    pub write_log: Option<PathBuf>,
    /// Words for the end of the kernel's command line, in addition to the words of the image and of [`Accel::kernel_words`].
    pub kernel_words: Option<String>,
    /// How long the first boot may take until the boot loader or the kernel writes to the console. After that time the harness checks
    /// whether the boot hangs ([`crate::standstill`]).
    pub silence: Duration,
    /// A saved machine of the same description. The new machine resumes from it and does not boot.
    pub booted: Option<Booted>,
}

/// A Linux kernel that QEMU starts itself. The machine ends when the guest reboots.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    /// The kernel's initial root, a cpio archive.
    pub initrd: PathBuf,
    /// The kernel's command line.
    pub cmdline: String,
}

/// A tap interface in a network namespace. QEMU runs in that namespace, which needs root.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Name of the namespace, as ip-netns(8) lists it.
    pub namespace: String,
    /// Name of the tap.
    pub tap: String,
}

/// Where the serial console goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// To this file.
    File(PathBuf),
    /// To the terminal, with a copy to this file. Ctrl-A X ends the machine.
    Terminal(PathBuf),
}

impl Description {
    /// A machine for `image` with 2 processors, 2 GiB of memory, no forwarded ports, and no access to the network.
    #[must_use]
    pub fn new(image: Option<PathBuf>, accel: Accel, firmware: Firmware, console: PathBuf) -> Self {
        Self {
            arch: Arch::DEFAULT,
            image,
            disk_size: None,
            bus: Bus::default(),
            disks: Vec::new(),
            sata_disks: Vec::new(),
            memory: 2048,
            cpus: 2,
            forwards: Vec::new(),
            reach_out: false,
            wire: None,
            host_config: None,
            serial: Serial::File(console),
            accel,
            firmware,
            kernel: None,
            clock: None,
            kept: None,
            write_log: None,
            kernel_words: None,
            silence: SILENCE * accel.patience(),
            booted: None,
        }
    }

    /// Makes the files that the machine needs: the firmware's variables, the layer of the boot disk, and host.toml.
    pub(crate) fn prepare(&self, places: &Places<'_>) -> Result<(), VmError> {
        fs::create_dir_all(places.state).map_err(io("make folder", places.state))?;
        if self.kernel.is_none() {
            let template = self.booted.as_ref().map_or_else(|| self.firmware.vars.clone(), Booted::vars);
            firmware::own_vars(&template, &places.vars())?;
        }
        if let Some(text) = &self.host_config {
            let path = places.host_config();
            fs::write(&path, text).map_err(io("write", &path))?;
        }
        let base = self.booted.as_ref().map(Booted::disk);
        let layer = places.layer();
        match base.as_ref().or(self.image.as_ref()) {
            Some(base) if self.image.is_some() && !layer.exists() => disk::overlay(base, &layer, self.disk_size),
            _ => Ok(()),
        }
    }

    /// QEMU's arguments. They depend only on the parameters and the description, so equal machines have equal arguments.
    pub(crate) fn arguments(&self, places: &Places<'_>, forwards: &[(u16, u16)]) -> Vec<String> {
        let words = [
            self.computer(),
            self.origin(places),
            self.ports(places),
            self.network(forwards),
            self.host_config(places),
            self.storage(places),
        ];
        words.concat()
    }

    fn computer(&self) -> Vec<String> {
        let (accel, cpu) = self.accel.arguments();
        let (memory, cpus) = (self.memory.to_string(), self.cpus.to_string());
        let mut words =
            owned(&["-machine", self.arch.qemu.machine, "-accel", accel, "-cpu", cpu, "-m", &memory, "-smp", &cpus]);
        words.extend(owned(&["-nodefaults", "-no-user-config", "-display", "none", "-vga", "none"]));
        if let Some(clock) = &self.clock {
            words.extend(owned(&["-rtc", &format!("base={clock}")]));
        }
        words
    }

    /// Arguments for the start: firmware, kernel, or saved machine.
    fn origin(&self, places: &Places<'_>) -> Vec<String> {
        let own: Vec<&str> = self.accel.kernel_words().into_iter().chain(self.kernel_words.as_deref()).collect();
        let own = own.join(" ");
        let mut words = match &self.kernel {
            Some(Kernel { image, initrd, cmdline }) => {
                let (image, initrd) = (image.to_string_lossy(), initrd.to_string_lossy());
                owned(&["-kernel", &image, "-initrd", &initrd, "-append", &format!("{own} {cmdline}"), "-no-reboot"])
            }
            None => {
                let code = format!("if=pflash,format=raw,readonly=on,file={}", option(&self.firmware.code));
                let vars = format!("if=pflash,format=raw,file={}", option(&places.vars()));
                let mut words = owned(&["-drive", &code, "-drive", &vars]);
                if !own.is_empty() {
                    // systemd-stub reads these words, unless Secure Boot is on. In QEMU's lists a comma must be doubled.
                    let own = own.replace(',', ",,");
                    words.extend(owned(&[
                        "-smbios",
                        &format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={own}"),
                    ]));
                }
                words
            }
        };
        if let Some(booted) = &self.booted {
            words.extend(owned(&["-incoming", &format!("file:{}", booted.memory().display())]));
        }
        words
    }

    /// Arguments for the console, the monitor, the control port, and devices without options.
    fn ports(&self, places: &Places<'_>) -> Vec<String> {
        let log = option(places.log);
        let console = match self.serial {
            Serial::File(_) => format!("file,id=console,path={log}"),
            Serial::Terminal(_) => format!("stdio,id=console,mux=on,signal=off,logfile={log}"),
        };
        let mut words = owned(&["-chardev", &console, "-serial", "chardev:console"]);
        if let Serial::Terminal(_) = self.serial {
            // QEMU's prompt shares the terminal with the console: Ctrl-A C switches between them, Ctrl-A X ends QEMU.
            words.extend(owned(&["-mon", "chardev=console,mode=readline"]));
        }
        let socket =
            |name: &str| format!("socket,id={name},server=on,wait=off,path={}", option(&places.folder.join(name)));
        words.extend(owned(&["-chardev", &socket("qmp"), "-mon", "chardev=qmp,mode=control"]));
        words.extend(owned(&["-device", "virtio-serial-pci", "-chardev", &socket("control")]));
        words.extend(owned(&["-device", &format!("virtserialport,chardev=control,name={CONTROL_PORT}")]));
        words.extend(owned(&["-device", "virtio-rng-pci", "-device", "i6300esb", "-action", "watchdog=reset"]));
        words
    }

    fn network(&self, forwards: &[(u16, u16)]) -> Vec<String> {
        if let Some(Wire { tap, .. }) = &self.wire {
            let tap = format!("tap,id=net0,ifname={tap},script=no,downscript=no");
            return owned(&["-netdev", &tap, "-device", "virtio-net-pci,netdev=net0,romfile="]);
        }
        let mut network = "user,id=net0".to_owned();
        if !self.reach_out {
            network.push_str(",restrict=on");
        }
        for (host, guest) in forwards {
            network.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
        }
        owned(&["-netdev", &network, "-device", "virtio-net-pci,netdev=net0,romfile="])
    }

    fn host_config(&self, places: &Places<'_>) -> Vec<String> {
        let name = |path: PathBuf| format!("name={FW_CFG_HOST_CONFIG},file={}", option(&path));
        self.host_config.as_ref().map_or_else(Vec::new, |_| owned(&["-fw_cfg", &name(places.host_config())]))
    }

    fn storage(&self, places: &Places<'_>) -> Vec<String> {
        let mut words = Vec::new();
        if self.image.is_some() {
            words.extend(match &self.write_log {
                None => disk::drive(&places.layer(), "disk"),
                Some(log) => disk::logged(&places.layer(), log, "disk"),
            });
            words.extend(self.bus.arguments("disk", Some(0)));
        }
        for (number, path) in self.disks.iter().enumerate() {
            let id = format!("extra{number}");
            words.extend(disk::drive(path, &id));
            words.extend(Bus::VirtioBlk.arguments(&id, None));
        }
        for (number, path) in self.sata_disks.iter().enumerate() {
            let id = format!("sata{number}");
            words.extend(disk::drive(path, &id));
            words.extend(Bus::Ahci.arguments(&id, None));
        }
        words
    }
}

/// Paths of a machine's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// The machine's temporary folder.
    pub(crate) folder: &'a Path,
    /// The folder for the data that the machine writes: the temporary folder, or [`Description::kept`].
    pub(crate) state: &'a Path,
    /// The console's file.
    pub(crate) log: &'a Path,
}

impl Places<'_> {
    fn vars(&self) -> PathBuf {
        self.state.join(VARS)
    }

    fn layer(&self) -> PathBuf {
        self.state.join(LAYER)
    }

    fn host_config(&self) -> PathBuf {
        self.folder.join("host.toml")
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> VmError + 'a {
    move |source| VmError::Io { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::arch::{ArchRow, QemuRow};

    #[test]
    fn the_machine_type_follows_the_architecture() {
        static OTHER: ArchRow =
            ArchRow { qemu: QemuRow { machine: "virt", ..Arch::DEFAULT.row().qemu }, ..*Arch::DEFAULT.row() };
        let dir = tempfile::tempdir().unwrap();
        let firmware = Firmware { code: "/code".into(), vars: "/vars".into() };
        let mut description = Description::new(None, Accel::TcgMulti, firmware, dir.path().join("console"));
        let [image, initrd] = ["/vmlinuz", "/initrd"].map(PathBuf::from);
        description.kernel = Some(Kernel { image, initrd, cmdline: String::new() });
        for (arch, machine) in [(Arch::DEFAULT, "q35"), (Arch::of(&OTHER), "virt")] {
            description.arch = arch;
            let places = Places { folder: dir.path(), state: dir.path(), log: Path::new("/log") };
            let words = description.arguments(&places, &[]);
            assert_eq!(words[..2], ["-machine", machine]);
        }
    }
}
