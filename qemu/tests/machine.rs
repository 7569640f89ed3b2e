//! Tests of the harness itself, with machines that run only the firmware. A machine ends when its value is dropped or its process ends, and
//! it does not write to images.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use berth_qemu::{
    disk::Bus,
    error::VmError,
    machine::{Description, Machine},
    standstill::SAMPLES,
};
use common::{machine, tool};
use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(60);
/// How long a boot may be silent in tests that stop the guest's processors.
const SILENCE: Duration = Duration::from_secs(3);
/// Environment variable. It is set if [`holds_a_machine_until_it_is_killed`] runs in the process that another test kills.
const HOLDER: &str = "BERTH_TEST_HOLDER";

fn small(name: &str) -> Description {
    let mut description = machine(name, None);
    (description.memory, description.cpus) = (128, 1);
    description
}

fn is_alive(process: u32) -> bool {
    // A zombie process has ended; only its exit status has not been read yet.
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

#[test]
fn a_dropped_machine_leaves_only_its_console_file() {
    let mut description = small("no-disk");
    description.forwards = vec![(0, 2376), (0, 80)];
    let mut machine = description.start().unwrap();
    // Without a disk the firmware looks for a network to boot from.
    machine.wait_for_text("Start PXE", 0, LIMIT).unwrap();
    let ports = [machine.port(2376).unwrap(), machine.port(80).unwrap()];
    assert!(ports[0] != 0 && ports[0] != ports[1] && machine.port(81).is_none());

    let from = machine.console().text().len();
    machine.monitor().unwrap().reset().unwrap();
    machine.wait_for_text("Start PXE", from, LIMIT).unwrap();
    let error = machine.wait_for_text("login:", 0, Duration::from_millis(300)).unwrap_err();
    assert!(error.to_string().contains("Start PXE"), "the error quotes the console: {error}");

    let (process, folder, console) = (machine.process(), machine.folder().to_owned(), machine.console().clone());
    assert!(is_alive(process) && folder.is_dir());
    drop(machine);
    assert!(!is_alive(process) && !folder.exists());
    assert!(console.text().contains("Start PXE"), "the console's file stays");
}

#[test]
fn qemu_exits_with_success_after_the_command_to_quit() {
    let mut machine = small("quit").start().unwrap();
    machine.monitor().unwrap().quit().unwrap();
    assert!(machine.wait_for_end(LIMIT).unwrap().success());
    let error = machine.wait_for_text("never", 0, LIMIT).unwrap_err();
    assert!(matches!(error, VmError::Ended { .. }), "{error}");
}

#[test]
fn when_qemu_does_not_start_the_error_holds_its_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut description = small("taken");
    description.forwards = vec![(listener.local_addr().unwrap().port(), 80)];
    let error = description.start().unwrap_err().to_string();
    assert!(error.starts_with("cannot forward port "), "{error}");
    description.forwards.clear();
    description.image = Some("/nonexistent/image.raw".into());
    assert!(description.start().unwrap_err().to_string().contains("/nonexistent/image.raw"));
}

#[test]
fn every_bus_takes_a_disk_and_images_are_not_written_to() {
    let dir = tempfile::Builder::new().prefix("a, b=c ").tempdir().unwrap();
    let (image, further) = (dir.path().join("disk,1.raw"), dir.path().join("further.raw"));
    for path in [&image, &further] {
        fs::write(path, vec![7; 1 << 20]).unwrap();
    }
    for bus in [Bus::VirtioBlk, Bus::VirtioScsi, Bus::Nvme, Bus::Ahci, Bus::Usb] {
        let mut description = small("bus");
        (description.image, description.disk_size, description.bus) = (Some(image.clone()), Some(1 << 30), bus);
        description.disks = vec![further.clone()];
        let machine: Machine = description.start().unwrap_or_else(|error| panic!("{bus:?}: {error}"));
        let layer = machine.folder().join("disk.qcow2");
        let info = tool("qemu-img", &["info", "-U", "--output=json", layer.to_str().unwrap()]).unwrap();
        assert!(info.contains("\"virtual-size\": 1073741824"), "{info}");
    }
    assert_eq!(fs::read(&image).unwrap(), vec![7; 1 << 20]);
}

#[test]
fn a_boot_that_hangs_before_its_first_output_is_restarted() {
    let mut description = small("stands-still");
    description.silence = SILENCE;
    let mut machine = description.start().unwrap();
    let first = machine.process();
    machine.monitor().unwrap().stop().unwrap();
    machine.wait_for_text("Start PXE", 0, LIMIT).unwrap();
    assert!(machine.process() != first && !is_alive(first));
    let kept = machine.console().path().with_extension("stood-still-1");
    let state = fs::read_to_string(kept.join("state")).unwrap();
    assert!(state.contains("paused") && state.contains("IP=") && state.contains("CPU#0"), "{state}");
    assert_eq!(fs::read_to_string(kept.join("samples")).unwrap().lines().count(), SAMPLES);
    assert!(kept.join("console").is_file());
}

#[test]
fn a_boot_that_hangs_twice_is_an_error_with_the_path_of_the_guests_state() {
    let mut description = small("stands-still-twice");
    description.silence = SILENCE;
    let mut machine = description.start().unwrap();
    let stop = |machine: &mut Machine| {
        machine.monitor().and_then(|mut monitor| monitor.stop()).unwrap();
        false
    };
    let error = machine.wait_until("console output", LIMIT, stop).unwrap_err();
    let VmError::StandsStill { folder, .. } = &error else { panic!("{error}") };
    assert!(folder.ends_with("stands-still-twice.stood-still-2") && folder.join("state").is_file());
    assert!(error.to_string().contains(folder.to_str().unwrap()), "{error}");
}

/// Not a test: [`no_machine_outlives_the_process_that_made_it`] runs this function in a process and kills the process.
#[test]
fn holds_a_machine_until_it_is_killed() {
    if env::var_os(HOLDER).is_none() {
        return;
    }
    let machine = small("held").start().unwrap();
    println!("\nmachine {}", machine.process());
    thread::sleep(LIMIT);
}

#[test]
fn no_machine_outlives_the_process_that_made_it() {
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "holds_a_machine_until_it_is_killed", "--nocapture"])
        .env(HOLDER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let process = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("machine ")?.parse().ok()).unwrap();
    assert!(is_alive(process));
    // SIGKILL, as the kernel sends it when memory is short: the process cannot clean up.
    holder.kill().unwrap();
    holder.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    while is_alive(process) {
        assert!(Instant::now() < end, "QEMU (process {process}) still runs");
        thread::sleep(Duration::from_millis(50));
    }
}
