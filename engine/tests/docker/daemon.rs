//! A fake dockerd in a thread. It keeps images and containers in memory, and records the requests for changes.

use berth_contract::{container::LABEL, engine::EngineKind};
use berth_engine::{EngineClient, Limits, client};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Small limits, so that a test can exceed them.
pub(crate) const LIMITS: Limits = Limits { body: 100_000, silence: Duration::from_secs(20) };

/// The state of the fake dockerd, and the requests that it received.
#[derive(Debug, Default)]
pub(crate) struct Daemon {
    /// Name or id → id.
    pub(crate) images: BTreeMap<String, String>,
    /// Name → the body it was created from, and its state.
    pub(crate) containers: BTreeMap<String, (Value, String)>,
    /// State of a container after its start. A container that is not listed here becomes `running`.
    pub(crate) after_start: BTreeMap<String, String>,
    /// Containers that keep exiting: the number of restarts grows with each inspection.
    pub(crate) loops: BTreeMap<String, u64>,
    /// Number of pings, and of lists of containers, that are refused, as while the engine starts.
    pub(crate) pings_refused: u32,
    pub(crate) lists_refused: u32,
    /// Every request that is not a GET.
    pub(crate) changes: Vec<String>,
}

pub(crate) type Shared = Arc<Mutex<Daemon>>;

/// Id of the only image that the fake dockerd can import.
pub(crate) const ID: &str = "sha256:aaaa";

/// Starts the fake dockerd. It runs until the test process exits.
pub(crate) fn daemon(dir: &Path) -> (Box<dyn EngineClient>, Shared) {
    let socket = dir.join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let shared = Shared::default();
    let theirs = Arc::clone(&shared);
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(&stream.unwrap(), &theirs)));
    (client(EngineKind::Docker, &socket, LIMITS), shared)
}

fn serve(stream: &UnixStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).unwrap();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field).unwrap();
        if field == "\r\n" {
            break;
        }
        if let Some(value) = field.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, answer) = shared.lock().unwrap().answer(first.trim_end().trim_end_matches(" HTTP/1.1"), &body);
    // Chunked, as dockerd answers when it does not know the length in advance.
    let text =
        format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{answer}\r\n0\r\n\r\n", answer.len());
    let text = if answer.is_empty() { format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n") } else { text };
    let mut stream = stream;
    // The client closes the connection early when the answer exceeds its limit.
    let _ = stream.write_all(text.as_bytes());
}

impl Daemon {
    fn answer(&mut self, request: &str, body: &[u8]) -> (u16, String) {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if method != "GET" {
            self.changes.push(format!("{method} {target}"));
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let refused = match parts[..] {
            ["_ping"] => Some(&mut self.pings_refused),
            ["containers", "json"] => Some(&mut self.lists_refused),
            _ => None,
        };
        if let Some(left) = refused.filter(|left| **left > 0) {
            *left -= 1;
            return (503, json!({ "message": "starting up" }).to_string());
        }
        match (method, &parts[..]) {
            ("GET", ["_ping"]) => (200, "OK".into()),
            ("POST", ["images", "load"]) => {
                if body.starts_with(b"broken") {
                    return (200, "{\"stream\":\"x\"}\n{\"error\":\"no manifest\"}\n".into());
                }
                self.images.insert(ID.into(), ID.into());
                (200, "{\"stream\":\"Loaded image ID\"}\n".into())
            }
            ("POST", ["images", id, "tag"]) => {
                let repo = query.split('&').find_map(|part| part.strip_prefix("repo=")).unwrap();
                let tag = query.split('&').find_map(|part| part.strip_prefix("tag=")).unwrap();
                let id = self.images[*id].clone();
                self.images.insert(repo.into(), id.clone());
                self.images.insert(format!("{repo}:{tag}"), id);
                (201, String::new())
            }
            ("GET", ["images", name @ .., "json"]) => match self.images.get(&name.join("/")) {
                Some(id) => (200, json!({ "Id": id }).to_string()),
                None => (404, json!({ "message": "No such image" }).to_string()),
            },
            ("GET", ["containers", "json"]) => {
                let filter = "filters=%7B%22label%22:%5B%22dev.berth.spec%22%5D%7D";
                let parts: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
                assert!(parts.iter().all(|part| ["all=1", filter].contains(part)), "{query}");
                let labelled = self.containers.iter().filter(|(_, (body, state))| {
                    let is_declared = body["Labels"][LABEL].is_string();
                    (is_declared || !parts.contains(&filter)) && (state == "running" || parts.contains(&"all=1"))
                });
                let list: Vec<Value> = labelled
                    .map(|(name, (body, state))| json!({ "Names": [format!("/{name}")], "Labels": body["Labels"], "State": state }))
                    .collect();
                (200, Value::from(list).to_string())
            }
            ("GET", ["containers", name, "json"]) => match self.containers.get(*name) {
                Some((body, state)) => {
                    let (status, code) = state.split_once(' ').unwrap_or((state, "0"));
                    let code: i64 = code.parse().unwrap();
                    let restarts = self.loops.get_mut(*name).map_or(0, |count| {
                        *count += 1;
                        *count
                    });
                    let (error, pid) = (body["Error"].as_str().unwrap_or(""), body["Pid"].as_u64().unwrap_or(0));
                    let state = json!({ "Status": status, "ExitCode": code, "Error": error, "Pid": pid });
                    let config = json!({ "Labels": body["Labels"] });
                    let mut answer = json!({ "Config": config, "HostConfig": body["HostConfig"], "State": state });
                    answer["RestartCount"] = json!(restarts);
                    answer["ResolvConfPath"] = json!(body["ResolvConfPath"].as_str().unwrap_or(""));
                    (200, answer.to_string())
                }
                None => (404, json!({ "message": "No such container" }).to_string()),
            },
            ("POST", ["containers", "create"]) => {
                let name = query.strip_prefix("name=").unwrap();
                self.containers.insert(name.into(), (serde_json::from_slice(body).unwrap(), "created".into()));
                (201, json!({ "Id": "x" }).to_string())
            }
            ("POST", ["containers", name, "start"]) => {
                let state = self.after_start.get(*name).cloned().unwrap_or_else(|| "running".into());
                if state == "refused" {
                    return (500, json!({ "message": "port is already allocated" }).to_string());
                }
                self.containers.get_mut(*name).unwrap().1 = state;
                (204, String::new())
            }
            ("POST", ["containers", _, "restart"]) => (204, String::new()),
            ("POST", ["containers", _, "stop"]) => (304, String::new()),
            ("DELETE", ["containers", name]) => {
                self.containers.remove(*name);
                (204, String::new())
            }
            _ => (404, format!("page not found: {request}")),
        }
    }
}
