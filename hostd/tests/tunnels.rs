//! The tunnels: the control protocol for hostctl, and the API of the engine.

use crate::kit::{Host, client::Client};
use serde_json::json;
use std::io::BufRead;

const CONTROL: &str = "Connection: Upgrade\r\nUpgrade: berth-control\r\n";
const ENGINE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: berth-engine\r\n";

/// Sends a call through the tunnel, and returns the lines that follow, up to one with `last`.
fn call(client: &mut Client, id: u64, request: &str, last: &str) -> String {
    client.send(&format!("\n{{\"id\":{id},\"request\":{request}}}\n")).unwrap();
    client.read_until(last)
}

#[test]
fn each_request_in_the_control_tunnel_needs_its_role() {
    let mut host = Host::start(json!({}));
    let mut reader = host.connect(&host.reader);
    let head = reader.open("/v1/control", CONTROL);
    assert!(head.starts_with("HTTP/1.1 101") && head.to_lowercase().contains("upgrade: berth-control"), "{head}");
    assert!(call(&mut reader, 1, "\"status\"", "\"reply\"").contains("\"machine_id\""));
    let logs = r#"{"logs":{"service":"netd","follow":false}}"#;
    assert!(call(&mut reader, 2, logs, "\"end\"").contains("two"));
    assert!(call(&mut reader, 3, r#"{"run":{"arguments":["why","--json"]}}"#, "\"end\"").contains("null"));
    for (id, request) in [
        (4, "\"reboot\""),
        (5, r#"{"restart":{"service":"netd"}}"#),
        (6, r#"{"run":{"arguments":["upgrade"]}}"#),
        (7, r#"{"run":{"arguments":["reset","--var","--yes"]}}"#),
    ] {
        let answer = call(&mut reader, id, request, "\n");
        assert!(answer.contains(&format!("{{\"id\":{id},")) && answer.contains("needs the role admin"), "{answer}");
    }
    let mut admin = host.connect(&host.admin);
    admin.open("/v1/control", CONTROL);
    for (id, request) in [
        (1, r#"{"run":{"arguments":["bless"]}}"#),
        (2, r#"{"run":{"arguments":["--connect","unix:/x","reboot"]}}"#),
        (3, r#"{"run":{"arguments":[]}}"#),
        (4, r#"{"announce":{"text":"x"}}"#),
    ] {
        let answer = call(&mut admin, id, request, "\n");
        assert!(answer.contains("expected a command that works from another computer"), "{answer}");
    }
    assert_eq!(host.init.changes(), [] as [String; 0]);
    call(&mut admin, 5, r#"{"run":{"arguments":["upgrade","https://u:secret@x"]}}"#, "\"end\"");
    call(&mut admin, 6, "\"reboot\"", "\"end\"");
    assert_eq!(host.init.changes(), ["upgrade https://u:secret@x", "reboot"]);
    let log = host.log();
    assert!(log.contains("ann (certificate 0a0b0c) from 127.0.0.1: \"upgrade\"") && !log.contains("secret"), "{log}");
    // What is not a request is ignored, and a line that never ends closes the tunnel.
    admin.send("no request\n").unwrap();
    assert!(call(&mut admin, 7, "\"services\"", "\"reply\"").contains("netd"));
    let endless = "x".repeat(64 << 10);
    let sent = (0..1000).take_while(|_| admin.send(&endless).is_ok()).count();
    assert!(sent < 1000, "{sent}");
    drop((reader, admin));
    host.wait_for("no client is left at init", |host| host.init.clients() == 0);
    host.is_well();
}

#[test]
fn the_engine_s_api_is_for_administrators() {
    let mut host = Host::start(json!({}));
    assert_eq!(host.connect(&host.reader).ask("GET", "/v1/engine", "").status, 403);
    let mut client = host.connect(&host.admin);
    let head = client.open("/v1/engine", ENGINE);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.send("GET /containers/json HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.json()[0]["Names"][0], "/web");
    // The end of the engine's connection is the end of the tunnel.
    assert_eq!(client.0.fill_buf().map_or(0, <[u8]>::len), 0);
    assert!(host.log().contains("ann (certificate 0a0b0c) from 127.0.0.1: uses the API of the container engine"));
    assert_eq!(host.init.changes(), [] as [String; 0]);
    host.is_well();
}
