//! docker's HTTP API (docs.docker.com/reference/api/engine). The paths have no version, so the daemon uses its newest API version.

use super::{
    client::{EngineClient, EngineError},
    container::{Container, Listed, Listing, RestartPolicy},
    docker_logs,
    http::{self, Body, Limits, Response, encoded},
    http_stream::{self, Stream},
    log::{ContainerLine, LogRequest},
};
use berth_contract::container::{ContainerRestart, ContainerSpec, LABEL, PortSpec, Protocol};
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

/// Number of bytes of an answer that an error message shows.
const SHOWN: usize = 500;

/// Content type of the output of a container with a terminal.
const TERMINAL_STREAM: &str = "application/vnd.docker.raw-stream";

/// The client of dockerd on a Unix socket.
#[derive(Debug)]
pub(crate) struct Docker {
    socket: PathBuf,
    limits: Limits,
}

impl Docker {
    /// A client of the daemon that listens at `socket`.
    pub(crate) fn new(socket: &Path, limits: Limits) -> Self {
        Self { socket: socket.to_owned(), limits }
    }

    /// Sends a request. A status that is not in `expected` is an error with docker's message.
    fn ask(&self, method: &str, target: &str, body: Body<'_>, expected: &[u16]) -> Result<Response, EngineError> {
        let asked = || asked(method, target);
        let response = http::request(&self.socket, self.limits, (method, target), body)
            .map_err(|source| EngineError::Http { asked: asked(), source })?;
        if expected.contains(&response.status) {
            return Ok(response);
        }
        Err(EngineError::Refused { asked: asked(), status: response.status, message: message(&response.body) })
    }

    /// Requests JSON. `None` if the status is 404: the object does not exist.
    fn get(&self, target: &str) -> Result<Option<Value>, EngineError> {
        let response = self.ask("GET", target, Body::Empty, &[200, 404])?;
        if response.status == 404 {
            return Ok(None);
        }
        serde_json::from_slice(&response.body).map(Some).map_err(|_| unexpected(target, "JSON", &shown(&response.body)))
    }

    fn post(&self, target: &str, expected: &[u16]) -> Result<(), EngineError> {
        self.ask("POST", target, Body::Empty, expected).map(drop)
    }
}

impl EngineClient for Docker {
    fn ping(&self) -> Result<(), EngineError> {
        self.ask("GET", "/_ping", Body::Empty, &[200]).map(drop)
    }

    fn image_id(&self, image: &str) -> Result<Option<String>, EngineError> {
        let target = format!("/images/{}/json", encoded(image));
        match self.get(&target)? {
            None => Ok(None),
            Some(found) => match found["Id"].as_str() {
                Some(id) => Ok(Some(id.to_owned())),
                None => Err(unexpected(&target, "an image with an Id", &found.to_string())),
            },
        }
    }

    fn load(&self, archive: &Path) -> Result<(), EngineError> {
        let unreadable = |source| EngineError::Archive { path: archive.to_owned(), source };
        let mut file = File::open(archive).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let target = "/images/load?quiet=1";
        let response = self.ask("POST", target, Body::Tar(&mut file, size), &[200])?;
        // The body is one JSON object per line: progress, or an error. docker sends status 200 even for an error.
        let lines = response.body.split(|&byte| byte == b'\n');
        let failure = lines
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            .find_map(|line| line["error"].as_str().map(str::to_owned));
        match failure {
            Some(message) => Err(EngineError::Refused { asked: asked("POST", target), status: 200, message }),
            None => Ok(()),
        }
    }

    fn tag(&self, image_id: &str, name: &str) -> Result<(), EngineError> {
        let (repository, tag) = repository_and_tag(name);
        self.post(
            &format!("/images/{}/tag?repo={}&tag={}", encoded(image_id), encoded(repository), encoded(tag)),
            &[201],
        )
    }

    fn list(&self, listing: Listing) -> Result<Vec<Listed>, EngineError> {
        let filters = || encoded(&json!({ "label": [LABEL] }).to_string());
        let target = match listing {
            Listing::All => "/containers/json?all=1".to_owned(),
            Listing::Running => "/containers/json".to_owned(),
            Listing::Declared => format!("/containers/json?all=1&filters={}", filters()),
        };
        let list = self.get(&target)?.unwrap_or_default();
        let Some(list) = list.as_array() else {
            return Err(unexpected(&target, "a list", &list.to_string()));
        };
        let listed = |one: &Value| {
            let name = one["Names"][0].as_str()?.trim_start_matches('/').to_owned();
            Some(Listed { name, label: one["Labels"][LABEL].as_str().map(str::to_owned) })
        };
        Ok(list.iter().filter_map(listed).collect())
    }

    fn inspect(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let found = self.get(&format!("/containers/{}/json", encoded(name)))?;
        Ok(found.map(|found| {
            // Do not use `State.Running`: it is also true for a container that has exited and waits for its restart.
            let state = &found["State"];
            let network = found["HostConfig"]["NetworkMode"].as_str().unwrap_or_default();
            Container {
                label: found["Config"]["Labels"][LABEL].as_str().map(str::to_owned),
                image: found["Config"]["Image"].as_str().unwrap_or_default().to_owned(),
                state: state["Status"].as_str().unwrap_or_default().into(),
                exit_code: state["ExitCode"].as_i64().unwrap_or(0),
                error: state["Error"].as_str().filter(|error| !error.is_empty()).map(str::to_owned),
                policy: match found["HostConfig"]["RestartPolicy"]["Name"].as_str() {
                    Some("always") => RestartPolicy::Always,
                    Some("unless-stopped") => RestartPolicy::UnlessStopped,
                    _ => RestartPolicy::Otherwise,
                },
                restarts: found["RestartCount"].as_u64().unwrap_or(0),
                pid: state["Pid"].as_u64().unwrap_or(0),
                shares_network: network.starts_with("container:"),
                has_no_network: network == "none",
                resolv_conf: found["ResolvConfPath"].as_str().filter(|path| !path.is_empty()).map(PathBuf::from),
            }
        }))
    }

