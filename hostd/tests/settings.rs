//! Settings that change while hostd runs, and a host without any.

use crate::kit::{Host, PATIENCE, client::Client, free_address, pki::Pki};
use berth_contract::{service::ServiceSpec, system_calls};
use rustix::process::Signal;
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant, SystemTime},
};

#[test]
fn without_settings_hostd_ends_at_once_and_says_why() {
    for text in [None, Some("{}")] {
        let mut host = Host::prepare();
        if let Some(text) = text {
            host.write_config(text);
        }
        host.run();
        assert!(host.hostd().wait().unwrap().success(), "{}", host.log());
        assert_eq!(host.notified(), "READY=1\nSTATUS=off: neither host.toml nor the image has [remote]");
    }
}

#[test]
fn the_image_can_have_the_settings_and_host_toml_replaces_them() {
    let mut host = Host::prepare();
    let mut image: serde_json::Value =
        serde_json::from_slice(&fs::read(host.path("usr/lib/berth/image.json")).unwrap()).unwrap();
    image["remote"] =
        json!({ "listen": host.address, "ca": host.pki.pem(), "cert": host.server.chain, "key": host.server.key });
    fs::write(host.path("usr/lib/berth/image.json"), image.to_string()).unwrap();
    host.run();
    host.notified();
    host.is_well();
    let other = Pki::new("another authority");
    host.configure(json!({ "ca": other.pem() }));
    let mut client = Client::connect(host.address, &host.pki, Some(&other.client("zoe", &["read"]))).unwrap();
    assert_eq!(client.ask("GET", "/v1/status", "").status, 200);
}

#[test]
fn a_certificate_is_renewed_and_a_client_revoked_without_an_interruption() {
    let mut host = Host::start(json!({}));
    let mut before = host.connect(&host.admin);
    assert_eq!(before.ask("GET", "/v1/status", "").status, 200);
    let first = before.0.get_ref().conn.peer_certificates().unwrap()[0].clone();
    host.server = host.pki.server("127.0.0.1");
    host.configure(json!({ "revoked": ["0a0b0c"] }));
    let other = host.pki.client_of("joe", &["admin"], (2000, 4000), 5);
    let mut after = host.connect(&other);
    assert_eq!(after.ask("GET", "/v1/status", "").status, 200);
    assert_ne!(after.0.get_ref().conn.peer_certificates().unwrap()[0], first);
    assert_eq!(before.ask("GET", "/v1/status", "").status, 200, "an open connection is not cut");
    let revoked = Client::connect(host.address, &host.pki, Some(&host.admin));
    assert!(revoked.and_then(|mut client| client.try_ask("GET", "/v1/status", "")).is_err());
    // Settings that cannot be used change nothing.
    for broken in ["{", r#"{"remote":{"listen":"127.0.0.1:1"}}"#, r#"{"remote":{"ca":"-----BEGIN CERTIFICATE-----"}}"#]
    {
        host.write_config(broken);
        assert_eq!(host.connect(&other).ask("GET", "/v1/status", "").status, 200, "{broken}: {}", host.log());
    }
    assert!(host.log().contains("the settings before stay in force"), "{}", host.log());
}

#[test]
fn a_new_address_is_used_after_sighup_and_without_settings_hostd_ends() {
    let mut host = Host::start(json!({}));
    let old = host.address;
    host.address = free_address();
    host.configure(json!({}));
    host.signal(Signal::HUP);
    host.wait_for("the new address", |host| Client::connect(host.address, &host.pki, Some(&host.admin)).is_ok());
    host.is_well();
    assert!(Client::connect(old, &host.pki, Some(&host.admin)).is_err());
    host.write_config("{}");
    host.signal(Signal::HUP);
    let begin = Instant::now();
    while host.hostd().try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < PATIENCE, "{}", host.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(host.hostd().wait().unwrap().success(), "{}", host.log());
}

#[test]
fn a_clock_before_the_image_s_date_counts_as_that_date() {
    let mut host = Host::prepare();
    // 2050-06-01: to this image, the clock of this computer is years behind.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(2_537_740_800);
    fs::File::options().append(true).open(host.path("usr/lib/berth/image.json")).unwrap().set_modified(date).unwrap();
    host.configure(json!({}));
    host.run();
    host.notified();
    let later = host.pki.client_of("ann", &["admin"], (2050, 2051), 5);
    assert_eq!(host.connect(&later).ask("GET", "/v1/status", "").status, 200);
    let now = host.pki.client_of("ann", &["admin"], (2026, 2028), 6);
    let refused = Client::connect(host.address, &host.pki, Some(&now));
    assert!(refused.and_then(|mut client| client.try_ask("GET", "/v1/status", "")).is_err());
}

#[test]
fn hostd_makes_no_other_system_calls_than_its_service_file_allows() {
    berth_judge::needs!("strace");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../overlays/base/usr/lib/berth/services/hostd.toml");
    let service: ServiceSpec = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    service.check().unwrap();
    let allowed = system_calls::names(&service.system_call_filter);
    let mut host = Host::prepare();
    let remote = json!({ "remote": { "listen": host.address, "ca": host.pki.pem() } });
    host.write_config(&remote.to_string());
    host.run_traced();
    host.notified();
    host.configure(json!({}));
    for target in ["/v1/status", "/metrics", "/v1/logs/netd", "/v1/containers", "/v1/containers/web/logs", "/v1/why"] {
        assert_eq!(host.ask("GET", target, "").status, 200, "{target}");
    }
    let mut tunnel = host.connect(&host.admin);
    tunnel.open("/v1/engine", "Connection: Upgrade\r\nUpgrade: berth-engine\r\n");
    drop(tunnel);
    host.ask("POST", "/v1/rollback", "{}");
    let children = format!("/proc/{0}/task/{0}/children", host.hostd().id());
    let hostd: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    host.write_config("{}");
    rustix::process::kill_process(rustix::process::Pid::from_raw(hostd).unwrap(), Signal::HUP).unwrap();
    assert!(host.hostd().wait().unwrap().success(), "{}", host.log());
    let trace = fs::read_to_string(host.path("trace")).unwrap();
    let called = |line: &str| Some(line.split_once(' ')?.1.trim_start().split_once('(')?.0.to_owned());
    let names: BTreeSet<String> = trace.lines().filter_map(called).filter(|name| !name.starts_with('<')).collect();
    assert!(names.contains("accept4") && names.contains("clone3"), "{names:?}");
    let others: Vec<_> = names.iter().filter(|name| !allowed.contains(name.as_str())).collect();
    assert!(others.is_empty(), "{others:?} are not in {file}");
}

#[test]
fn a_host_without_a_certificate_makes_one_and_shows_its_fingerprint() {
    let mut host = Host::prepare();
    let remote = json!({ "remote": { "listen": host.address, "ca": host.pki.pem() } });
    host.write_config(&remote.to_string());
    host.run();
    let status = host.notified();
    let (_, fingerprint) = status.trim_end().rsplit_once(' ').unwrap();
    berth_judge::needs!("openssl");
    let file = host.path("var/lib/hostd/identity.pem");
    let openssl = std::process::Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(openssl.stdout).unwrap();
    assert_eq!(said.trim().rsplit_once('=').unwrap().1, fingerprint);
}
