//! host.toml from each place where the host looks for it, and a wrong host.toml.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use berth_contract::control::{HostState, LogLine, StatusReport};
use berth_control::ClientError;
use berth_qemu::machine::{Description, Machine};
use common::{LIMIT, build, build_small, machine, output, tool};
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
    // QEMU accepts every connection to a forwarded port. Only an answer shows that the guest listens.
    let mut stream = TcpStream::connect(("127.0.0.1", vm.port(2376).unwrap())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut byte = [0];
    stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n").is_ok() && !matches!(stream.read(&mut byte), Ok(0) | Err(_))
}

#[test]
fn with_a_wrong_host_toml_the_host_still_boots_and_reports_the_fault() {
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

/// The driver of a SATA controller finds its disks only after it was loaded.
#[test]
fn host_toml_is_read_from_a_slow_disk_with_the_label() {
    let scratch = tempfile::tempdir().unwrap();
    let (file, disk) = (scratch.path().join("host.toml"), scratch.path().join("config.raw"));
    fs::write(&file, "hostname = \"from-disk\"\n").unwrap();
    // A FAT label has at most eleven letters.
    tool("mkfs.fat", &["-C", "-n", "BERTH-CONFI", disk.to_str().unwrap(), "1440"]).unwrap();
    tool("mcopy", &["-i", disk.to_str().unwrap(), file.to_str().unwrap(), "::/host.toml"]).unwrap();
    let mut description = machine("config-disk", Some(output(&build_small(), ".raw")));
    description.sata_disks = vec![disk];
    let (mut vm, mut status) = (description.start().unwrap(), None);
    // Wait only until the configuration is applied, not until the host is ready.
    vm.wait_until("an applied configuration", LIMIT, |vm| {
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
fn host_toml_of_the_esp_stays_in_force_after_a_wrong_one_until_var_is_erased() {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let (image, file, disk) = (path("disk.raw"), path("host.toml"), path("disk.qcow2"));
    tool("cp", &["--sparse=always", output(&build_small(), ".raw").to_str().unwrap(), image.to_str().unwrap()])
        .unwrap();
    fs::write(&file, "hostname = \"from-esp\"\n").unwrap();
    let esp = esp(&image);
    tool("mmd", &["-i", &esp, "::/berth"]).unwrap();
    tool("mcopy", &["-i", &esp, file.to_str().unwrap(), "::/berth/host.toml"]).unwrap();
    let description = machine("config-esp", Some(image));
    let (status, mut vm) = boot(&description);
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("from-esp", Some("esp")));
    vm.control(Duration::from_secs(30)).unwrap().poweroff().unwrap();
    vm.wait_for_end(LIMIT).unwrap();

    let layer = vm.folder().join("disk.qcow2");
    tool("qemu-img", &["convert", "-O", "qcow2", layer.to_str().unwrap(), disk.to_str().unwrap()]).unwrap();
    let mut description = machine("config-last-good", Some(disk));
    description.host_config = Some("hostname = 5\n".to_owned());
    let (status, mut vm) = boot(&description);
    let console = vm.console().text();
    assert_eq!((status.hostname.as_str(), status.config.source.as_deref()), ("from-esp", Some("last good")));
    let error = status.config.error.unwrap();
    assert!(error.contains("fw_cfg, line 1, column 12: wrong type: expected a string, found integer `5`"), "{error}");
    assert!(console.contains(&error), "{console}");
    assert_eq!(status.state, HostState::Running);

    // A configuration is tried without a confirmation, then confirmed. The last try is pending at the reboot.
    let wrong = config(&vm, &["apply", "-"], "hostname = 'x'\n[sysctl]\n'a b' = 1").unwrap_err();
    assert!(wrong.to_string().contains("line 3, column 9: sysctl.\"a b\": expected the name of a"), "{wrong}");
    config(&vm, &["try", "-", "--confirm-within", "10s"], "hostname = 'unconfirmed'").unwrap();
    let name = |vm: &Machine| vm.control(Duration::from_secs(10)).unwrap().status().unwrap().hostname;
    assert_eq!(name(&vm), "unconfirmed");
    vm.wait_until("the end of the try", LIMIT, |vm| name(vm) == "from-esp").unwrap();
    let history = config(&vm, &["history"], "").unwrap();
    assert!(history.contains("nobody has confirmed it in time"), "{history}");
    config(&vm, &["try", "-"], "hostname = 'kept'\n[sysctl]\n'vm.swappiness' = 7\n").unwrap();
    config(&vm, &["confirm"], "").unwrap();
    config(&vm, &["try", "-", "--confirm-within", "1h"], "hostname = 'pending'").unwrap();
    // At the same reboot, everything but the configuration is erased.
    let words = ["reset", "--keep-config", "--yes"].map(str::to_owned);
    let mut control = vm.control(Duration::from_secs(30)).unwrap();
    control.run(&words, |_| Ok::<_, ClientError>(())).unwrap();
    let before = vm.console().text().len();
    control.reboot().unwrap();
    drop(control);
    vm.wait_for_text("ready after", before, LIMIT).unwrap();
    vm.wait_ready(LIMIT).unwrap();
    let kept = vm.control(Duration::from_secs(30)).unwrap().status().unwrap();
    assert_eq!((kept.hostname.as_str(), &kept.config.error), ("kept", &None));
    assert!(
        kept.config.note.as_ref().is_some_and(|note| note.contains("restarted before it was confirmed")),
        "{kept:?}"
    );
    assert!(kept.machine_id != status.machine_id && kept.problems.is_empty(), "{kept:?}");
    let console = vm.console().text();
    assert!(console[before..].contains("everything but the configuration is erased"), "{console}");

    // Nobody may erase /var by mistake. Once it is sure, /var is empty after the next boot, and as large as before.
    let mut control = vm.control(Duration::from_secs(30)).unwrap();
    let mut reset = |words: &[&str]| {
        let words: Vec<String> = ["reset", "--var"].iter().chain(words).map(|&word| word.to_owned()).collect();
        control.run(&words, |_| Ok::<_, ClientError>(()))
    };
    assert!(reset(&[]).unwrap_err().hint().unwrap().contains("--yes"));
    reset(&["--yes"]).unwrap();
    let before = console.len();
    control.reboot().unwrap();
    drop(control);
    vm.wait_for_text("ready after", before, LIMIT).unwrap();
    vm.wait_ready(LIMIT).unwrap();
    let empty = vm.control(Duration::from_secs(30)).unwrap().status().unwrap();
    assert!(vm.console().text()[before..].contains("everything is erased"), "{}", vm.console().text());
    assert!(empty.machine_id != kept.machine_id && empty.config.source.is_none(), "{empty:?}");
    assert!(empty.var.persistent && empty.var.size == status.var.size, "{:?}", empty.var);
}

/// Runs `hostctl config` on the host with a text on its standard input. Returns its output.
fn config(vm: &Machine, words: &[&str], text: &str) -> Result<String, ClientError> {
    let words: Vec<String> = ["config"].iter().chain(words).map(|&word| word.to_owned()).collect();
    let input = (!text.is_empty()).then(|| text.to_owned());
    let mut lines = Vec::new();
    let line = |line: LogLine| {
        lines.push(line.text);
        Ok::<_, ClientError>(())
    };
    vm.control(Duration::from_secs(30)).unwrap().run_with(&words, input, line)?;
    Ok(lines.join("\n"))
}

/// The ESP of a disk image in the form of mtools' option `-i`. The ESP starts at 1 MiB.
fn esp(image: &Path) -> String {
    format!("{}@@1M", image.display())
}
