//! timed with the real ntpd-rs, with chrony as a server, and with servers that tell wrong times.
//!
//! The clock of this computer must not change. So ntpd-rs runs without the capability for that, and with `clock.c`, which records its calls
//! in the place of the kernel.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use berth_contract::{
    image_spec::ImageSpec,
    time_config::{ServerOrigin, TimeStatus},
};
use rustix::{
    thread::{LinkNameSpaceType, move_into_link_name_space},
    time::{ClockId, clock_gettime},
};
use serde_json::json;
use std::{
    fs,
    net::UdpSocket,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Seconds. ntpd-rs asks every 16 s.
const PATIENCE: u64 = 120;

#[test]
fn the_clock_follows_the_servers_in_force_and_never_goes_behind_the_image() {
    let ntp_daemon = berth_judge::newer("ntp-daemon");
    berth_judge::needs!(ntp_daemon, "chronyd", "cc", "ip", "unshare", "setpriv");
    if berth_judge::missing_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("clock.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clock.c"));
    assert!(compiler.status().unwrap().success());
    let cable = Cable::new();
    let chrony = chrony(&cable, dir.path());
    let [past, near, future] = [-800_000_000_000, 50, 3_600_000].map(|ahead| cable.wrong_server(ahead));

    let start = |name: &str, image, config| Host::start(&cable, dir.path(), name, &image, config);
    let right = start("right", json!([SERVER]), None);
    let early = start("early", json!([past]), None);
    let slow = start("slow", json!([near]), None);
    let late = start("late", json!(["ignored.example"]), Some(json!([future])));
    let none = start("none", json!([]), None);

    none.wait("says that there is no server", |status| status.origin.is_none());
    assert!(none.log().contains("there is no time server"), "{}", none.log());
    none.network(&json!(["10.78.0.9"]));
    none.wait("takes a server of DHCP", |status| {
        status.origin == Some(ServerOrigin::Dhcp) && status.servers == ["10.78.0.9"] && !status.synchronised
    });

    let status = right.wait("follows chrony", |status| status.synchronised);
    assert_eq!(status.source, Some(format!("{SERVER}:123")));
    assert_eq!((status.origin, status.stratum), (Some(ServerOrigin::Image), Some(6)));
    assert!(status.offset.unwrap().abs() < 0.1, "{status:?}");
    right.wait_for_call("\nsynchronised");

    // 50 ms are corrected by another frequency, an hour in one step.
    slow.wait_for_call("frequency");
    assert!(!slow.calls().contains("step") && !slow.calls().contains("set"), "{}", slow.calls());

    late.wait_for_call("step 3599");
    let before = format!("the time of {past} is before the date of the image");
    // ntpd-rs may end before it has said which server it was.
    let ended = "ntp-daemon has ended: exit status: 70";
    let status = early.wait("refuses a time before the image", |status| {
        status.problem.as_deref().is_some_and(|problem| problem == before || problem == ended)
    });
    assert!(!status.synchronised);
    assert!(!early.calls().contains("step"), "{}", early.calls());
    drop(chrony);
}

/// A running timed, and the files that it reads and writes.
struct Host {
    folder: PathBuf,
    child: Child,
}