    fn create(&self, spec: &ContainerSpec, label: &str) -> Result<(), EngineError> {
        let target = format!("/containers/create?name={}", encoded(&spec.name));
        let body = create_body(spec, label).to_string();
        self.ask("POST", &target, Body::Json(body.as_bytes()), &[201]).map(drop)
    }

    fn start(&self, name: &str) -> Result<(), EngineError> {
        self.post(&format!("/containers/{}/start", encoded(name)), &[204, 304])
    }

    fn restart(&self, name: &str) -> Result<(), EngineError> {
        self.post(&format!("/containers/{}/restart", encoded(name)), &[204])
    }

    fn remove(&self, name: &str) -> Result<(), EngineError> {
        let name = encoded(name);
        // Without `t`, docker waits as long as the container's own stop timeout says. Without `v`, its anonymous volumes stay.
        self.post(&format!("/containers/{name}/stop"), &[204, 304, 404])?;
        self.ask("DELETE", &format!("/containers/{name}?force=1"), Body::Empty, &[204, 404]).map(drop)
    }

    fn logs(
        &self,
        name: &str,
        ask: &LogRequest,
        line: &mut dyn FnMut(ContainerLine) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let target = docker_logs::target(&encoded(name), ask);
        let failed = |source| EngineError::Http { asked: asked("GET", &target), source };
        match http_stream::open(&self.socket, self.limits, &target).map_err(failed)? {
            Stream::Open { reader, kind } => {
                let is_terminal = kind.as_deref() == Some(TERMINAL_STREAM);
                docker_logs::read(reader, is_terminal, line).map_err(failed)
            }
            Stream::Refused(Response { status, body }) => {
                Err(EngineError::Refused { asked: asked("GET", &target), status, message: message(&body) })
            }
        }
    }
}

/// Method and path, for errors.
fn asked(method: &str, target: &str) -> String {
    format!("{method} {}", target.split('?').next().unwrap_or_default())
}

fn unexpected(target: &str, expected: &'static str, found: &str) -> EngineError {
    EngineError::Answer { asked: asked("GET", target), expected, found: shown(found.as_bytes()) }
}

/// The beginning of an answer.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).trim().to_owned()
}

/// docker's message about a failure, from `{"message": "..."}`. If the body has another form, its beginning.
fn message(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.and_then(|json| json["message"].as_str().map(str::to_owned));
    message.unwrap_or_else(|| shown(body))
}

/// Splits an image's name into repository and tag. A colon before a `/` belongs to a registry's port, not to a tag.
fn repository_and_tag(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

/// The body of the request that creates a container. For an absent key docker takes its own default, or the image's.
fn create_body(spec: &ContainerSpec, label: &str) -> Value {
    let mut body = Map::new();
    body.insert("Image".to_owned(), json!(spec.image));
    body.insert("Labels".to_owned(), json!({ LABEL: label }));
    body.insert("Env".to_owned(), spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect());
    if !spec.command.is_empty() {
        body.insert("Cmd".to_owned(), json!(spec.command));
    }
    let exposed: Map<String, Value> = spec.ports.iter().map(|port| (port_key(port), json!({}))).collect();
    body.insert("ExposedPorts".to_owned(), Value::Object(exposed));
    for (key, value) in [
        ("Entrypoint", json!(spec.entrypoint)),
        ("User", json!(spec.user)),
        ("WorkingDir", json!(spec.workdir)),
        ("StopTimeout", json!(spec.stop_timeout)),
    ] {
        if !value.is_null() {
            body.insert(key.to_owned(), value);
        }
    }
    body.insert("HostConfig".to_owned(), host_config(spec));
    Value::Object(body)
}

fn host_config(spec: &ContainerSpec) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for port in &spec.ports {
        let address = port.address.map(|address| address.to_string()).unwrap_or_default();
        let binding = json!({ "HostIp": address, "HostPort": port.host.to_string() });
        if let Value::Array(list) = bindings.entry(port_key(port)).or_insert_with(|| json!([])) {
            list.push(binding);
        }
    }
    let restart = match spec.restart {
        ContainerRestart::Always => "always",
        ContainerRestart::OnFailure => "on-failure",
        ContainerRestart::No => "no",
    };
    json!({
        "NetworkMode": spec.network.to_string(),
        "PortBindings": bindings,
        "Binds": spec.volumes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Memory": spec.memory.map_or(0, |size| size.0),
        "NanoCpus": spec.cpus.map_or(0, nano_cpus),
        "RestartPolicy": { "Name": restart },
        "ReadonlyRootfs": spec.read_only,
        "Privileged": spec.privileged,
        "CapAdd": spec.cap_add,
        "CapDrop": spec.cap_drop,
    })
}

/// Converts CPUs to billionths of a CPU, docker's unit.
fn nano_cpus(cpus: f64) -> u64 {
    let nanos = Duration::try_from_secs_f64(cpus).map(|time| time.as_nanos());
    nanos.ok().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0)
}

fn port_key(port: &PortSpec) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{}/{protocol}", port.container)
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
