//! Runs external programs: QEMU and its tool for disk images.

use crate::error::VmError;
use berth_contract::arch::Arch;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// Runs a program until it ends, and returns its stdout.
///
/// # Errors
/// If the program cannot be started, or fails. The error then holds the program's stderr.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, VmError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| VmError::Program { program: program.to_owned(), source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let message = if said.is_empty() { output.status.to_string() } else { said };
        return Err(VmError::Failed { program: program.to_owned(), message });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes the kernel kill the child of `command` when this thread ends. So a virtual machine never outlives the process that started it,
/// even if that process is killed.
pub(crate) fn dies_with_us(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    let die = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .map_err(std::io::Error::from)
    };
    #[expect(unsafe_code, reason = "the standard library has no safe way to set the parent-death signal")]
    // SAFETY: the closure runs between fork and exec and makes a single system call, prctl(2).
    unsafe {
        command.pre_exec(die)
    }
}

/// A path for a list of options. In QEMU's lists a comma separates options, so a comma in a path must be doubled.
pub(crate) fn option(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Major version of the QEMU that emulates `arch`.
///
/// # Errors
/// If QEMU cannot be started, or its output is not a version.
pub fn qemu_major(arch: Arch) -> Result<u32, VmError> {
    let text = run(arch.qemu.program, &["--version"])?;
    parse_major(&text).ok_or_else(|| VmError::Failed {
        program: arch.qemu.program.to_owned(),
        message: format!("--version: expected \"QEMU emulator version N\", found {text:?}"),
    })
}

fn parse_major(text: &str) -> Option<u32> {
    text.split_once("version ")?.1.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::QEMU_IMG;

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(option(Path::new("/a,b/c d")), "/a,,b/c d");
    }

    #[test]
    fn the_major_version_is_read_from_qemus_output() {
        assert_eq!(parse_major("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)"), Some(10));
        assert_eq!(parse_major("QEMU emulator version 7.2.17"), Some(7));
        assert_eq!(parse_major("nonsense"), None);
    }

    #[test]
    fn the_error_for_a_missing_program_names_its_package() {
        let error = run("qemu-system-nothing", &[]).unwrap_err();
        assert!(
            error.to_string().contains("qemu-system-nothing") && error.hint().unwrap().contains("qemu-system-nothing")
        );
        let VmError::Program { source, .. } = error else { panic!("{error}") };
        let emulator = VmError::Program { program: Arch::DEFAULT.qemu.program.to_owned(), source };
        assert!(emulator.hint().unwrap().contains("apt install qemu-system-x86)"));
        assert!(run(QEMU_IMG, &["info", "/nonexistent"]).unwrap_err().to_string().contains("nonexistent"));
    }
}
