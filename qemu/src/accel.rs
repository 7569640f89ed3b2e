//! KVM where it works, else emulation.
//!
//! `/dev/kvm` may be there and useless: without the CPU's vmx or svm a guest hangs before its first line. So KVM is taken
//! only with the CPU flag, and after QEMU has proven that it can start a machine with it.

use crate::{error::VmError, tool};
use berth_contract::arch::Arch;
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How the guest's instructions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// By the processor.
    Kvm,
    /// Emulated, one thread for each of the guest's processors.
    TcgMulti,
    /// Emulated on one thread: QEMU before 8 emulates cmpxchg16b wrongly on several, and Linux panics.
    TcgSingle,
}

impl Accel {
    /// Values of QEMU's `-accel` and `-cpu`.
    #[must_use]
    pub fn arguments(self) -> (&'static str, &'static str) {
        match self {
            Self::Kvm => ("kvm", "host"),
            Self::TcgMulti => ("tcg,thread=multi", "max"),
            Self::TcgSingle => ("tcg,thread=single", "max"),
        }
    }

    /// Words for the guest kernel's command line, beside the image's own. An emulated machine has a periodic tick: in one of about a
    /// thousand boots under QEMU 10.0 one processor got no timer interrupt any more ("rcu_preempt kthread timer wakeup didn't happen"),
    /// as if one had been lost. Where each is what programs the next, none comes after it. The cause has not been found.
    #[must_use]
    pub fn kernel_words(self) -> Option<&'static str> {
        match self {
            Self::Kvm => None,
            Self::TcgMulti | Self::TcgSingle => Some("nohz=off highres=off"),
        }
    }

    /// How much longer things take than on a processor.
    #[must_use]
    pub fn patience(self) -> u32 {
        match self {
            Self::Kvm => 1,
            Self::TcgMulti => 4,
            Self::TcgSingle => 8,
        }
    }
}

/// Finds out what works here for a machine of `arch`; `wish` (the environment's `BERTH_ACCEL`: `kvm` or `tcg`) decides where given.
///
/// # Errors
/// When QEMU cannot be asked, or the wish is another word.
pub fn choose(arch: Arch, wish: Option<&str>) -> Result<Accel, VmError> {
    let emulated = || Ok(if tool::qemu_major(arch)? >= 8 { Accel::TcgMulti } else { Accel::TcgSingle });
    match wish {
        Some("kvm") => Ok(Accel::Kvm),
        Some("tcg") => emulated(),
        Some(other) => Err(VmError::Failed {
            program: "BERTH_ACCEL".to_owned(),
            message: format!("expected kvm or tcg, found {other:?}"),
        }),
        None if kvm_works(arch) => Ok(Accel::Kvm),
        None => emulated(),
    }
}

fn kvm_works(arch: Arch) -> bool {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // KVM runs guests of this processor's own architecture only.
    arch.name == std::env::consts::ARCH
        && has_virtualisation(&cpu, arch.qemu.kvm_flags)
        && File::options().read(true).write(true).open("/dev/kvm").is_ok()
        && probe(arch)
}

/// Whether the processor has one of `wanted`, or none is wanted.
fn has_virtualisation(cpuinfo: &str, wanted: &[&str]) -> bool {
    let flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    wanted.is_empty() || flags.flat_map(str::split_whitespace).any(|flag| wanted.contains(&flag))
}

/// Whether QEMU starts a machine with KVM: one that is told to quit at once.
fn probe(arch: Arch) -> bool {
    let machine = arch.qemu.machine;
    let arguments =
        ["-accel", "kvm", "-cpu", "host", "-machine", machine, "-m", "64", "-display", "none", "-monitor", "stdio"];
    let child = Command::new(arch.qemu.program)
        .args(arguments)
        .args(["-nodefaults", "-S"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    if let Some(mut monitor) = child.stdin.take() {
        // A QEMU that has ended already does not read it; its status says so below.
        let _ = std::io::Write::write_all(&mut monitor, b"cont\nquit\n");
    }
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_flag_itself_counts() {
        let wanted = &["vmx", "svm"];
        assert!(has_virtualisation("flags\t\t: fpu svm sse\n", wanted));
        assert!(has_virtualisation("flags\t\t: vmx\n", wanted));
        assert!(!has_virtualisation("flags\t\t: fpu vmxish svm_lock\nbugs: svm\n", wanted));
        assert!(has_virtualisation("Features\t: fp asimd\n", &[]), "an architecture may need no flag");
    }

    #[test]
    fn a_wish_is_followed_or_refused() {
        assert_eq!(choose(Arch::DEFAULT, Some("kvm")).unwrap(), Accel::Kvm);
        assert_ne!(choose(Arch::DEFAULT, Some("tcg")).unwrap(), Accel::Kvm);
        assert!(choose(Arch::DEFAULT, Some("xen")).unwrap_err().to_string().contains("kvm or tcg"));
        choose(Arch::DEFAULT, None).unwrap();
    }
}
