//! A healthy host, with stand-ins for init, docker and the name server.

use berth_contract::{
    container_state::ContainerState,
    control::{
        Body, Call, ConfigStatus, ContainerStatus, Frame, HostState, MemoryStatus, NetworkStatus, Problem, Reply,
        Request, ServiceState, ServiceStatus, StatusReport, VarStatus,
    },
    digest::{RootHash, Sha256},
    disk::Slot,
    engine::EngineKind,
    image_spec::{ImageEngine, ImageSpec},
    subject::Subject,
    update::{Baseline, Verdict},
};
use hostctl::{
    file,
    health::{Deadline, Places, judge},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, UdpSocket},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// A healthy host whose state the tests change.
pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) places: Places,
}

pub(crate) struct State {
    pub(crate) status: StatusReport,
    pub(crate) services: Vec<ServiceStatus>,
    /// docker's answers: path to status and body.
    pub(crate) docker: BTreeMap<String, (u16, String)>,
    /// Response code and number of addresses of the name server.
    pub(crate) dns: (u8, u8),
}

pub(crate) const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";

pub(crate) fn container(running: bool, policy: &str) -> (u16, String) {
    inspected(if running { "running" } else { "exited" }, policy, (0, 100), "{}")
}

/// docker's answer about a container; `starts` are its restarts and its process id.
pub(crate) fn inspected(status: &str, policy: &str, starts: (u64, u64), labels: &str) -> (u16, String) {
    // As in moby: a container that waits for its restart is Running as well.
    let running = matches!(status, "running" | "restarting");
    let (restarts, pid) = starts;
    let text = format!(
        r#"{{"State":{{"Running":{running},"Status":"{status}","Pid":{pid},"ExitCode":7,"Error":""}},"RestartCount":{restarts},
        "HostConfig":{{"RestartPolicy":{{"Name":"{policy}"}}}},"Config":{{"Labels":{labels}}}}}"#
    );
    (200, text)
}

/// Labels of a container that host.toml declares.
pub(crate) const OURS: &str = r#"{"dev.berth.spec":"1"}"#;

