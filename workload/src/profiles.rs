//! The start of the loader of AppArmor profiles. It fails on a kernel without AppArmor (`apparmor=0`), which needs no profiles.

use super::error::WorkloadError;
use std::{os::unix::process::CommandExt, path::Path, process::Command};

/// The kernel's directories of security modules (securityfs).
pub const SECURITY: &str = "/sys/kernel/security";
/// AppArmor's directory: there is none if the kernel has no AppArmor, or it is off.
const APPARMOR: &str = "apparmor";

/// Becomes the loader, if the kernel has AppArmor. `security` is [`SECURITY`].
///
/// # Errors
/// When the program cannot be executed.
pub fn load_profiles(words: &[String], security: &Path) -> Result<(), WorkloadError> {
    let Some((program, arguments)) = words.split_first() else { return Err(WorkloadError::NoProgram("load-profiles")) };
    if !security.join(APPARMOR).exists() {
        return Ok(());
    }
    let source = Command::new(program).args(arguments).exec();
    Err(WorkloadError::Start { program: program.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_apparmor_needs_no_loader() {
        let security = tempfile::tempdir().unwrap();
        let words = ["/no/such/loader".to_owned()];
        load_profiles(&words, security.path()).unwrap();
        std::fs::create_dir(security.path().join(APPARMOR)).unwrap();
        assert!(matches!(load_profiles(&words, security.path()), Err(WorkloadError::Start { .. })));
        assert!(matches!(load_profiles(&[], security.path()), Err(WorkloadError::NoProgram(_))));
    }
}
