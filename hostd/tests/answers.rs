//! Each path answers with what init or the engine says.

use crate::kit::{Host, client::Client};
use berth_contract::remote_api::Role;
use berth_hostd::routes::{Action, ROUTES, Shape};
use serde_json::json;
use std::{fs, process::Command};

#[test]
fn what_init_and_the_engine_say_is_the_answer() {
    let host = Host::start(json!({}));
    let ask = |method: &str, target: &str, body: &str| host.ask(method, target, body);
    let status = ask("GET", "/v1/status", "");
    assert_eq!((status.status, status.json()["problems"][0]["name"].as_str()), (200, Some("web")));
    assert!(status.head.contains("content-type: application/json"), "{}", status.head);
    assert_eq!(ask("GET", "/v1/boot", "").json()["ready_us"], 9_770_000);
    assert_eq!(ask("GET", "/v1/services", "").json()[1]["state"], "backoff");
    assert_eq!(ask("GET", "/v1/slots", "").json()["slots"][0]["version"], "2");
    assert_eq!(ask("GET", "/v1/why?full=true", "").json(), json!({ "boot": null }));
    assert_eq!(ask("GET", "/v1/network", "").json()["interfaces"][0]["name"], "en0");
    let mut client = host.connect(&host.admin);
    let head = client.open("/v1/support", "");
    assert!(head.contains("application/zstd"), "{head}");
    let parts = [client.chunk().unwrap().unwrap(), client.chunk().unwrap().unwrap()].concat();
    assert_eq!((parts, client.chunk().unwrap()), (b"\x00\x01\xffAB".to_vec(), None));
    let logs = ask("GET", "/v1/logs/netd", "").body;
    assert_eq!(
        logs,
        "event: line\ndata: {\"at_us\":7,\"text\":\"one\"}\n\nevent: line\ndata: {\"at_us\":7,\"text\":\"two\"}\n\nevent: end\ndata: {}\n\n"
    );
    assert!(ask("GET", "/v1/logs/none", "").body.starts_with("event: error\ndata: {\"message\":\"no service"));
    let upgrade = ask("POST", "/v1/upgrade", r#"{"until":"check","source":"https://u:secret@x"}"#).body;
    assert_eq!(upgrade, "event: progress\ndata: {\"event\":\"current\",\"version\":\"1\"}\n\nevent: end\ndata: {}\n\n");
    assert_eq!(ask("POST", "/v1/rollback", "{}").json(), json!({ "lines": ["version 1 boots next"] }));
    let refused = ask("POST", "/v1/rollback", r#"{"version":"9"}"#);
    assert_eq!(
        (refused.status, refused.json()),
        (409, json!({ "message": "no such version", "hint": "look", "code": 12 }))
    );
    for target in ["/v1/services/netd/restart", "/v1/reboot", "/v1/poweroff", "/v1/containers/web/restart"] {
        assert_eq!(ask("POST", target, "").status, 204, "{target}");
    }
    assert_eq!(
        host.init.changes(),
        ["upgrade --json --check -- https://u:secret@x", "rollback", "restart netd", "reboot", "poweroff"]
    );
    let containers = ask("GET", "/v1/containers", "").json();
    let web = json!({ "name": "web", "image": "hello", "state": "exited", "declared": true, "exit_code": 3, "restarts": 4, "error": null });
    assert_eq!(containers, json!([web]));
    let logs = ask("GET", "/v1/containers/web/logs?since=7", "").body;
    assert!(logs.contains("\"stream\":\"stdout\",\"text\":\"out\"") && logs.contains("since=7"), "{logs}");
    for (method, target) in [("GET", "/v1/containers/db/logs"), ("POST", "/v1/containers/db/restart")] {
        let answer = ask(method, target, "");
        assert_eq!((answer.status, answer.json()["message"].as_str()), (404, Some("no container has the name \"db\"")));
    }
    // What administrators do is logged, without the secrets in it.
    let log = host.log();
    assert!(log.contains("ann (certificate 0a0b0c) from 127.0.0.1: /v1/services/{name}/restart netd"), "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn a_log_is_followed_until_the_client_goes() {
    let host = Host::start(json!({}));
    for target in ["/v1/logs/netd?follow=true", "/v1/containers/web/logs?follow=true"] {
        let mut client = host.connect(&host.reader);
        let head = client.open(target, "");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        client.read_until("event: line");
        client.read_until("event: line");
        drop(client);
    }
    // init ends the call when its connection is closed.
    host.wait_for("no client is left at init", |host| host.init.clients() == 0);
}

#[test]
fn a_reader_can_change_nothing_and_a_stranger_can_see_nothing() {
    let host = Host::start(json!({}));
    let nobody = host.pki.client("eve", &[]);
    let both = host.pki.client("joe", &["read", "admin"]);
    for route in ROUTES {
        let target = route.path.replace("{name}", "netd");
        let ask = |client: &mut Client| client.ask(route.method, &target, "").status;
        let reader = ask(&mut host.connect(&host.reader));
        assert_eq!(reader == 403, route.role == Role::Admin, "{target}: {reader}");
        let answer = host.connect(&nobody).ask(route.method, &target, "");
        assert_eq!(answer.status, 403, "{target}");
        assert!(answer.json()["hint"].as_str().unwrap().contains(".berth.internal"));
    }
    assert_eq!(host.init.changes(), [] as [String; 0]);
    assert_eq!(host.connect(&both).ask("POST", "/v1/reboot", "").status, 204, "the higher role of two counts");
}

#[test]
fn wrong_requests_are_refused_with_a_reason() {
    let host = Host::start(json!({}));
    for (method, target, body, status, words) in [
        ("GET", "/", "", 404, "no such path"),
        ("GET", "/v1/../v1/status", "", 404, "no such path"),
        ("GET", "/v1/logs/..%2f..%2fetc%2fpasswd", "", 404, "no such path"),
        ("GET", "/v1/logs/%00", "", 404, "no such path"),
        ("PUT", "/v1/status", "", 405, "it knows GET"),
        ("GET", "/v1/reboot", "", 405, "it knows POST"),
        ("GET", "/v1/status?x=1", "", 400, "query: expected a parameter of this path"),
        ("GET", "/v1/logs/netd?follow=maybe", "", 400, "expected true or false"),
        ("POST", "/v1/rollback", "{", 400, "body: expected JSON"),
        ("POST", "/v1/rollback", r#"{"version":"--help"}"#, 400, "version"),
        ("POST", "/v1/upgrade", r#"{"sauce":"x"}"#, 400, "unknown field"),
        ("GET", "/v1/control", "", 426, "Upgrade: berth-control"),
    ] {
        let answer = host.ask(method, target, body);
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, status, "{method} {target}: {message}");
        assert!(message.contains(words), "{method} {target}: {message}");
    }
    assert!(host.ask("PUT", "/v1/status", "").head.contains("allow: get"));
    // One connection has many requests, also after a refused one.
    let mut client = host.connect(&host.admin);
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/v1/nothing", "").status, 404);
        assert_eq!(client.ask("GET", "/v1/status", "").status, 200);
    }
}

#[test]
fn figures_are_text_for_prometheus() {
    let host = Host::start(json!({}));
    host.ask("GET", "/v1/nothing", "");
    let answer = host.connect(&host.reader).ask("GET", "/metrics", "");
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    for line in [
        "berth_image_info{id=\"host\",version=\"1\",slot=\"a\",kernel=\"6.12\",engine=\"docker 26.1.5\"} 1",
        "berth_uptime_seconds 61.000001",
        "berth_host_state{state=\"degraded\"} 1",
        "berth_problems 1",
        "berth_boot_phase_seconds{phase=\"mounts\",stage=\"host\"} 0.500000",
        "berth_boot_failed_phases 1",
        "berth_boot_ready_seconds 9.770000",
        "berth_service_ready{service=\"dockerd\",required=\"true\"} 0",
        "berth_service_restarts_total{service=\"netd\"} 2",
        "berth_container_running{container=\"web\",required=\"true\"} 0",
        "berth_memory_available_bytes 1048576",
        "berth_network_carrier{interface=\"en0\"} 1",
        "berth_slot_info{slot=\"a\",version=\"2\",state=\"trial\",running=\"true\"} 1",
        "berth_trial 1",
        "berth_verity_damaged_blocks{slot=\"a\"} 1",
        "berth_api_requests_total{path=\"other\",status=\"404\"} 1",
    ] {
        assert!(answer.body.lines().any(|one| one == line), "{line} in {}", answer.body);
    }
    assert!(
        answer.body.contains("\nberth_clock_synchronised ")
            && answer.body.contains("\nberth_network_receive_bytes_total{")
    );
    let promtool = berth_judge::newer("promtool");
    berth_judge::needs!(promtool);
    let file = host.path("metrics");
    fs::write(&file, &answer.body).unwrap();
    let mut judge = Command::new(promtool);
    let said = judge.args(["check", "metrics"]).stdin(fs::File::open(&file).unwrap()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn each_action_has_one_route_and_tunnels_have_no_body() {
    for route in ROUTES {
        assert_eq!(ROUTES.iter().filter(|other| other.action == route.action).count(), 1, "{route:?}");
        let is_tunnel = matches!(route.action, Action::Control | Action::Engine);
        assert_eq!(matches!(route.answer, Shape::Tunnel(_)), is_tunnel, "{route:?}");
    }
}
