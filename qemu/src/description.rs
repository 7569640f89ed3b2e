//! What a virtual machine is to be, and QEMU's arguments for it.

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

/// Time until somebody after the firmware speaks, on a processor. Emulation gets a multiple of it.
const SILENCE: Duration = Duration::from_secs(15);

/// What a machine is to be.
#[derive(Clone, Debug)]
pub struct Description {
    /// Architecture of its processor.
    pub arch: Arch,
    /// The disk image it boots; never written to.
    pub image: Option<PathBuf>,
    /// Size of its disk in bytes, where larger than the image.
    pub disk_size: Option<u64>,
    /// How the disk is attached.
    pub bus: Bus,
    /// Further disk images, attached as virtio-blk and written to.
    pub disks: Vec<PathBuf>,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub cpus: u32,
    /// TCP ports of the guest that are reached through a port of 127.0.0.1: (host, guest); host 0 is any free one.
    pub forwards: Vec<(u16, u16)>,
    /// Whether the guest may talk to anything but this machine's forwarded ports.
    pub reach_out: bool,
    /// Text of the guest's host.toml, handed over by fw_cfg.
    pub host_config: Option<String>,
    /// Where the serial console goes.
    pub serial: Serial,
    /// How instructions are run.
    pub accel: Accel,
    /// The firmware.
    pub firmware: Firmware,
    /// Started in place of the firmware.
    pub kernel: Option<Kernel>,
    /// What its clock says at the start, in the form of QEMU's `-rtc base` (`2040-01-01T00:00:00`). Without it the clock has the time of
    /// the machine that runs QEMU.
    pub clock: Option<String>,
    /// Folder that keeps what the machine writes, and the firmware's variables. The next machine with the same folder finds them, as
    /// after a power cut. Without a folder everything is removed with the machine.
    pub kept: Option<PathBuf>,
    /// File that takes a log of every write and flush of the boot disk, in the format of Linux's dm-log-writes. It must exist, be empty
    /// and large enough. The log tells what a disk with a volatile cache may hold after a power cut.
    pub write_log: Option<PathBuf>,
    /// Words for the end of the kernel's command line, beside those that the image and [`Accel::kernel_words`] give.
    pub kernel_words: Option<String>,
    /// How long the first boot may take until somebody after the firmware writes to the console; then it is looked at more closely.
    pub silence: Duration,
    /// A saved machine of the same description: this one goes on where that one was saved, and does not boot.
    pub booted: Option<Booted>,
}

/// A Linux kernel that QEMU starts itself. Its machine ends when the guest reboots.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    /// Its initial root, a cpio archive.
    pub initrd: PathBuf,
    /// Its command line.
    pub cmdline: String,
}

/// Where the serial console goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serial {
    /// To this file.
    File(PathBuf),
    /// To the terminal; Ctrl-A X ends the machine. A copy goes to this file.
    Terminal(PathBuf),
}

impl Description {
    /// A machine for `image` with the usual size: 2 processors, 2 GiB, no ports, closed network.
    #[must_use]
    pub fn new(image: Option<PathBuf>, accel: Accel, firmware: Firmware, console: PathBuf) -> Self {
        Self {
            arch: Arch::DEFAULT,
            image,
            disk_size: None,
            bus: Bus::default(),
            disks: Vec::new(),
            memory: 2048,
            cpus: 2,
            forwards: Vec::new(),
            reach_out: false,
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

    /// Makes the files that the machine needs: variables, layer of the boot disk, host.toml.
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

    /// QEMU's arguments. Makes nothing and asks nothing, so that machines that are alike have the same arguments.
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

    /// What runs first: the firmware, a kernel, or a machine that was saved.
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
                    // systemd-stub reads it, unless Secure Boot is on. Commas separate, unless they are doubled.
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

    /// Console, monitor and control port, and devices without options.
    fn ports(&self, places: &Places<'_>) -> Vec<String> {
        let log = option(places.log);
        let console = match self.serial {
            Serial::File(_) => format!("file,id=console,path={log}"),
            Serial::Terminal(_) => format!("stdio,id=console,mux=on,signal=off,logfile={log}"),
        };
        let mut words = owned(&["-chardev", &console, "-serial", "chardev:console"]);
        if let Serial::Terminal(_) = self.serial {
            // The multiplexer's second user: Ctrl-A C reaches QEMU's own prompt, Ctrl-A X ends it.
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
        words
    }
}

/// Where a machine's files are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// Its throw-away folder.
    pub(crate) folder: &'a Path,
    /// The folder of what it writes: the throw-away folder, or [`Description::kept`].
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
    fn the_machine_type_is_the_architectures() {
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
