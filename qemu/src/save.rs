//! Machines that are saved after their boot, so that tests can resume from the saved state instead of booting.
//!
//! A saved machine is a folder with memory, disk, and firmware variables. The folder's name contains a digest of everything that the guest
//! can see: QEMU's version and arguments, image, firmware, further disks, and host.toml. The guest cannot see forwarded ports, the
//! console's file and the log of writes, so these may differ. The guest's clock continues from the time of saving
//! ([`crate::once::FRESH`] limits the difference). At its next reboot the guest reads the right time.

use crate::{
    booted::{Booted, MEMORY},
    description::{Description, Places, Serial},
    error::VmError,
    machine::Machine,
    once::{name_of, once, stamp},
    tool,
};
use std::{path::Path, time::Duration};

/// File with the console of the machine that is saved.
const CONSOLE: &str = "console.log";
/// Older versions of QEMU do not accept a file name as the target of a save.
const LEAST_QEMU: u32 = 9;
/// How long QEMU may take to end after the command to quit.
const QUIT_LIMIT: Duration = Duration::from_secs(60);

impl Description {
    /// Returns a description of the same machine, which resumes from a saved machine in the folder `states` instead of booting. If no such
    /// machine is saved yet, one is started, `ready` waits until it has the state to save, and it is saved. If QEMU is too old for this,
    /// the description is returned unchanged. So callers must always wait until the machine is ready.
    ///
    /// # Errors
    /// The errors of `ready`. Also if a machine cannot be started or saved.
    pub fn booted(
        &self,
        states: &Path,
        name: &str,
        ready: impl FnOnce(&mut Machine) -> Result<(), VmError>,
    ) -> Result<Self, VmError> {
        if tool::qemu_major(self.arch)? < LEAST_QEMU {
            return Ok(self.clone());
        }
        let folder = once(states, &self.key(name)?, |new| {
            let plain = Self { kept: Some(new.to_owned()), serial: Serial::File(new.join(CONSOLE)), ..self.plain() };
            let mut machine = plain.start()?;
            ready(&mut machine)?;
            let mut monitor = machine.monitor()?;
            monitor.save(&new.join(MEMORY))?;
            monitor.quit()?;
            machine.wait_for_end(QUIT_LIMIT).map(drop)
        })?;
        Ok(Self { booted: Some(Booted { folder }), ..self.clone() })
    }

    /// This description without the parts that the guest cannot see.
    fn plain(&self) -> Self {
        Self { kept: None, write_log: None, booted: None, forwards: Vec::new(), ..self.clone() }
    }

    /// The name of the saved machine's folder, with a digest of everything that the guest can see.
    fn key(&self, name: &str) -> Result<String, VmError> {
        let plain = Self { serial: Serial::File(CONSOLE.into()), ..self.plain() };
        let here = Path::new("");
        let mut lines = plain.arguments(&Places { folder: here, state: here, log: here }, &[]);
        lines.push(format!("{:?}", self.disk_size));
        lines.push(self.host_config.clone().unwrap_or_default());
        lines.push(tool::run(self.arch.qemu.program, &["--version"])?);
        let files = self.image.iter().chain(&self.disks).chain([&self.firmware.code, &self.firmware.vars]);
        for path in files {
            lines.push(stamp(path)?);
        }
        Ok(name_of(name, &lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{accel::Accel, firmware::Firmware};
    use std::fs;

    #[test]
    fn the_key_depends_only_on_what_the_guest_can_see() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let firmware = Firmware { code: file("code", "c"), vars: file("vars", "v") };
        let image = file("image.raw", "image");
        let one = Description::new(Some(image), Accel::TcgMulti, firmware, "/one.log".into());
        let key = one.key("name").unwrap();
        let mut same = one.clone();
        (same.forwards, same.serial) = (vec![(0, 80)], Serial::File("/other.log".into()));
        (same.kept, same.write_log) = (Some("/kept".into()), Some("/log".into()));
        assert_eq!(same.key("name").unwrap(), key);
        let other = |change: &dyn Fn(&mut Description)| {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(other.key("name").unwrap(), key, "{other:?}");
        };
        other(&|other| other.memory = 1024);
        other(&|other| other.disk_size = Some(1 << 30));
        other(&|other| other.host_config = Some("hostname = \"a\"".to_owned()));
        other(&|other| other.kernel_words = Some("berth.debug=1".to_owned()));
        other(&|other| other.disks = vec![other.firmware.code.clone()]);
        file("image.raw", "another image");
        assert_ne!(one.key("name").unwrap(), key);
    }
}
