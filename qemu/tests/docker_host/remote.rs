//! The host is reached over the network, as from a desk: certificates of `berth keys`, and `hostctl --host`.

use crate::common::berth;
use berth_contract::{
    control::LogLine,
    remote_config::{PORT, RemoteConfig},
};
use berth_control::{Client, ClientError};
use berth_qemu::machine::Machine;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

/// The port that the machine must forward.
pub(crate) const FORWARD: (u16, u16) = (0, PORT);

/// A desk: a folder with certificates and a list of hosts.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for words in [&["host-ca", "ca"][..], &["client", "ca", "ann", "--role", "admin"], &["client", "ca", "bob"]] {
            desk.good("berth", &[&["keys"], words].concat());
        }
        desk
    }

    /// The settings of a host that trusts this desk.
    pub(crate) fn config(&self) -> RemoteConfig {
        let ca = fs::read_to_string(self.0.path().join("ca/ca.pem")).unwrap();
        let table = toml::Table::from_iter([("ca".to_owned(), ca.into())]);
        table.try_into().unwrap()
    }

    fn program(name: &str) -> PathBuf {
        berth().with_file_name(name)
    }

    fn run(&self, program: &str, words: &[&str]) -> Output {
        let mut command = Command::new(Self::program(program));
        command.args(words).current_dir(self.0.path()).env("HOME", self.0.path()).env_remove("XDG_CONFIG_HOME");
        command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", self.0.path()).output().unwrap()
    }

    fn good(&self, program: &str, words: &[&str]) -> String {
        let output = self.run(program, words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Reaches a running docker host, as administrator and as reader.
    pub(crate) fn check(&self, vm: &Machine, control: &mut Client) {
        // The host has made a certificate for itself, and says which one.
        let mut log = String::new();
        let line = |line: LogLine| {
            log += &line.text;
            Ok::<_, ClientError>(())
        };
        control.logs("hostd", false, line).unwrap();
        let fingerprint = log.split("certificate ").nth(1).unwrap()[..95].to_owned();
        let address = format!("127.0.0.1:{}", vm.port(PORT).unwrap());
        for (name, user) in [("web", "ann"), ("look", "bob")] {
            let (cert, key) = (format!("ca/{user}.pem"), format!("ca/{user}.key"));
            let words = ["host", "add", name, &address, "--cert", &cert, "--key", &key, "--fingerprint", &fingerprint];
            assert!(self.good("hostctl", &words).starts_with("node-1: "));
        }
        let web = |words: &[&str]| self.good("hostctl", &[&["--host", "web"], words].concat());
        let status = web(&["status"]);
        assert!(status.contains("state         running") && status.contains("blessed"), "{status}");
        assert!(web(&["services"]).contains("dockerd"));
        assert!(web(&["logs", "dockerd"]).contains("API listen on"));
        let containers = web(&["containers", "list"]);
        assert!(
            containers.lines().any(|line| line.starts_with("bridged ") && line.contains("running")),
            "{containers}"
        );
        web(&["logs", "container:bridged"]);
        assert!(web(&["logs", "--list-boots"]).contains("lines"));
        web(&["restart", "late-network"]);
        // The engine's own API through the same door.
        assert!(web(&["docker", "ps", "--format", "{{.Names}}"]).contains("bridged"));
        let refused = self.run("hostctl", &["--host", "look", "docker", "ps"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("needs the role admin"), "{said}");
        assert!(self.good("hostctl", &["--host", "look", "status"]).contains("running"));
        let refused = self.run("hostctl", &["--host", "look", "reboot"]);
        assert_eq!(refused.status.code(), Some(1), "{}", String::from_utf8_lossy(&refused.stderr));
        self.figures(&address);
    }

    /// A scrape with curl, and how much memory hostd uses.
    fn figures(&self, address: &str) {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--insecure", "--cert", "ca/bob.pem", "--key", "ca/bob.key"]).current_dir(self.0.path());
        let said = curl.arg(format!("https://{address}/metrics")).output().unwrap();
        let text = String::from_utf8(said.stdout).unwrap();
        for line in ["berth_host_state{state=\"running\"} 1", "berth_slot_info{slot=\"a\",", "berth_engine_ready 1"] {
            assert!(text.lines().any(|one| one.starts_with(line)), "{line}: {text}");
        }
    }

    /// Restarts the host from the desk.
    pub(crate) fn reboot(&self) {
        self.good("hostctl", &["reboot"]);
    }

    /// Waits from the desk until the host is running.
    pub(crate) fn wait(&self) {
        self.good("hostctl", &["wait", "--timeout", "600"]);
    }
}
