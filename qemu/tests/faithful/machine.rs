//! Runs the guest's part of the test in a machine with a kernel from Debian.

use crate::{
    common::{
        LIMIT,
        initrd::{judges, write_initrd},
        machine,
    },
    guest,
};
use berth_qemu::machine::Kernel;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

/// Modules that the guest needs. A kernel may have some of them built in.
const WANTED: [&str; 4] = ["virtio_pci", "virtio_blk", "erofs", "ext4"];

/// Runs the guest with the kernel of the Debian suite `suite` and two disks. Returns the parts of the guest's report.
pub(crate) fn report(suite: &str, erofs: &Path, ext4: &Path) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let (initrd, report) = (scratch.path().join("initrd"), scratch.path().join("report"));
    let kernel = judges().join("kernel").join(suite);
    write_initrd(&kernel.join("lib/modules"), &WANTED, BTreeMap::new(), &initrd);
    File::create(&report).unwrap().set_len(256 << 20).unwrap();
    let mut description = machine(&format!("faithful-{suite}"), None);
    description.disks = vec![erofs.to_owned(), ext4.to_owned(), report.clone()];
    // The words after `--` are arguments of the test program. It runs only the guest's part and prints errors.
    let cmdline = "console=ttyS0 panic=-1 quiet -- --exact guest_program --nocapture --test-threads=1".to_owned();
    description.kernel = Some(Kernel { image: kernel.join("vmlinuz"), initrd, cmdline });
    let mut machine = description.start().unwrap();
    machine.wait_for_end(LIMIT).unwrap();
    let text = fs::read_to_string(&report).unwrap();
    let text = text.trim_end_matches('\0');
    let parts: Vec<_> = text.split(guest::RULE).map(str::to_owned).collect();
    assert!(parts.last().is_some_and(|last| last == guest::END), "{}", machine.console().tail());
    parts
}
