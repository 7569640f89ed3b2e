//! Starts hostd in a folder of its own, with certificates, a fake init and a fake engine.

pub(crate) mod client;
pub(crate) mod engine;
pub(crate) mod init;
pub(crate) mod pki;

use client::{Answer, Client};
use init::Init;
use pki::{Certificate, Pki};
use serde_json::{Value, json};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a test waits for something that should happen soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A host with a running hostd. Dropping it ends hostd.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) pki: Pki,
    pub(crate) server: Certificate,
    pub(crate) admin: Certificate,
    pub(crate) reader: Certificate,
    pub(crate) address: SocketAddr,
    pub(crate) init: Init,
    hostd: Option<Child>,
    notify: UnixDatagram,
}

impl Host {
    /// Starts a host whose `[remote]` has the authority of its PKI and these further keys.
    pub(crate) fn start(more: Value) -> Self {
        let mut host = Self::prepare();
        host.configure(more);
        host.run();
        assert!(host.notified().starts_with("READY=1\nSTATUS=listening on"));
        host
    }

    /// A host whose hostd does not run yet.
    pub(crate) fn prepare() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::new("the authority");
        let place = |name: &str| dir.path().join(name);
        for folder in ["run/berth/config", "usr/lib/berth", "var/lib/hostd"] {
            fs::create_dir_all(place(folder)).unwrap();
        }
        let image = json!({
            "id": "host", "version": "1", "arch": "x86_64", "kernel": "6", "modules": [], "images": [], "containers": [],
            "engine": { "kind": "docker", "version": "26.1.5" },
        });
        fs::write(place("usr/lib/berth/image.json"), image.to_string()).unwrap();
        let init = Init::start(&place("run/berth/control.sock"));
        engine::start(&place("run/docker.sock"));
        let notify = UnixDatagram::bind(place("notify")).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            address: free_address(),
            server: pki.server("127.0.0.1"),
            admin: pki.client("ann", &["admin"]),
            reader: pki.client("bob", &["read"]),
            pki,
            init,
            hostd: None,
            notify,
            dir,
        }
    }

    /// Writes the settings, as init does it.
    pub(crate) fn configure(&self, more: Value) {
        let mut remote = json!({
            "listen": self.address, "ca": self.pki.pem(), "cert": self.server.chain, "key": self.server.key,
        });
        for (key, value) in more.as_object().unwrap() {
            remote[key] = value.clone();
        }
        self.write_config(&json!({ "remote": remote }).to_string());
    }

    /// Replaces the file of the settings.
    pub(crate) fn write_config(&self, text: &str) {
        let new = self.path("run/berth/config/new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path("run/berth/config/hostd.json")).unwrap();
    }

    /// Starts hostd.
    pub(crate) fn run(&mut self) {
        self.run_by(Command::new(env!("CARGO_BIN_EXE_hostd")));
    }

    /// Starts hostd below strace, which writes the system calls to the file `trace`.
    pub(crate) fn run_traced(&mut self) {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "--seccomp-bpf", "-e", "trace=all", "-e", "signal=none", "-o"]);
        command.arg(self.path("trace")).arg(env!("CARGO_BIN_EXE_hostd"));
        self.run_by(command);
    }

    fn run_by(&mut self, mut command: Command) {
        command.arg("--root").arg(self.dir.path()).env("NOTIFY_SOCKET", self.path("notify"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(self.path("log")).unwrap());
        self.hostd = Some(command.spawn().unwrap());
    }

    /// The next message to init.
    pub(crate) fn notified(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {}", self.log()));
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What hostd has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub(crate) fn hostd(&mut self) -> &mut Child {
        self.hostd.as_mut().unwrap()
    }

    /// A connection with this certificate.
    pub(crate) fn connect(&self, certificate: &Certificate) -> Client {
        Client::connect(self.address, &self.pki, Some(certificate)).unwrap()
    }

    /// One request by an administrator.
    pub(crate) fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        self.connect(&self.admin).ask(method, target, body)
    }

    /// Fails unless hostd still answers, and has never used more than 40 MiB of memory.
    pub(crate) fn is_well(&mut self) {
        assert_eq!(self.ask("GET", "/v1/status", "").status, 200, "{}", self.log());
        assert!(self.hostd().try_wait().unwrap().is_none(), "hostd has ended: {}", self.log());
        let kib = self.peak_kib();
        assert!(kib <= 40 << 10, "hostd has used {kib} KiB");
    }

    /// The most memory that hostd has used, in KiB.
    pub(crate) fn peak_kib(&mut self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.hostd().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn signal(&mut self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(self.hostd()), signal).unwrap();
    }

    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            assert!(begin.elapsed() < PATIENCE, "{what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(hostd) = &mut self.hostd {
            let _ = hostd.kill();
            let _ = hostd.wait();
        }
    }
}

/// A port of the loopback interface that no program uses.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}