impl Host {
    /// Starts timed with the servers of an image, and of host.toml.
    fn start(
        cable: &Cable,
        dir: &Path,
        name: &str,
        image: &serde_json::Value,
        config: Option<serde_json::Value>,
    ) -> Self {
        let folder = dir.join(name);
        fs::create_dir(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        let spec = json!({
            "id": "berth-test", "version": "1", "arch": "x86_64", "kernel": "6", "engine": null, "modules": [], "images": [],
            "containers": [], "time": { "servers": image },
        });
        serde_json::from_value::<ImageSpec>(spec.clone()).unwrap();
        fs::write(path("image.json"), spec.to_string()).unwrap();
        if let Some(servers) = config {
            fs::write(path("settings.json"), json!({ "time": { "servers": servers } }).to_string()).unwrap();
        }
        // ntpd-rs ends with the process that timed kills.
        let script = format!(
            "#!/bin/sh\nexport CLOCK_CALLS={} LD_PRELOAD={}\n\
             exec setpriv --inh-caps=-sys_time --bounding-set=-sys_time unshare --pid --fork --kill-child {} \"$@\"\n",
            path("calls").display(),
            dir.join("clock.so").display(),
            berth_judge::newer("ntp-daemon").display()
        );
        fs::write(path("ntp-daemon"), script).unwrap();
        fs::set_permissions(path("ntp-daemon"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(path("netd")).unwrap();
        let host = Self { child: Self::run(cable, &folder), folder };
        host.network(&json!([]));
        host
    }

    fn run(cable: &Cable, folder: &Path) -> Child {
        // All processes end with the one that the test kills.
        let mut command = Command::new("ip");
        let words = ["unshare", "--pid", "--fork", "--kill-child", env!("CARGO_BIN_EXE_timed")];
        command.args(["netns", "exec", &cable.client]).args(words);
        for (option, file) in [
            ("--directory", "run"),
            ("--settings", "settings.json"),
            ("--network", "netd/status.json"),
            ("--image", "image.json"),
            ("--program", "ntp-daemon"),
        ] {
            command.arg(option).arg(folder.join(file));
        }
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// netd's report with these time servers.
    fn network(&self, servers: &serde_json::Value) {
        let report = json!({ "interfaces": [], "dns": [], "settled": true, "ntp": servers });
        let path = |name: &str| self.folder.join("netd").join(name);
        fs::write(path("new"), report.to_string()).unwrap();
        fs::rename(path("new"), path("status.json")).unwrap();
    }

    /// Waits for a report.
    fn wait(&self, what: &str, condition: impl Fn(&TimeStatus) -> bool) -> TimeStatus {
        let end = Instant::now() + Duration::from_secs(PATIENCE);
        loop {
            let text = fs::read(self.folder.join("run/status.json")).unwrap_or_default();
            let status = serde_json::from_slice::<TimeStatus>(&text).ok();
            if let Some(status) = status.as_ref().filter(|status| condition(status)) {
                return status.clone();
            }
            assert!(Instant::now() < end, "not within {PATIENCE} s: {what}: {status:?}\n{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn wait_for_call(&self, call: &str) {
        self.wait(call, |_| self.calls().contains(call));
    }

    /// The calls of ntpd-rs that would have changed the clock.
    fn calls(&self) -> String {
        fs::read_to_string(self.folder.join("calls")).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that is killed at the end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// chrony as a server of stratum 5, with the time of this computer.
fn chrony(cable: &Cable, dir: &Path) -> Running {
    let (file, pid) = (dir.join("chrony.conf"), dir.join("chrony.pid"));
    let text = format!("local stratum 5\nallow\ncmdport 0\nbindcmdaddress /\npidfile {}\n", pid.display());
    fs::write(&file, text).unwrap();
    // -x: it leaves the clock alone.
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &cable.server, "chronyd", "-x", "-U", "-d", "-f"]).arg(&file);
    Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Address of the servers.
const SERVER: &str = "10.78.0.1";

/// A veth pair between two network namespaces: ntpd-rs takes no server of its own host.
struct Cable {
    server: String,
    client: String,
}

impl Cable {
    fn new() -> Self {
        let id = std::process::id();
        let cable = Self { server: format!("timed{id}s"), client: format!("timed{id}c") };
        let (server, client) = (cable.server.as_str(), cable.client.as_str());
        for words in [
            &["netns", "add", server][..],
            &["netns", "add", client],
            &["-n", server, "link", "add", "s0", "type", "veth", "peer", "name", "c0", "netns", client],
            &["-n", server, "addr", "add", "10.78.0.1/24", "dev", "s0"],
            &["-n", client, "addr", "add", "10.78.0.2/24", "dev", "c0"],
            &["-n", server, "link", "set", "s0", "up"],
            &["-n", client, "link", "set", "c0", "up"],
        ] {
            assert!(Command::new("ip").args(words).status().unwrap().success(), "ip {words:?}");
        }
        cable
    }

    /// A time server whose clock is `ahead` milliseconds ahead. Returns its address.
    fn wrong_server(&self, ahead: i64) -> String {
        let namespace = fs::File::open(format!("/run/netns/{}", self.server)).unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let socket = UdpSocket::bind((SERVER, 0)).unwrap();
            tell.send(socket.local_addr().unwrap().to_string()).unwrap();
            answer(&socket, ahead);
        });
        told.recv().unwrap()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn answer(socket: &UdpSocket, ahead: i64) {
    let mut packet = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut packet) {
        let now = clock_gettime(ClockId::Realtime);
        let then = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec) + i128::from(ahead) * 1_000_000;
        let seconds = u32::try_from(then / 1_000_000_000 + 2_208_988_800).unwrap();
        let part = u32::try_from(((then % 1_000_000_000) << 32) / 1_000_000_000).unwrap();
        let time = [seconds.to_be_bytes(), part.to_be_bytes()].concat();
        // Version 4, server, stratum 2, precision 2^-20; the client's own time is repeated.
        let mut answer = [0; 48];
        answer[..4].copy_from_slice(&[4 << 3 | 4, 2, 6, 0xec]);
        answer[12..16].copy_from_slice(b"LOCL");
        answer[16..24].copy_from_slice(&time);
        answer[24..32].copy_from_slice(&packet[40..48]);
        answer[32..40].copy_from_slice(&time);
        answer[40..].copy_from_slice(&time);
        if length >= 48 {
            socket.send_to(&answer, client).unwrap();
        }
    }
}
