//! A fake init: it answers the control protocol, and records what changes the host.

use berth_contract::control::{Body, Call, ControlError, Frame, LogLine, Request};
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// What the fake init has seen.
#[derive(Clone, Default)]
pub(crate) struct Init {
    changes: Arc<Mutex<Vec<String>>>,
    clients: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Init {
    /// Listens until the test program ends.
    pub(crate) fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let init = Self::default();
        let shared = init.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || shared.serve(&stream));
            }
        });
        init
    }

    /// The requests that change the host.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.changes.lock().unwrap().clone()
    }

    /// Number of connected clients.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::SeqCst)
    }

    /// The most clients that were connected at the same time.
    pub(crate) fn most_clients(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: &UnixStream) {
        let now = self.clients.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let Ok(Call { id, request }) = serde_json::from_str(&line) else { continue };
            for body in self.answer(request) {
                let frame = serde_json::to_string(&Frame { id, body }).unwrap();
                let mut stream = stream;
                let _ = writeln!(stream, "{frame}");
            }
        }
        self.clients.fetch_sub(1, Ordering::SeqCst);
    }

    fn answer(&self, request: Request) -> Vec<Body> {
        let change = |what: String| {
            self.changes.lock().unwrap().push(what);
            vec![Body::End]
        };
        let line = |text: &str| Body::Line(LogLine { at_us: 7, text: text.to_owned() });
        match request {
            Request::Status => vec![Body::Reply(Box::new(serde_json::from_value(status()).unwrap()))],
            Request::Boot => vec![Body::Reply(Box::new(serde_json::from_value(boot()).unwrap()))],
            Request::Services => vec![Body::Reply(Box::new(serde_json::from_value(services()).unwrap()))],
            Request::Logs { service, .. } if service == "none" => vec![refused("no service has the name \"none\"")],
            Request::AllLogs { .. } => vec![Body::End],
            Request::Logs { follow: false, .. } => vec![line("one"), line("two"), Body::End],
            Request::Logs { follow: true, .. } => vec![line("one"), line("two")],
            Request::WaitReady => vec![Body::End],
            Request::Restart { service } => change(format!("restart {service}")),
            Request::Reboot | Request::RebootWithin { .. } => change("reboot".to_owned()),
            Request::Poweroff | Request::PoweroffWithin { .. } => change("poweroff".to_owned()),
            // Each server prints its fingerprint when it starts.
            Request::Announce { text } if text.contains(", certificate ") => vec![Body::End],
            Request::Announce { text } => change(format!("announce {text}")),
            Request::Configure { place, .. } => change(format!("configure {place}")),
            Request::Run { arguments, .. } => {
                let words = arguments.join(" ");
                match arguments.first().map_or("", String::as_str) {
                    "slots" => vec![line(&slots().to_string()), Body::End],
                    "why" => vec![line("{\"boot\":"), line("null}"), Body::End],
                    "upgrade" => {
                        change(words);
                        vec![line("{\"event\":\"current\",\"version\":\"1\"}"), line("a warning"), Body::End]
                    }
                    "support" if words == "support --keep" => vec![line("{\"size\":5,\"digest\":\"x\"}"), Body::End],
                    "support" if words == "support --part 0" => vec![line("0001"), line("ff"), Body::End],
                    "support" if words == "support --part 1" => vec![line("4142"), Body::End],
                    "support" => vec![Body::End],
                    "rollback" if words.contains("9") => vec![refused("no such version")],
                    "rollback" => {
                        change(words);
                        vec![line("version 1 boots next"), Body::End]
                    }
                    _ => change(words),
                }
            }
            Request::Cancel { .. } => vec![Body::End],
        }
    }
}

fn refused(message: &str) -> Body {
    Body::Error(ControlError { message: message.to_owned(), hint: Some("look".to_owned()), code: Some(12) })
}

fn status() -> serde_json::Value {
    json!({ "status": {
        "image_id": "host", "version": "1", "kernel": "6.12", "slot": "a", "root_hash": "0".repeat(64), "hostname": "h\"1",
        "machine_id": "5".repeat(32), "state": "degraded", "uptime_us": 61_000_001,
        "problems": [{ "kind": "container", "name": "web", "error": "no image" }],
        "engine": { "kind": "docker", "version": "26.1.5", "ready": true }, "config": { "source": "esp", "error": null },
        "network": { "interfaces": [{ "name": "en0", "addresses": ["10.0.2.15/24"], "gateway": "10.0.2.2", "carrier": true,
            "mtu": 1500, "lease_seconds": 60 }], "dns": [], "settled": true },
        "memory": { "total_kib": 2048, "available_kib": 1024 }, "var": { "size": 9, "available": 8, "persistent": true },
        "containers": [{ "name": "web", "image": "hello", "required": true, "state": "failed", "error": "no image" }],
    }})
}

fn boot() -> serde_json::Value {
    json!({ "boot": { "ready_us": 9_770_000, "engine_us": null, "phases": [
        { "name": "mounts", "stage": "host", "start_us": 1_000_000, "end_us": 1_500_000, "error": null },
        { "name": "hostd", "stage": "service", "start_us": 2_000_000, "end_us": null, "error": "no" },
    ]}})
}

fn services() -> serde_json::Value {
    let service = |name: &str, state: &str| json!({ "name": name, "state": state, "required": true, "pid": 7, "restarts": 2, "last_exit": null, "since_us": 1 });
    json!({ "services": [service("netd", "ready"), service("dockerd", "backoff")] })
}

fn slots() -> serde_json::Value {
    let hash = "0".repeat(64);
    json!({ "slots": [
        { "slot": "a", "running": true, "root_hash": hash, "version": "2", "entry": "host_2+2-1.efi",
          "state": { "trial": { "left": 2, "done": 1 } },
          "check": { "slot": "a", "version": "2", "root_hash": hash, "at": 1, "damaged": 3, "left": 1, "set_aside": false } },
        { "slot": "b", "running": false, "root_hash": null, "version": null, "entry": null, "state": "none" },
    ], "next": null, "quarantine": [] })
}
