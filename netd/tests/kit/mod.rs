//! Two network namespaces with a cable between them, and the programs that run in them.
#![allow(dead_code, reason = "each test program uses a part")]

use berth_contract::host_config::HostConfig;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// A veth pair: the server's end `s0` and the client's end `c0`, each in its own namespace.
pub(crate) struct Cable {
    pub(crate) server: String,
    pub(crate) client: String,
    pub(crate) dir: tempfile::TempDir,
}

impl Cable {
    /// Both ends are down. The server's end has the address 10.77.0.1/24.
    pub(crate) fn new(name: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
        let id = std::process::id();
        let (server, client) = (format!("berth{id}{name}s"), format!("berth{id}{name}c"));
        let cable = Self { server, client, dir: tempfile::tempdir().unwrap() };
        ip(&["netns", "add", &cable.server]);
        ip(&["netns", "add", &cable.client]);
        cable.plug();
        cable
    }

    pub(crate) fn plug(&self) {
        ip(&["-n", &self.server, "link", "add", "s0", "type", "veth", "peer", "name", "c0", "netns", &self.client]);
        ip(&["-n", &self.server, "addr", "add", "10.77.0.1/24", "dev", "s0"]);
    }

    pub(crate) fn server_link(&self, state: &str) {
        ip(&["-n", &self.server, "link", "set", "s0", state]);
    }

    pub(crate) fn dnsmasq(&self, options: &[&str]) -> Process {
        let leases = self.dir.path().join("leases").display().to_string();
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            &self.server,
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--port=0",
        ]);
        command.args([
            "--interface=s0",
            "--bind-dynamic",
            "--user=root",
            "--pid-file=",
            "--log-facility=-",
            "--log-dhcp",
        ]);
        // Do not ping before an address is offered: a ping takes seconds.
        command.arg("--no-ping");
        command.arg(format!("--dhcp-leasefile={leases}")).args(options);
        Process::start(&mut command)
    }

    pub(crate) fn netd(&self) -> (Process, UnixDatagram) {
        let path = self.dir.path().join("notify");
        let notify = UnixDatagram::bind(&path).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client, env!("CARGO_BIN_EXE_netd"), "--interface", "c0", "--directory"]);
        command.arg(self.dir.path().join("run")).args(["--time-again", "1"]).env("NOTIFY_SOCKET", path);
        command.arg("--settings").arg(self.dir.path().join("netd.json")).args(["--interface", "c1"]);
        (Process::start(&mut command), notify)
    }

    pub(crate) fn netd_again(&self) -> (Process, UnixDatagram) {
        fs::remove_file(self.dir.path().join("notify")).unwrap();
        self.netd()
    }

    /// Writes the settings as init does: the tables of a host.toml.
    pub(crate) fn settings(&self, host_toml: &str) {
        let config: HostConfig = toml::from_str(host_toml).unwrap();
        config.check().unwrap();
        let tables =
            serde_json::json!({ "network": config.network.unwrap_or_default(), "dns": config.dns.unwrap_or_default() });
        fs::write(self.dir.path().join("netd.json"), tables.to_string()).unwrap();
    }

    /// netd's report.
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.file("status.json")).unwrap_or_default()
    }

    /// The answer of ip(8) in the client's namespace.
    pub(crate) fn ip_json(&self, arguments: &[&str]) -> Vec<Value> {
        let text = ip(&[&["-n", &self.client, "-j", "-d"], arguments].concat());
        serde_json::from_str(text.trim()).unwrap_or_default()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join("run").join(name)).unwrap_or_default()
    }

    /// IPv4 addresses of the client's end.
    pub(crate) fn addresses(&self) -> Vec<Value> {
        let links: Value =
            serde_json::from_str(&ip(&["-n", &self.client, "-j", "-4", "addr", "show", "dev", "c0"])).unwrap();
        let infos = links.as_array().unwrap().iter().filter_map(|link| link["addr_info"].as_array());
        infos.flatten().cloned().collect()
    }

    pub(crate) fn has_address(&self, address: &str) -> bool {
        self.addresses().iter().any(|info| info["local"] == address)
    }

    pub(crate) fn routes(&self) -> Vec<String> {
        let text = ip(&["-n", &self.client, "-4", "route", "show"]);
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.server, &self.client] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

pub(crate) fn ip(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("ip(8) is missing: run ci/setup");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A program whose stderr is recorded. It is killed at the end; its stderr is printed when the test fails.
pub(crate) struct Process {
    pub(crate) child: Child,
    said: Arc<Mutex<String>>,
    name: String,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ip(8) or dnsmasq is missing: run ci/setup");
        let said = Arc::new(Mutex::new(String::new()));
        let (mut pipe, keep) = (child.stderr.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                keep.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { child, said, name }
    }

    /// Sends SIGHUP: the settings have changed.
    pub(crate) fn reload(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.said().matches(words).count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- {}\n{}", self.name, self.said());
        }
    }
}

pub(crate) fn wait_for(what: &str, seconds: u64, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !condition() {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn notified(notify: &UnixDatagram, seconds: u64) -> String {
    notify.set_read_timeout(Some(Duration::from_secs(seconds))).unwrap();
    let mut buffer = [0; 1024];
    let length = notify.recv(&mut buffer).unwrap_or_else(|error| panic!("no notification within {seconds} s: {error}"));
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}
