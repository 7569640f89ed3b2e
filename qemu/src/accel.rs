//! Chooses KVM if it works, or else emulation.
//!
//! The existence of `/dev/kvm` is not enough: if the processor has no virtualisation, a guest hangs before its first console line. So
//! KVM is used only if the processor has the flag and QEMU can start a test machine with KVM.

use crate::{error::VmError, tool};
use berth_contract::arch::Arch;
use std::{
    fs::{self, File},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How QEMU executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor executes them directly.
    Kvm,
    /// Emulated, with one thread for each processor of the guest.
    TcgMulti,
    /// Emulated on one thread. QEMU before version 8 emulates cmpxchg16b wrongly on several threads, and Linux panics.
    TcgSingle,
}

impl Accel {
    /// The values of QEMU's options `-accel` and `-cpu`.
    #[must_use]
    pub fn arguments(self) -> (&'static str, &'static str) {
        match self {
            Self::Kvm => ("kvm", "host"),
            Self::TcgMulti => ("tcg,thread=multi", "max"),
            Self::TcgSingle => ("tcg,thread=single", "max"),
        }
    }

    /// Words for the guest kernel's command line. They give an emulated machine a periodic timer tick. Without them, in about one of a
    /// thousand boots under QEMU 10.0 a processor stops getting timer interrupts ("rcu_preempt kthread timer wakeup didn't happen").
    /// Without a periodic tick each timer interrupt programs the next one, so one lost interrupt stops the timer. It is not known why the
    /// interrupt is lost.
    #[must_use]
    pub fn kernel_words(self) -> Option<&'static str> {
        match self {
            Self::Kvm => None,
            Self::TcgMulti | Self::TcgSingle => Some("nohz=off highres=off"),
        }
    }

    /// Factor for time limits: how much slower the guest may be than with KVM.
    #[must_use]
    pub fn patience(self) -> u32 {
        match self {
            Self::Kvm => 1,
            Self::TcgMulti => 4,
            Self::TcgSingle => 8,
        }
    }
}

/// Chooses the fastest way that works on this computer for a machine of `arch`. `wish` is the value of the environment variable
/// `BERTH_ACCEL`: if it is `kvm` or `tcg`, it decides.
///
/// # Errors
/// If QEMU cannot be started, or `wish` has another value.
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

/// Whether the processor has one of the flags in `wanted`. True if `wanted` is empty.
fn has_virtualisation(cpuinfo: &str, wanted: &[&str]) -> bool {
    let flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    wanted.is_empty() || flags.flat_map(str::split_whitespace).any(|flag| wanted.contains(&flag))
}

/// Whether QEMU can start a machine with KVM. The test machine quits at once.
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
        // This write fails if QEMU has already ended. The exit status below shows that, so the error is ignored.
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
    fn a_flag_must_match_as_a_whole_word() {
        let wanted = &["vmx", "svm"];
        assert!(has_virtualisation("flags\t\t: fpu svm sse\n", wanted));
        assert!(has_virtualisation("flags\t\t: vmx\n", wanted));
        assert!(!has_virtualisation("flags\t\t: fpu vmxish svm_lock\nbugs: svm\n", wanted));
        assert!(has_virtualisation("Features\t: fp asimd\n", &[]), "an architecture may need no flag");
    }

    #[test]
    fn a_valid_wish_decides_and_another_word_is_an_error() {
        assert_eq!(choose(Arch::DEFAULT, Some("kvm")).unwrap(), Accel::Kvm);
        assert_ne!(choose(Arch::DEFAULT, Some("tcg")).unwrap(), Accel::Kvm);
        assert!(choose(Arch::DEFAULT, Some("xen")).unwrap_err().to_string().contains("kvm or tcg"));
        choose(Arch::DEFAULT, None).unwrap();
    }
}
