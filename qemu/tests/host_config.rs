//! host.toml from each of its places, a wrong one, and none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use berth_contract::control::{HostState, StatusReport};
use berth_qemu::machine::{Description, Machine};
use common::{LIMIT, build, build_small, judge, machine, output};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

/// Boots, and returns the status and the machine.
fn boot(description: &Description) -> (StatusReport, Machine) {
    let mut vm = description.start().unwrap();
    vm.wait_ready(LIMIT).unwrap();
    let status = vm.control(Duration::from_secs(30)).unwrap().status().unwrap();
    (status, vm)
}

/// Whether the guest answers on docker's port.
fn docker_listens(vm: &Machine) -> bool {
    // QEMU accepts every connection to a forwarded port. An answer shows whether the guest does.
    let mut stream = TcpStream::connect(("127.0.0.1", vm.port(2376).unwrap())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut byte = [0];
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_ok() && !matches!(stream.read(&mut byte), Ok(0) | Err(_))
}

#[test]
fn the_host_comes_up_and_names_the_fault_of_a_wrong_file() {
    let mut description = machine("config-wrong", Some(output(&build(), ".raw")));
    description.forwards = vec![(0, 2376)];
    description.host_config = Some("hostname = \"node-1\"\nhostnam = \"x\"\n".to_owned());
    let (status, vm) = boot(&description);
    let console = vm.console().text();
    assert!(!docker_listens(&vm), "an image listens on no port by default");
    assert_eq!(status.state, HostState::Running);
    let error = status.config.error.unwrap();
    assert!(error.contains("fw_cfg") && error.contains("hostnam"), "{error}");
    assert!(console.contains("hostnam") && console.contains("host.toml"), "{console}");
    assert!(status.hostname.starts_with("berth-"), "{}", status.hostname);
}

#[test]
fn a_disk_with_the_label_is_read() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, disk) = (scratch.path().join("host.toml"), scratch.path().join("config.raw"));
    fs::write(&file, "hostname = \"from-disk\"\n").unwrap();
    // A FAT label has at most eleven letters.
    judge("mkfs.fat", &["-C", "-n", "BERTH-CONFI", disk.to_str().unwrap(), "1440"]).unwrap();
    judge("mcopy", &["-i", disk.to_str().unwrap(), file.to_str().unwrap(), "::/host.toml"]).unwrap();
    let mut description = machine("config-disk", Some(output(&build_small(), ".raw")));
    description.disks = vec![disk];
    let (mut vm, mut status) = (description.start().unwrap(), None);
    // The engine is not needed here: wait for the configuration only.
    vm.wait_until("a configuration in force", LIMIT, |vm| {
        let now = vm.control(Duration::from_secs(2)).unwrap().status().ok();
        status = now.filter(|status| status.config.source.is_some());
        status.is_some()
    })
    .unwrap();
    let status = status.unwrap();
    assert_eq!((status.hostname.as_str(), status.config.error), ("from-disk", None));
    assert_eq!(status.config.source.as_deref(), Some("disk BERTH-CONFIG"));
}

#[test]
fn a_file_on_the_esp_is_read_and_stays_in_force_when_a_later_file_is_wrong() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let (image, file, disk) = (path("disk.raw"), path("host.toml"), path("disk.qcow2"));
    judge("cp", &["--sparse=always", output(&build_small(), ".raw").to_str().unwrap(), image.to_str().unwrap()])
        .unwrap();
    fs::write(&file, "hostname = \"from-esp\"\n").unwrap();
    let esp = esp(&image);
    judge("mmd", &["-i", &esp, "::/berth"]).unwrap();
    judge("mcopy", &["-i", &esp, file.to_str().unwrap(), "::/berth/host.toml"]).unwrap();
    let description = machine("config-esp", Some(image));
    let (status, mut vm) = boot(&description);
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("from-esp", Some("esp")));
    vm.control(Duration::from_secs(30)).unwrap().poweroff().unwrap();
    vm.wait_for_end(LIMIT).unwrap();

    let layer = vm.folder().join("disk.qcow2");
    judge("qemu-img", &["convert", "-O", "qcow2", layer.to_str().unwrap(), disk.to_str().unwrap()]).unwrap();
    let mut description = machine("config-last-good", Some(disk));
    description.host_config = Some("hostname = 5\n".to_owned());
    let (status, vm) = boot(&description);
    let console = vm.console().text();
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("from-esp", Some("last good")));
    let error = status.config.error.unwrap();
    assert!(error.contains("fw_cfg, line 1, column 12: invalid type: integer `5`"), "{error}");
    assert!(console.contains(&error), "{console}");
    assert_eq!(status.state, HostState::Running);
}

/// The ESP of a disk image, as mtools' option -i takes it. It is the first partition, after one MiB.
fn esp(image: &Path) -> String {
    format!("{}@@1M", image.display())
}
