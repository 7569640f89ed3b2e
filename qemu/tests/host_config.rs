//! host.toml from each of its places; a wrong one; none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use berth_contract::control::HostState;
use common::{LIMIT, build, judge, machine, output};
use std::{fs, net::TcpStream, path::Path, time::Duration};

/// Boots, and returns the status and what the console said.
fn boot(description: &berth_qemu::machine::Description) -> (berth_contract::control::StatusReport, String) {
    let mut vm = description.start().unwrap();
    vm.wait_ready(LIMIT).unwrap();
    let status = vm.control(Duration::from_secs(30)).unwrap().status().unwrap();
    // QEMU takes every connection to a forwarded port; what tells is whether the guest does.
    let port = vm.port(2376).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut byte = [0];
    let refused = std::io::Write::write_all(&mut stream, b"GET /_ping HTTP/1.0\r\n\r\n").is_err()
        || matches!(std::io::Read::read(&mut stream, &mut byte), Ok(0) | Err(_));
    assert!(refused, "an image listens on nothing by default");
    (status, vm.console().text())
}

#[test]
fn a_wrong_file_is_named_and_the_machine_comes_up_all_the_same() {
    let mut description = machine("config-wrong", Some(output(&build(), ".raw")));
    description.forwards = vec![(0, 2376)];
    description.host_config = Some("hostname = \"node-1\"\nhostnam = \"x\"\n".to_owned());
    let (status, console) = boot(&description);
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
    // FAT has room for eleven letters.
    judge("mkfs.fat", &["-C", "-n", "BERTH-CONFI", disk.to_str().unwrap(), "1440"]).unwrap();
    judge("mcopy", &["-i", disk.to_str().unwrap(), file.to_str().unwrap(), "::/host.toml"]).unwrap();
    let mut description = machine("config-disk", Some(output(&build(), ".raw")));
    description.disks = vec![disk];
    let (mut vm, mut status) = (description.start().unwrap(), None);
    // The engine has no part in this: the configuration in force is enough.
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
fn the_esp_is_read_and_its_file_is_the_last_good_one_when_another_is_wrong() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let (image, file, disk) = (path("disk.raw"), path("host.toml"), path("disk.qcow2"));
    judge("cp", &["--sparse=always", output(&build(), ".raw").to_str().unwrap(), image.to_str().unwrap()]).unwrap();
    fs::write(&file, "hostname = \"from-esp\"\n").unwrap();
    let esp = esp(&image);
    judge("mmd", &["-i", &esp, "::/berth"]).unwrap();
    judge("mcopy", &["-i", &esp, file.to_str().unwrap(), "::/berth/host.toml"]).unwrap();
    let mut description = machine("config-esp", Some(image));
    description.forwards = vec![(0, 2376)];
    let mut vm = description.start().unwrap();
    vm.wait_ready(LIMIT).unwrap();
    let mut control = vm.control(Duration::from_secs(30)).unwrap();
    let status = control.status().unwrap();
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("from-esp", Some("esp")));
    control.poweroff().unwrap();
    vm.wait_for_end(LIMIT).unwrap();

    let layer = vm.folder().join("disk.qcow2");
    judge("qemu-img", &["convert", "-O", "qcow2", layer.to_str().unwrap(), disk.to_str().unwrap()]).unwrap();
    let mut description = machine("config-last-good", Some(disk));
    description.forwards = vec![(0, 2376)];
    description.host_config = Some("hostname = 5\n".to_owned());
    let (status, console) = boot(&description);
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("from-esp", Some("last good")));
    let error = status.config.error.unwrap();
    assert!(error.contains("fw_cfg, line 1, column 12: invalid type: integer `5`"), "{error}");
    assert!(console.contains(&error), "{console}");
    assert_eq!(status.state, HostState::Running);
}

/// The ESP of a disk image, in mtools' words. It is the first partition, after one MiB.
fn esp(image: &Path) -> String {
    format!("{}@@1M", image.display())
}
