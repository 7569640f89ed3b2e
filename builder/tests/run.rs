//! `berth run` with an empty disk image: arguments that it refuses, and the console on a terminal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn berth(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let berth = env!("CARGO_BIN_EXE_berth");
    let output = Command::new(berth).current_dir(folder).arg("run").args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Makes a disk image with an empty partition table. The firmware finds nothing to boot on it and prints that.
fn blank(folder: &Path) {
    let mut bytes = vec![0; 1 << 20];
    bytes[512..520].copy_from_slice(b"EFI PART");
    fs::write(folder.join("blank.raw"), bytes).unwrap();
}

#[test]
fn invalid_images_and_options_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    blank(dir.path());
    fs::write(dir.path().join("host.toml"), "hostname = 'node-1'\nhostnam = 'x'\n").unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("zeros.raw"), vec![0; 1 << 20]).unwrap();
    fs::write(dir.path().join("packed.raw"), b"\x28\xb5\x2f\xfd and more").unwrap();
    fs::write(dir.path().join("other.raw"), b"QFI\xfb and more").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{}:80", listener.local_addr().unwrap().port());
    for (arguments, words) in [
        (
            &["."][..],
            "found a folder\nhint: name a file in this folder: blank.raw, host.toml, other.raw, packed.raw, zeros.raw",
        ),
        (&["empty"], "hint: name a recipe (.toml), or the .raw or .qcow2 file of a build"),
        (&["zeros.raw"], "found a file without a partition table"),
        (&["packed.raw"], "found a file compressed as .zst\nhint: unpack it first"),
        (&["other.raw"], "a qcow2 image with another name"),
        (
            &["blank.raw", "--", "no-such-program", "x"],
            "no-such-program: expected a program to run, found none\nhint: ",
        ),
        (&["blank.raw", "--", "./host.toml"], "./host.toml: expected a program to run"),
        (&["blank.raw", "--disk", "4KiB"], "--disk 4KiB: expected at least the size of the image, 1048576 bytes"),
        (&["blank.raw", "--disk", "big"], "a size like 512MiB or 1GiB"),
        (
            &["blank.raw", "-p", &taken],
            "hint: another program uses this port: name another one, or 0 for any free port",
        ),
        (&["gone.raw"], "gone.raw does not exist"),
        (&["blank.raw", "-p", "80"], "expected HOST:GUEST"),
        (&["blank.raw", "-p", "80:0"], "expected HOST:GUEST"),
        (&["blank.raw", "--config", "gone.toml"], "cannot read gone.toml"),
        (&["blank.raw", "--config", "host.toml"], "unknown key `hostnam`"),
        (&["blank.raw", "--memory", "0"], "0 is not in 64.."),
        (&["blank.raw", "--cpus", "0"], "0 is not in 1..=255"),
    ] {
        let (code, said) = berth(dir.path(), arguments);
        assert!(code.is_some_and(|code| code != 0) && said.contains(words), "{arguments:?}: {code:?} {said}");
    }
}

#[test]
fn without_a_command_the_console_is_on_the_terminal_and_ctrl_a_x_ends_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    blank(dir.path());
    // script(1) runs the program on a new terminal, and passes our keys to it.
    let line = format!("{} run blank.raw --memory 128 --cpus 1", env!("CARGO_BIN_EXE_berth"));
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) is missing: install bsdutils");
    let (mut keys, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        screen.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    });
    let console = dir.path().join("out/console.log");
    let end = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(&console).is_ok_and(|said| said.contains("BdsDxe")) {
        assert!(Instant::now() < end, "the firmware prints nothing");
        thread::sleep(Duration::from_millis(100));
    }
    keys.write_all(b"\x01x").unwrap();
    let status = terminal.wait().unwrap();
    let said = reader.join().unwrap();
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("BdsDxe"), "{said}");
    let value = |name: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(&format!("export {name}=")));
        line.unwrap_or_else(|| panic!("no export of {name}: {said}")).to_owned()
    };
    assert!(value("DOCKER_HOST").starts_with("tcp://127.0.0.1:") && value("DOCKER_TLS_VERIFY") == "1");
    assert!(!fs::exists(value("DOCKER_CERT_PATH")).unwrap(), "the machine's folder is not removed");
}
