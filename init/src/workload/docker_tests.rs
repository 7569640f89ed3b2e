use super::{super::reconcile::reconcile, *};
use berth_contract::{container::Declared, control::ContainerStatus, image_spec::PreloadedImage};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Mutex},
};

/// What a fake dockerd knows and was asked.
#[derive(Debug, Default)]
struct Daemon {
    /// Name or id → id.
    images: BTreeMap<String, String>,
    /// Name → what it was created from, and its state.
    containers: BTreeMap<String, (Value, String)>,
    /// State that a container is in after its start; `running` unless said otherwise.
    after_start: BTreeMap<String, String>,
    /// Containers that the daemon starts again and again: one more time whenever they are looked at.
    loops: BTreeMap<String, u64>,
    /// Every change asked for.
    changes: Vec<String>,
}

type Shared = Arc<Mutex<Daemon>>;

const ID: &str = "sha256:aaaa";

/// Listens like dockerd, for as long as the test runs.
fn daemon(dir: &Path) -> (Docker, Shared) {
    let socket = dir.join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let shared = Shared::default();
    let theirs = Arc::clone(&shared);
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(&stream.unwrap(), &theirs)));
    (Docker::new(&socket), shared)
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
    // Chunked, as dockerd answers when it does not know the length beforehand.
    let text =
        format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{answer}\r\n0\r\n\r\n", answer.len());
    let text = if answer.is_empty() { format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n") } else { text };
    let mut stream = stream;
    stream.write_all(text.as_bytes()).unwrap();
}

impl Daemon {
    fn answer(&mut self, request: &str, body: &[u8]) -> (u16, String) {
        let (method, target) = request.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if method != "GET" {
            self.changes.push(format!("{method} {target}"));
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, &parts[..]) {
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
                assert_eq!(query, "all=1&filters=%7B%22label%22:%5B%22dev.berth.spec%22%5D%7D");
                let labelled = self.containers.iter().filter(|(_, (body, _))| body["Labels"][LABEL].is_string());
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
                    let state = json!({ "Status": status, "ExitCode": code, "Error": "" });
                    let config = json!({ "Labels": body["Labels"] });
                    (200, json!({ "Config": config, "State": state, "RestartCount": restarts }).to_string())
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
            ("POST", ["containers", _, "stop"]) => (304, String::new()),
            ("DELETE", ["containers", name]) => {
                self.containers.remove(*name);
                (204, String::new())
            }
            _ => (404, format!("page not found: {request}")),
        }
    }
}

fn spec(text: &str) -> ContainerSpec {
    toml::from_str(text).unwrap()
}

fn all(containers: &[ContainerSpec]) -> Declared {
    Declared { containers: containers.to_vec(), is_partial: false }
}

fn image(archive: &Path) -> PreloadedImage {
    PreloadedImage { name: "hello:latest".into(), archive: archive.display().to_string(), image_id: ID.into() }
}

fn changes(shared: &Shared) -> Vec<String> {
    std::mem::take(&mut shared.lock().unwrap().changes)
}

fn states(containers: &[ContainerStatus]) -> Vec<(&str, &str)> {
    containers.iter().map(|one| (one.name.as_str(), one.state.as_str())).collect()
}

