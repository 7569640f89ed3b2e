//! What a virtual machine is to be, and how QEMU is told.

use crate::{
    accel::Accel,
    disk::{self, Bus},
    error::VmError,
    firmware::Firmware,
    tool::option,
};
use berth_contract::arch::Arch;
use berth_contract::paths::{CONTROL_PORT, FW_CFG_HOST_CONFIG};
use std::{
    fs,
    path::{Path, PathBuf},
};

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
    /// What its clock says at the start, as QEMU's `-rtc base` takes it (`2040-01-01T00:00:00`); this machine's time without.
    pub clock: Option<String>,
    /// Folder that keeps what the machine writes, the firmware's variables too: the next machine with this folder goes on with it, as
    /// after a power cut. Without one everything is gone with the machine.
    pub kept: Option<PathBuf>,
    /// Log of every write and flush of the boot disk, as Linux's dm-log-writes has it; an empty file of enough size. From it follows what
    /// a disk with a volatile cache may hold after a power cut.
    pub write_log: Option<PathBuf>,
}

/// A Linux kernel that QEMU starts itself. Its machine ends where another would start anew.
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
    /// A machine for `image` with what is usual: 2 processors, 2 GiB, no ports, closed network.
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
        }
    }

    pub(crate) fn arguments(&self, folder: &Path, log: &Path, forwards: &[(u16, u16)]) -> Result<Vec<String>, VmError> {
        let state = self.kept.as_deref().unwrap_or(folder);
        fs::create_dir_all(state).map_err(io("make folder", state))?;
        let (accel, cpu) = self.accel.arguments();
        let mut words: Vec<String> = Vec::new();
        let mut add = |words_of: &[&str]| words.extend(words_of.iter().map(|&word| word.to_owned()));
        let (memory, cpus) = (self.memory.to_string(), self.cpus.to_string());
        add(&[
            "-machine",
            self.arch.qemu.machine,
            "-accel",
            accel,
            "-cpu",
            cpu,
            "-m",
            &memory,
            "-smp",
            &cpus,
            "-nodefaults",
            "-no-user-config",
        ]);
        add(&["-display", "none", "-vga", "none"]);
        if let Some(clock) = &self.clock {
            add(&["-rtc", &format!("base={clock}")]);
        }
        match &self.kernel {
            Some(Kernel { image, initrd, cmdline }) => {
                let (image, initrd) = (image.to_string_lossy(), initrd.to_string_lossy());
                let words = self.accel.kernel_words().unwrap_or_default();
                add(&["-kernel", &image, "-initrd", &initrd, "-append", &format!("{words} {cmdline}"), "-no-reboot"]);
            }
            None => {
                let vars = self.firmware.own_vars(state)?;
                add(&["-drive", &format!("if=pflash,format=raw,readonly=on,file={}", option(&self.firmware.code))]);
                add(&["-drive", &format!("if=pflash,format=raw,file={}", option(&vars))]);
                if let Some(words) = self.accel.kernel_words() {
                    // Read by systemd-stub, unless Secure Boot is on.
                    add(&["-smbios", &format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={words}")]);
                }
            }
        }
        let log = option(log);
        match self.serial {
            Serial::File(_) => add(&["-chardev", &format!("file,id=console,path={log}")]),
            Serial::Terminal(_) => add(&["-chardev", &format!("stdio,id=console,mux=on,signal=off,logfile={log}")]),
        }
        add(&["-serial", "chardev:console"]);
        if let Serial::Terminal(_) = self.serial {
            // The multiplexer's second user: Ctrl-A C reaches QEMU's own prompt, Ctrl-A X ends it.
            add(&["-mon", "chardev=console,mode=readline"]);
        }
        let socket = |name: &str| format!("socket,id={name},server=on,wait=off,path={}", option(&folder.join(name)));
        add(&["-chardev", &socket("qmp"), "-mon", "chardev=qmp,mode=control"]);
        add(&["-device", "virtio-serial-pci", "-chardev", &socket("control")]);
        add(&["-device", &format!("virtserialport,chardev=control,name={CONTROL_PORT}")]);
        add(&["-device", "virtio-rng-pci", "-device", "i6300esb", "-action", "watchdog=reset"]);

        let mut network = "user,id=net0".to_owned();
        if !self.reach_out {
            network.push_str(",restrict=on");
        }
        for (host, guest) in forwards {
            network.push_str(&format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}"));
        }
        add(&["-netdev", &network, "-device", "virtio-net-pci,netdev=net0,romfile="]);

        if let Some(text) = &self.host_config {
            let path = folder.join("host.toml");
            fs::write(&path, text).map_err(io("write", &path))?;
            add(&["-fw_cfg", &format!("name={FW_CFG_HOST_CONFIG},file={}", option(&path))]);
        }
        if let Some(image) = &self.image {
            let layer = state.join("disk.qcow2");
            if !layer.exists() {
                disk::overlay(image, &layer, self.disk_size)?;
            }
            words.extend(match &self.write_log {
                None => disk::drive(&layer, "disk"),
                Some(log) => disk::logged(&layer, log, "disk"),
            });
            words.extend(self.bus.arguments("disk", Some(0)));
        }
        for (number, path) in self.disks.iter().enumerate() {
            let id = format!("extra{number}");
            words.extend(disk::drive(path, &id));
            words.extend(Bus::VirtioBlk.arguments(&id, None));
        }
        Ok(words)
    }
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
            let words = description.arguments(dir.path(), Path::new("/log"), &[]).unwrap();
            assert_eq!(words[..2], ["-machine", machine]);
        }
    }
}
