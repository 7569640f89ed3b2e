//! Packages that a whole image can be made of.

use super::Deb;
use crate::assemble_kit::module;
use std::fs;

const RELEASE: &str = "6.12.1-test";

/// A kernel of `kernel` bytes, and the boot loader that ci/setup installs.
pub(crate) fn essentials(kernel: usize) -> Vec<Deb> {
    let work = tempfile::tempdir().unwrap();
    let modules = format!("usr/lib/modules/{RELEASE}");
    let kernel = Deb::new("linux-image-test")
        .copyright()
        .file(&format!("boot/vmlinuz-{RELEASE}"), vec![0x90; kernel])
        .file(&format!("{modules}/kernel/some.ko"), module(work.path(), "some", &["name=some", "depends="]))
        .file(&format!("{modules}/modules.builtin"), "kernel/drivers/md/dm-verity.ko\nkernel/fs/erofs/erofs.ko\n");
    let mut boot = Deb::new("systemd-boot-efi").copyright();
    for name in ["linuxx64.efi.stub", "systemd-bootx64.efi"] {
        let path = format!("usr/lib/systemd/boot/efi/{name}");
        boot = boot.file(&path, fs::read(format!("/{path}")).expect("systemd-boot-efi is missing: run ci/setup"));
    }
    vec![kernel, boot]
}