#[test]
fn the_first_boot_imports_and_creates_the_next_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    let archive = dir.path().join("hello.tar");
    fs::write(&archive, vec![b'x'; 300_000]).unwrap();
    let source = dir.path().join("srv/data");
    let declared = [
        spec("name = 'sidecar'\nimage = 'hello:latest'\nnetwork = 'container:web'"),
        spec(&format!("name = 'web'\nimage = 'hello'\nvolumes = ['{}:/data']", source.display())),
    ];
    let images = [image(&archive)];
    let report = reconcile(&docker, &images, &all(&declared), dir.path());
    assert_eq!(report.faults, [""; 0]);
    assert_eq!(states(&report.containers), [("web", "running"), ("sidecar", "running")]);
    assert_eq!(
        changes(&shared),
        [
            "POST /images/load?quiet=1",
            "POST /images/sha256:aaaa/tag?repo=hello&tag=latest",
            "POST /containers/create?name=web",
            "POST /containers/web/start",
            "POST /containers/create?name=sidecar",
            "POST /containers/sidecar/start",
        ]
    );
    assert!(source.is_dir());
    reconcile(&docker, &images, &all(&declared), dir.path());
    assert_eq!(changes(&shared), ["POST /containers/web/start", "POST /containers/sidecar/start"]);
    // Where nobody knows what host.toml declares, nothing is touched, and what is declared is started.
    let partial =
        Declared { containers: vec![spec("name = 'web'\nimage = 'hello'\nmemory = '1MiB'")], is_partial: true };
    assert!(reconcile(&docker, &[], &partial, dir.path()).faults.is_empty());
    assert_eq!(changes(&shared), ["POST /containers/web/start"]);
    // Another declaration of one: it is made anew, and so is the one that uses its network.
    let changed = [declared[0].clone(), spec("name = 'web'\nimage = 'hello'\nmemory = '64MiB'")];
    assert!(reconcile(&docker, &images, &all(&changed), dir.path()).faults.is_empty());
    let expected = |name: &str| {
        [
            format!("POST /containers/{name}/stop?t=10"),
            format!("DELETE /containers/{name}?v=1&force=1"),
            format!("POST /containers/create?name={name}"),
            format!("POST /containers/{name}/start"),
        ]
    };
    assert_eq!(changes(&shared), [expected("web"), expected("sidecar")].concat());
    // Another image of the same name, too; and one that is no longer declared goes.
    shared.lock().unwrap().images.insert("hello".into(), "sha256:bbbb".into());
    assert!(reconcile(&docker, &[], &all(&changed[1..]), dir.path()).faults.is_empty());
    assert_eq!(changes(&shared), [&expected("sidecar")[..2], &expected("web")[..]].concat());
}

#[test]
fn what_cannot_run_is_named_and_the_others_run() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, shared) = daemon(dir.path());
    let broken = dir.path().join("broken.tar");
    fs::write(&broken, "broken").unwrap();
    {
        let mut daemon = shared.lock().unwrap();
        daemon.images.insert("hello".into(), ID.into());
        daemon.containers.insert("theirs".into(), (json!({}), "running".into()));
        for (name, state) in [
            ("crash", "restarting 1"),
            ("done", "exited 0"),
            ("loop", "exited 0"),
            ("taken", "refused"),
            ("spare", "exited 3"),
        ] {
            daemon.after_start.insert(name.into(), state.into());
        }
        daemon.loops.insert("again".into(), 0);
    }
    let hello = |name: &str, more: &str| spec(&format!("name = '{name}'\nimage = 'hello'\n{more}"));
    let declared = [
        hello("crash", ""),
        hello("done", "restart = 'no'"),
        hello("loop", ""),
        hello("taken", ""),
        hello("beside", "network = 'container:taken'"),
        hello("theirs", ""),
        hello("a", "network = 'container:b'"),
        hello("b", "network = 'container:a'"),
        spec("name = 'missing'\nimage = 'registry.example.org:5000/x'"),
        hello("again", ""),
        hello("spare", "required = false"),
        hello("good", ""),
    ];
    let missing = PreloadedImage { name: "m".into(), archive: "/no/such.tar".into(), image_id: "sha256:m".into() };
    let wrong = PreloadedImage { archive: broken.display().to_string(), ..missing.clone() };
    let report = reconcile(&docker, &[missing, wrong], &all(&declared), dir.path());
    let state = |name: &str| report.containers.iter().find(|one| one.name == name).unwrap().state.clone();
    for name in ["crash", "loop", "taken", "beside", "theirs", "a", "b", "missing", "again", "spare"] {
        assert_eq!(state(name), "failed", "{name}");
    }
    assert_eq!((state("done"), state("good")), ("exited".into(), "running".into()));
    for words in [
        "image m: cannot read /no/such.tar: No such file",
        "image m: POST /images/load: status 200: no manifest",
        "container crash: ended with status 1",
        "container loop: ended with status 0",
        "container again: ends again and again, last with status 0",
        "container taken: POST /containers/taken/start: status 500: port is already allocated",
        "container beside: needs the network of taken, which does not run",
        "container theirs: a container of this name was made by somebody else",
        "container a: waits for its own network: container:b",
        "container missing: image \"registry.example.org:5000/x\": expected one that is preloaded",
    ] {
        assert!(report.faults.iter().any(|fault| fault.starts_with(words)), "{words}: {:#?}", report.faults);
    }
    assert_eq!(report.faults.len(), 11, "spare is not required: {:#?}", report.faults);
    assert!(!changes(&shared).iter().any(|change| change.contains("theirs")));
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let docker = Docker::new(Path::new("/no/docker.sock"));
    let report = reconcile(&docker, &[], &all(&[spec("name = 'x'\nimage = 'y'")]), Path::new("/var"));
    let words = "container x: GET /images/y/json: cannot connect to /no/docker.sock";
    assert!(report.faults.iter().any(|fault| fault.starts_with(words)), "{:?}", report.faults);
}

