//! rsyslog as the receiver: over TCP, TLS and UDP.

use crate::kit::{BOOT, Host, Running, free_port, lines_of, wait_for};
use berth_contract::control::LogRecord;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
};

/// Ports for TCP, TLS and UDP.
pub(crate) struct Ports {
    pub(crate) tcp: u16,
    pub(crate) tls: u16,
    pub(crate) udp: u16,
}

/// Starts rsyslogd. It writes the fields of each message, separated by `|`, to a file for each input.
pub(crate) fn rsyslog(folder: &Path, address: &str, ports: &Ports, namespace: Option<&str>) -> Running {
    let shown = folder.display();
    let template = "%syslogfacility%|%syslogseverity%|%timereported:::date-rfc3339%|%hostname%|%app-name%|%structured-data%|%msg%\\n";
    let config = format!(
        r#"global(workDirectory="{shown}" defaultNetstreamDriverCAFile="{shown}/ca.pem" defaultNetstreamDriverCertFile="{shown}/cert.pem" defaultNetstreamDriverKeyFile="{shown}/key.pem" maxMessageSize="64k")
module(load="imtcp")
module(load="imudp")
template(name="fields" type="string" string="{template}")
ruleset(name="tcp") {{ action(type="omfile" file="{shown}/tcp" template="fields") }}
ruleset(name="tls") {{ action(type="omfile" file="{shown}/tls" template="fields") }}
ruleset(name="udp") {{ action(type="omfile" file="{shown}/udp" template="fields") }}
input(type="imtcp" address="{address}" port="{}" ruleset="tcp")
input(type="imtcp" address="{address}" port="{}" ruleset="tls" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imudp" address="{address}" port="{}" ruleset="udp")
"#,
        ports.tcp, ports.tls, ports.udp
    );
    fs::write(folder.join("rsyslog.conf"), config).unwrap();
    let mut command = match namespace {
        None => Command::new("rsyslogd"),
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, "rsyslogd"]);
            command
        }
    };
    let (config, pid) = (folder.join("rsyslog.conf"), folder.join("pid"));
    let errors = fs::File::create(folder.join("rsyslog.err")).unwrap();
    let child = command.arg("-n").arg("-f").arg(config).arg("-i").arg(pid).stdout(Stdio::null()).stderr(errors).spawn();
    Running(child.unwrap())
}

/// A certificate authority, and a certificate of it for `name`.
fn certificates(folder: &Path, name: &str) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority = ca.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(ca, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), own.serialize_pem()).unwrap();
    authority.pem()
}

/// Facility, severity, time, host, name, structured data, text.
fn fields(line: &str) -> Vec<String> {
    line.splitn(7, '|').map(str::to_owned).collect()
}

#[test]
fn rsyslog_reads_every_field_of_every_line_over_tcp_tls_and_udp() {
    berth_judge::needs!("rsyslogd");
    if berth_judge::missing_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ca = certificates(folder.path(), "localhost");
    let ports = Ports { tcp: free_port(), tls: free_port(), udp: free_port() };
    let _rsyslog = rsyslog(folder.path(), "127.0.0.1", &ports, None);
    for port in [ports.tcp, ports.tls] {
        wait_for("rsyslog", || TcpStream::connect(("127.0.0.1", port)).ok());
    }
    let forward = serde_json::json!([
        { "to": format!("tcp://127.0.0.1:{}", ports.tcp) },
        { "to": format!("tls://localhost:{}", ports.tls), "ca": ca },
        { "to": format!("udp://127.0.0.1:{}", ports.udp) },
    ]);
    let mut host = Host::new(&forward.to_string());
    host.say("kernel", 3, "it is on fire");
    host.start();
    host.say("init", 4, "a \"warning\" | with ] marks \\ and \u{e4}\u{1f525}");
    host.say("netd", 6, &"long ".repeat(800));
    let container = UnixStream::connect_when_there(&host.root.path().join("run/logd/containers.sock"));
    let mut line = String::new();
    BufReader::new(&container).read_line(&mut line).unwrap();
    assert_eq!(line, "{}\n");
    let record = LogRecord {
        log: "container:web".into(),
        number: 7,
        level: 6,
        at_us: 1_795_140_670_000_042,
        text: "GET /".into(),
    };
    writeln!(&container, "{}", serde_json::to_string(&record).unwrap()).unwrap();
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for name in ["tcp", "tls", "udp"] {
        let mut lines = wait_for(name, || Some(lines_of(&folder.path().join(name))).filter(|lines| lines.len() >= 4));
        lines.sort_by_key(|line| (line.contains("feed="), fields(line)[5].clone()));
        let found: Vec<Vec<String>> = lines.iter().map(|line| fields(line)).collect();
        let wanted = [
            ("0", "3", "kernel", "it is on fire".to_owned()),
            ("3", "4", "init", "a \"warning\" | with ] marks \\ and \u{e4}\u{1f525}".to_owned()),
            ("3", "6", "netd", "long ".repeat(800)),
            ("16", "6", "web", "GET /".to_owned()),
        ];
        assert_eq!(found.len(), wanted.len(), "{name}: {found:?}");
        for ((facility, severity, app, text), found) in wanted.iter().zip(&found) {
            assert_eq!([facility, severity], [&found[0], &found[1]], "{name}");
            assert_eq!((&found[3], &*found[4], found[6].trim_end()), (&node, *app, text.trim_end()), "{name}");
            assert!(found[5].starts_with("[berth@32473 seq=\"") && found[5].contains(&format!("boot=\"{BOOT}\"")));
            assert!(!found[5].contains("again"), "{name}: {}", found[5]);
        }
        assert!(found[3][2].starts_with("2026-11-20T02:11:10.000042"), "{}", found[3][2]);
    }
    host.stop();
    // Started again, it continues: nothing is sent a second time.
    host.say("netd", 6, "after the restart");
    host.start();
    for name in ["tcp", "tls", "udp"] {
        let lines = wait_for(name, || Some(lines_of(&folder.path().join(name))).filter(|lines| lines.len() >= 5));
        assert!(
            lines.len() == 5 && lines[4].ends_with("|after the restart") && !lines[4].contains("again"),
            "{lines:?}"
        );
    }
    let idle = host.memory();
    assert!(idle < 12 << 10, "{idle} KiB with three receivers");
}

#[test]
fn a_receiver_with_another_certificate_gets_nothing() {
    berth_judge::needs!("rsyslogd");
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path(), "localhost");
    let other = tempfile::tempdir().unwrap();
    let ca = certificates(other.path(), "localhost");
    let ports = Ports { tcp: free_port(), tls: free_port(), udp: free_port() };
    let _rsyslog = rsyslog(folder.path(), "127.0.0.1", &ports, None);
    wait_for("rsyslog", || TcpStream::connect(("127.0.0.1", ports.tls)).ok());
    let forward = serde_json::json!([{ "to": format!("tls://localhost:{}", ports.tls), "ca": ca }]);
    let mut host = Host::new(&forward.to_string());
    host.say("netd", 6, "secret");
    host.start();
    wait_for("the refusal", || host.said().contains("certificate").then_some(()));
    assert_eq!(lines_of(&folder.path().join("tls")), [""; 0]);
}

trait ConnectWhenThere: Sized {
    fn connect_when_there(path: &Path) -> Self;
}

impl ConnectWhenThere for UnixStream {
    fn connect_when_there(path: &Path) -> Self {
        wait_for("the socket", || Self::connect(path).ok())
    }
}