/// docker's list of containers; host.toml declares `web`.
pub(crate) fn listed(names: &[&str]) -> String {
    let one = |name: &&str| format!(r#"{{"Names":["/{name}"],"Labels":{}}}"#, if *name == "web" { OURS } else { "{}" });
    format!("[{}]", names.iter().map(one).collect::<Vec<_>>().join(","))
}

pub(crate) fn service(name: &str, state: ServiceState, last_exit: Option<&str>) -> ServiceStatus {
    let last_exit = last_exit.map(str::to_owned);
    ServiceStatus { name: name.into(), state, required: true, pid: None, restarts: 0, last_exit, since_us: 0 }
}

impl Host {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let declared = ContainerStatus {
            name: "web".into(),
            image: "hello".into(),
            required: true,
            state: ContainerState::Running,
            error: None,
        };
        let status = StatusReport {
            image_id: "berth-test".parse().unwrap(),
            version: "2".parse().unwrap(),
            kernel: "6.12".into(),
            slot: Slot::B,
            root_hash: RootHash(Sha256([7; 32])),
            hostname: "x".into(),
            machine_id: "0".repeat(32),
            state: HostState::Running,
            problems: vec![Problem::Phase { name: "random-seed".into(), error: "no".into() }],
            uptime_us: 1,
            engine: None,
            config: ConfigStatus::default(),
            network: Some(NetworkStatus {
                dns: vec![Ipv4Addr::LOCALHOST.into()],
                settled: true,
                ..NetworkStatus::default()
            }),
            time: None,
            memory: MemoryStatus { total_kib: 1, available_kib: 1 },
            var: VarStatus { size: 1, available: 1, persistent: true },
            containers: vec![declared],
        };
        let docker = BTreeMap::from([
            ("/_ping".to_owned(), (200, "OK".to_owned())),
            ("/containers/web/json".to_owned(), inspected("running", "always", (0, 100), OURS)),
            ("/containers/db/json".to_owned(), container(true, "unless-stopped")),
            ("/containers/job/json".to_owned(), container(true, "no")),
            ("/containers/retried/json".to_owned(), container(true, "on-failure")),
            ("/containers/loop/json".to_owned(), inspected("restarting", "always", (9, 0), "{}")),
            ("/containers/json".to_owned(), (200, listed(&["web", "db", "job", "retried", "loop"]))),
            ("/containers/json?all=1".to_owned(), (200, listed(&["web", "job"]))),
        ]);
        let services = vec![service("dockerd", ServiceState::Ready, None)];
        let state = Arc::new(Mutex::new(State { status, services, docker, dns: (0, 1) }));
        let (of_init, of_docker, of_dns) = (state.clone(), state.clone(), state.clone());
        serve(&path("control"), move |stream| answer_as_init(&stream, &of_init));
        serve(&path("docker"), move |stream| answer_as_docker(&stream, &of_docker));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let dns_port = socket.local_addr().unwrap().port();
        thread::spawn(move || answer_as_name_server(&socket, &of_dns));
        let image = ImageSpec {
            id: "berth-test".parse().unwrap(),
            version: "2".parse().unwrap(),
            arch: "x86_64".parse().unwrap(),
            kernel: "6.12".into(),
            engine: Some(ImageEngine { kind: EngineKind::Docker, version: "26.1".into() }),
            modules: Vec::new(),
            images: Vec::new(),
            containers: Vec::new(),
            packages: BTreeMap::new(),
            update: berth_contract::update::UpdateSpec::default(),
            health: berth_contract::update::HealthSpec::default(),
            remote: None,
            time: berth_contract::time_config::TimeConfig::default(),
            config_sources: berth_contract::config_source::ConfigSource::all(),
        };
        fs::write(path("image.json"), serde_json::to_vec(&image).unwrap()).unwrap();
        fs::write(path("route"), ROUTES).unwrap();
        let places = Places {
            control: path("control"),
            engine: Some(path("docker")),
            checks: path("health.d"),
            image_spec: path("image.json"),
            host_config: path("host-config.json"),
            last_good_config: path("host.toml.good"),
            baseline: path("update/baseline.json"),
            routes: [path("route"), path("ipv6_route")],
            dns_port,
        };
        Self { folder, state, places }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Returns the verdict within this many milliseconds, how often the entry was blessed, and the reported lines.
    pub(crate) fn judge(&self, milliseconds: u64) -> (Verdict, usize, Vec<String>) {
        self.judge_steady(milliseconds, 0)
    }

    /// The same, if the host must be healthy for this many milliseconds.
    pub(crate) fn judge_steady(&self, milliseconds: u64, steady: u64) -> (Verdict, usize, Vec<String>) {
        let (mut blessed, mut said) = (0, Vec::new());
        let (deadline, steady) = (Deadline::after(Duration::from_millis(milliseconds)), Duration::from_millis(steady));
        let verdict = judge(&self.places, deadline, steady, &mut |line| said.push(line.to_owned()), &mut || {
            blessed += 1;
            Ok(())
        });
        (verdict, blessed, said)
    }

    /// Checks that the host is unhealthy until the time is up, and that the entry is not blessed.
    pub(crate) fn ill(&self) -> (Subject, String) {
        match self.judge(1) {
            (Verdict::Bad { what, why }, 0, said) => {
                assert_eq!(said, [format!("{what}: {why}")]);
                (what, why)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        matches!(self.judge(1), (Verdict::Good, 1, _))
    }

    /// The same with a baseline, which is removed afterwards.
    pub(crate) fn is_well_by(&self, baseline: &Baseline) -> bool {
        let is_well = self.is_well();
        file::replace_json(&self.places.baseline, baseline).unwrap();
        is_well
    }

    /// Adds a check of the image.
    pub(crate) fn check(&self, name: &str, script: &str, mode: u32) {
        fs::create_dir_all(&self.places.checks).unwrap();
        let path = self.places.checks.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn serve(path: &Path, answer: impl Fn(UnixStream) + Send + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(answer));
}

fn answer_as_init(stream: &UnixStream, state: &Mutex<State>) {
    let mut writer = stream;
    for line in BufReader::new(stream).lines() {
        let Ok(Ok(call)) = line.map(|line| serde_json::from_str::<Call>(&line)) else { continue };
        let state = state.lock().unwrap();
        let reply = match call.request {
            Request::Status => Reply::Status(Box::new(state.status.clone())),
            _ => Reply::Services(state.services.clone()),
        };
        let frame = serde_json::to_string(&Frame { id: call.id, body: Body::Reply(Box::new(reply)) }).unwrap();
        if writeln!(writer, "{frame}").is_err() {
            return;
        }
    }
}

fn answer_as_docker(mut stream: &UnixStream, state: &Mutex<State>) {
    let (mut request, mut bytes) = (String::new(), [0; 512]);
    while !request.contains("\r\n\r\n") {
        let count = stream.read(&mut bytes).unwrap();
        request.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    let target = request.split(' ').nth(1).unwrap();
    let missing = (404, r#"{"message":"No such container"}"#.to_owned());
    let (status, body) = state.lock().unwrap().docker.get(target).cloned().unwrap_or(missing);
    let _ = write!(stream, "HTTP/1.0 {status} X\r\nContent-Type: text/plain\r\n\r\n{body}");
}

fn answer_as_name_server(socket: &UdpSocket, state: &Mutex<State>) {
    let mut bytes = [0; 512];
    while let Ok((count, from)) = socket.recv_from(&mut bytes) {
        let (code, addresses) = state.lock().unwrap().dns;
        (bytes[2], bytes[3], bytes[7]) = (0x81, 0x80 | code, addresses);
        socket.send_to(&bytes[..count], from).unwrap();
    }
}