#[test]
fn declarations_become_what_docker_expects() {
    let full = spec(
        "name = 'web'\nimage = 'hello'\ncommand = ['serve', '80']\nentrypoint = ['/hello']\nenv = { B = '2', A = '1' }\n\
         ports = ['8080:80', '127.0.0.1:81:80', '[::1]:53:53/udp']\nvolumes = ['data:/data', '/var/srv:/srv:ro']\n\
         memory = '64MiB'\ncpus = 0.3\nrestart = 'on-failure'\nuser = '1000:1000'\nworkdir = '/w'\nread_only = true\n\
         privileged = true\ncap_add = ['NET_ADMIN']\ncap_drop = ['ALL']",
    );
    assert_eq!(
        create_body(&full, "digest"),
        json!({
            "Image": "hello", "Cmd": ["serve", "80"], "Entrypoint": ["/hello"], "Env": ["A=1", "B=2"], "User": "1000:1000",
            "WorkingDir": "/w", "Labels": { "dev.berth.spec": "digest" }, "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
            "HostConfig": {
                "NetworkMode": "bridge", "Binds": ["data:/data", "/var/srv:/srv:ro"],
                "PortBindings": {
                    "80/tcp": [{ "HostIp": "", "HostPort": "8080" }, { "HostIp": "127.0.0.1", "HostPort": "81" }],
                    "53/udp": [{ "HostIp": "::1", "HostPort": "53" }]
                },
                "Memory": 67_108_864, "NanoCpus": 300_000_000, "RestartPolicy": { "Name": "on-failure" },
                "ReadonlyRootfs": true, "Privileged": true, "CapAdd": ["NET_ADMIN"], "CapDrop": ["ALL"]
            }
        })
    );
    let plain = create_body(&spec("name = 'x'\nimage = 'y'\nnetwork = 'container:web'"), "d");
    assert_eq!(plain["HostConfig"]["NetworkMode"], "container:web");
    assert_eq!(plain["HostConfig"]["RestartPolicy"]["Name"], "always");
    assert!(plain.get("Cmd").is_none() && plain.get("Entrypoint").is_none() && plain.get("User").is_none());
    for (name, expected) in [
        ("hello", ("hello", "latest")),
        ("hello:1", ("hello", "1")),
        ("r.example.org:5000/a/b", ("r.example.org:5000/a/b", "latest")),
        ("r.example.org:5000/a/b:x", ("r.example.org:5000/a/b", "x")),
    ] {
        assert_eq!(repository_and_tag(name), expected);
    }
}
