//! A machine never outlives who started it.

mod common;

use common::machine;
use std::{path::Path, time::Duration};

#[test]
fn a_machine_without_a_disk_starts_its_firmware_and_is_gone_when_dropped() {
    let mut machine = machine("no-disk", None).start().unwrap();
    machine.wait_for_text("BdsDxe", 0, Duration::from_secs(60)).unwrap();
    let (process, folder) = (machine.process(), machine.folder().to_owned());
    assert!(Path::new(&format!("/proc/{process}")).exists());
    machine.monitor().unwrap().reset().unwrap();
    drop(machine);
    assert!(!Path::new(&format!("/proc/{process}")).exists(), "QEMU is gone");
    assert!(!folder.exists(), "and so is its folder");
}
