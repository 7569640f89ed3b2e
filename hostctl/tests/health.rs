//! The verdict on a host: init, docker, name server and checks are stood in for, each ill in its own way.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use berth_contract::{
    control::{
        Body, Call, ConfigStatus, ContainerStatus, Frame, HostState, MemoryStatus, NetworkStatus, Reply, Request,
        ServiceState, ServiceStatus, StatusReport, VarStatus,
    },
    digest::{RootHash, Sha256},
    disk::Slot,
    engine::EngineKind,
    image_spec::{ImageEngine, ImageSpec},
    update::{Baseline, Verdict},
    version::OsVersion,
};
use hostctl::{
    file,
    health::{Deadline, Places, baseline, judge},
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
    time::{Duration, Instant},
};

/// A host that is well, and what may be changed about it.
struct Host {
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    places: Places,
}

struct State {
    status: StatusReport,
    services: Vec<ServiceStatus>,
    /// docker's answers: path to status and body.
    docker: BTreeMap<String, (u16, String)>,
    /// Response code and number of addresses of the name server.
    dns: (u8, u8),
}

const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";

fn container(running: bool, policy: &str) -> (u16, String) {
    inspected(if running { "running" } else { "exited" }, policy, (0, 100), "{}")
}

/// docker's answer about a container; `starts` are its restarts and its process.
fn inspected(status: &str, policy: &str, starts: (u64, u64), labels: &str) -> (u16, String) {
    // As moby has it: one that waits to be started again is Running as well.
    let running = matches!(status, "running" | "restarting");
    let (restarts, pid) = starts;
    let text = format!(
        r#"{{"State":{{"Running":{running},"Status":"{status}","Pid":{pid},"ExitCode":7,"Error":""}},"RestartCount":{restarts},
        "HostConfig":{{"RestartPolicy":{{"Name":"{policy}"}}}},"Config":{{"Labels":{labels}}}}}"#
    );
    (200, text)
}

/// Labels of a container that the host has made.
const OURS: &str = r#"{"dev.berth.spec":"1"}"#;

/// docker's list; the host has made `web`.
fn listed(names: &[&str]) -> String {
    let one = |name: &&str| format!(r#"{{"Names":["/{name}"],"Labels":{}}}"#, if *name == "web" { OURS } else { "{}" });
    format!("[{}]", names.iter().map(one).collect::<Vec<_>>().join(","))
}

fn service(name: &str, state: ServiceState, last_exit: Option<&str>) -> ServiceStatus {
    let last_exit = last_exit.map(str::to_owned);
    ServiceStatus { name: name.into(), state, required: true, pid: None, restarts: 0, last_exit, since_us: 0 }
}

impl Host {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let declared = ContainerStatus {
            name: "web".into(),
            image: "hello".into(),
            required: true,
            state: "running".into(),
            error: None,
        };
        let status = StatusReport {
            image_id: "berth-test".into(),
            version: "2".into(),
            kernel: "6.12".into(),
            slot: Slot::B,
            root_hash: RootHash(Sha256([7; 32])),
            hostname: "x".into(),
            machine_id: "0".repeat(32),
            state: HostState::Running,
            problems: vec!["boot phase random-seed: no".into()],
            uptime_us: 1,
            engine: None,
            config: ConfigStatus::default(),
            network: Some(NetworkStatus { interfaces: Vec::new(), dns: vec![Ipv4Addr::LOCALHOST.into()] }),
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
            arch: "x86_64".into(),
            kernel: "6.12".into(),
            engine: Some(ImageEngine { kind: EngineKind::Docker, version: "26.1".into() }),
            modules: Vec::new(),
            images: Vec::new(),
            containers: Vec::new(),
            packages: BTreeMap::new(),
            update: berth_contract::update::UpdateSpec::default(),
            health: berth_contract::update::HealthSpec::default(),
        };
        fs::write(path("image.json"), serde_json::to_vec(&image).unwrap()).unwrap();
        fs::write(path("route"), ROUTES).unwrap();
        let places = Places {
            control: path("control"),
            docker: path("docker"),
            containerd: path("containerd"),
            checks: path("health.d"),
            image_spec: path("image.json"),
            host_config: path("host-config.json"),
            baseline: path("update/baseline.json"),
            routes: [path("route"), path("ipv6_route")],
            dns_port,
        };
        Self { folder, state, places }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// The verdict within so many milliseconds, how often the entry was blessed, and what was said.
    fn judge(&self, milliseconds: u64) -> (Verdict, usize, Vec<String>) {
        self.judge_steady(milliseconds, 0)
    }

    /// The same, when it has to be well for so many milliseconds.
    fn judge_steady(&self, milliseconds: u64, steady: u64) -> (Verdict, usize, Vec<String>) {
        let (mut blessed, mut said) = (0, Vec::new());
        let (deadline, steady) = (Deadline::after(Duration::from_millis(milliseconds)), Duration::from_millis(steady));
        let verdict = judge(&self.places, deadline, steady, &mut |line| said.push(line.to_owned()), &mut || {
            blessed += 1;
            Ok(())
        });
        (verdict, blessed, said)
    }

    /// Ill until the time is up; the entry is not blessed.
    fn ill(&self) -> (String, String) {
        match self.judge(1) {
            (Verdict::Bad { what, why }, 0, said) => {
                assert_eq!(said, [format!("{what}: {why}")]);
                (what, why)
            }
            other => panic!("{other:?}"),
        }
    }

    fn is_well(&self) -> bool {
        matches!(self.judge(1), (Verdict::Good, 1, _))
    }

    /// The same, by a baseline that is forgotten then.
    fn is_well_by(&self, baseline: &Baseline) -> bool {
        let is_well = self.is_well();
        file::replace_json(&self.places.baseline, baseline).unwrap();
        is_well
    }

    /// A check of the image's.
    fn check(&self, name: &str, script: &str, mode: u32) {
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

#[test]
fn a_host_that_is_well_is_blessed_once_and_its_baseline_forgotten() {
    let host = Host::new();
    host.check("disk", "exit 0", 0o755);
    let versions = ("1".parse().unwrap(), "2".parse().unwrap());
    let (servers, name) = ([Ipv4Addr::LOCALHOST.into()], Some("updates.example.org"));
    let baseline = baseline::note(&host.places, &servers, (&versions.0, &versions.1), name);
    assert_eq!(
        baseline,
        Baseline {
            from: Some(versions.0.clone()),
            to: Some(versions.1.clone()),
            default_route: true,
            resolved: Some("updates.example.org".into()),
            containers: vec!["db".into()],
        }
    );
    file::replace_json(&host.places.baseline, &baseline).unwrap();
    assert_eq!(host.judge(1), (Verdict::Good, 1, Vec::new()));
    assert!(!host.places.baseline.exists());
    // One of another update is not this version's to forget, nor to be measured by.
    fs::write(&host.places.routes[0], "").unwrap();
    let other = Baseline { to: Some("3".parse().unwrap()), ..baseline };
    file::replace_json(&host.places.baseline, &other).unwrap();
    assert!(host.is_well() && host.places.baseline.exists());
}

#[test]
fn what_ends_and_is_started_again_is_not_well() {
    let host = Host::new();
    host.change(|state| {
        state.docker.insert("/containers/web/json".into(), inspected("restarting", "always", (3, 0), OURS));
    });
    assert_eq!(host.ill(), ("container web".to_owned(), "is restarting, with status 7".to_owned()));
    // Each look finds it between two ends; dockerd is worse, for its pid only tells.
    type Again = fn(&mut State, u32);
    let changes: [(&str, Again); 2] = [
        ("container web", |state, turn| {
            let starts = (turn.into(), 100 + u64::from(turn));
            state.docker.insert("/containers/web/json".into(), inspected("running", "always", starts, OURS));
        }),
        ("service dockerd", |state, turn| state.services[0].pid = Some(turn)),
    ];
    for (what, change) in changes {
        let host = Host::new();
        let (state, over) = (host.state.clone(), Arc::new(Mutex::new(false)));
        let stop = over.clone();
        let restarts = thread::spawn(move || {
            for turn in 1.. {
                if *stop.lock().unwrap() {
                    return;
                }
                change(&mut state.lock().unwrap(), turn);
                thread::sleep(Duration::from_millis(100));
            }
        });
        let (verdict, blessed, said) = host.judge_steady(3500, 1500);
        let why = "has ended, and was started again";
        assert_eq!((verdict, blessed), (Verdict::Bad { what: what.into(), why: why.into() }, 0));
        assert_eq!(said, [format!("{what}: {why}")]);
        *over.lock().unwrap() = true;
        restarts.join().unwrap();
        // It has come to rest.
        assert!(matches!(host.judge_steady(600_000, 1500), (Verdict::Good, 1, _)));
    }
}

#[test]
fn where_the_time_is_short_what_is_left_must_do() {
    let host = Host::new();
    let begin = Instant::now();
    assert_eq!(host.judge_steady(2500, 3_600_000), (Verdict::Good, 1, Vec::new()));
    assert!(begin.elapsed() >= Duration::from_secs(1), "more than one look");
}

#[test]
fn one_look_is_not_enough_however_long_it_takes() {
    let host = Host::new();
    host.check("slow", "echo x >> ${0%health.d/slow}ran; sleep 1", 0o755);
    assert!(matches!(host.judge_steady(600_000, 500), (Verdict::Good, 1, _)));
    assert_eq!(fs::read_to_string(host.folder.path().join("ran")).unwrap(), "x\nx\n");
}

#[test]
fn what_is_missing_is_told_by_a_host_that_is_up() {
    let host = Host::new();
    let (two, three): (OsVersion, OsVersion) = ("2".parse().unwrap(), "3".parse().unwrap());
    let missing = |version: &OsVersion| baseline::missing(&host.places, version);
    assert_eq!(missing(&three), None, "nothing was noted");
    let noted = Baseline { to: Some(three.clone()), default_route: true, ..Baseline::default() };
    file::replace_json(&host.places.baseline, &noted).unwrap();
    assert_eq!(missing(&three), None);
    fs::write(&host.places.routes[0], "").unwrap();
    let why = missing(&three).unwrap();
    assert!(baseline::is_same(&why, "there is no default route, or so") && !baseline::is_same(&why, "container x"));
    assert_eq!(missing(&two), None, "that is another's");
    host.change(|state| state.status.state = HostState::Booting);
    assert_eq!(missing(&three), None, "it may be late");
}

#[test]
fn a_fault_is_one_line_that_is_not_too_long() {
    let host = Host::new();
    let long = format!("first\nsecond {}", "\u{e4}".repeat(5000));
    host.change(|state| state.services.push(service("x", ServiceState::Backoff, Some(&long))));
    let (_, why) = host.ill();
    assert!(why.starts_with("first second \u{e4}") && why.len() <= 500, "{why}");
}

/// Makes a host ill.
type Change = &'static dyn Fn(&mut State);

#[test]
fn each_illness_has_its_name() {
    let changes: [(Change, &str, &str); 8] = [
        (&|state| state.status.var.persistent = false, "phase var", "/var is in memory"),
        (&|state| state.status.state = HostState::Stopping, "init", "the host is going down"),
        (
            &|state| state.status.problems.push("services/x.toml: unknown field".into()),
            "init",
            "services/x.toml: unknown field",
        ),
        (
            &|state| state.services.push(service("containerd", ServiceState::Backoff, Some("status 1"))),
            "service containerd",
            "status 1",
        ),
        (&|state| state.services.push(service("netd", ServiceState::Starting, None)), "service netd", "not ready yet"),
        (
            &|state| drop(state.docker.insert("/_ping".into(), (500, "no".into()))),
            "engine docker",
            "GET /_ping: status 500: no",
        ),
        (
            &|state| drop(state.docker.insert("/containers/web/json".into(), container(false, "always"))),
            "container web",
            "is exited, with status 7",
        ),
        (&|state| drop(state.docker.remove("/containers/web/json")), "container web", "is not there any more"),
    ];
    for (change, what, why) in changes {
        let host = Host::new();
        assert!(host.is_well());
        host.change(change);
        assert_eq!(host.ill(), (what.to_owned(), why.to_owned()));
    }
    let host = Host::new();
    fs::remove_file(&host.places.docker).unwrap();
    assert_eq!(host.ill().0, "engine docker");
    fs::remove_file(&host.places.control).unwrap();
    assert_eq!(host.ill().0, "init");
    // A service that nobody needs may be down.
    let host = Host::new();
    host.change(|state| {
        let mut other = service("extra", ServiceState::Failed, None);
        other.required = false;
        state.services.push(other);
    });
    assert!(host.is_well());
}

#[test]
fn checks_of_image_and_machine_decide() {
    let host = Host::new();
    host.check("10-notes.txt", "exit 1", 0o644);
    host.check("20-first", "echo first >> $0.ran", 0o755);
    host.check("30-second", "test -e ${0%30-second}20-first.ran || exit 9; echo disk is full; exit 3", 0o755);
    assert_eq!(host.ill(), ("check 30-second".to_owned(), "status 3: disk is full".to_owned()));
    host.check("30-second", "exit 0", 0o755);
    assert!(host.is_well());
    let config = r#"{"health":[{"name":"raid","exec":["/bin/sh","-c","echo degraded; exit 1"]}]}"#;
    fs::write(&host.places.host_config, config).unwrap();
    assert_eq!(host.ill(), ("check raid".to_owned(), "status 1: degraded".to_owned()));
    fs::write(&host.places.host_config, "{").unwrap();
    assert_eq!(host.ill().0, "checks");
}

#[test]
fn what_worked_before_the_update_must_work_again() {
    let host = Host::new();
    let baseline = Baseline {
        from: Some("1".parse().unwrap()),
        to: Some("2".parse().unwrap()),
        default_route: true,
        resolved: Some("updates.example.org".into()),
        containers: vec!["web".into(), "old".into()],
    };
    file::replace_json(&host.places.baseline, &baseline).unwrap();
    let why = |words: &str| {
        let (what, why) = host.ill();
        assert!(what == "baseline" && why.contains(words), "{what}: {why}");
    };
    // Of what others have made, only `job` is left.
    assert!(host.is_well_by(&baseline), "somebody has removed it");
    host.change(|state| drop(state.docker.insert("/containers/json?all=1".into(), (200, listed(&["web"])))));
    why("container old is not there, nor any other that ran before the update");
    let put = |answer: (u16, String)| {
        host.change(|state| drop(state.docker.insert("/containers/old/json".into(), answer)));
    };
    put(container(false, "always"));
    why("container old is exited, and it ran before the update");
    put(inspected("restarting", "always", (3, 0), "{}"));
    why("container old is restarting");
    put(container(false, "unless-stopped"));
    assert!(host.is_well_by(&baseline), "somebody has stopped it");
    let (status, body) = container(false, "unless-stopped");
    put((status, body.replace("Error\":\"", "Error\":\"no such runtime")));
    why("container old is exited");
    host.change(|state| state.dns = (2, 0));
    why("container old is exited");
    host.change(|state| state.status.network.as_mut().unwrap().dns = vec![Ipv4Addr::new(127, 0, 0, 2).into()]);
    why("updates.example.org was resolved before the update: name server 127.0.0.2");
    host.change(|state| state.status.network.as_mut().unwrap().dns = vec![Ipv4Addr::LOCALHOST.into()]);
    fs::write(&host.places.routes[0], ROUTES.lines().next().unwrap()).unwrap();
    why("no default route");
    // IPv6's will do.
    let zero = "0".repeat(32);
    let six =
        format!("{zero} 00 {zero} 00 fe800000000000000000000000000002 00000400 00000001 00000000 00000003     eth0\n");
    fs::write(&host.places.routes[1], six).unwrap();
    host.change(|state| {
        state.dns = (0, 1);
        state.docker.insert("/containers/old/json".into(), container(true, "always"));
    });
    assert!(host.is_well());
    fs::write(&host.places.baseline, "?").unwrap();
    why("baseline.json");
}

#[test]
fn what_heals_in_time_is_well_and_what_cannot_heal_is_not_waited_for() {
    let host = Host::new();
    host.change(|state| state.services.push(service("late", ServiceState::Starting, None)));
    let state = host.state.clone();
    let heals = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        state.lock().unwrap().services.pop();
    });
    let (verdict, blessed, said) = host.judge(60_000);
    heals.join().unwrap();
    assert_eq!((verdict, blessed, said), (Verdict::Good, 1, vec!["service late: not ready yet".to_owned()]));
    host.change(|state| state.services.push(service("dead", ServiceState::Failed, Some("status 127"))));
    let begin = Instant::now();
    let (verdict, blessed, _) = host.judge(600_000);
    assert_eq!(verdict, Verdict::Bad { what: "service dead".into(), why: "status 127".into() });
    assert!(blessed == 0 && begin.elapsed() < Duration::from_secs(60));
    // An entry that cannot be blessed is no success.
    let host = Host::new();
    let mut refuse = || Err("the ESP is in use".to_owned());
    let verdict =
        judge(&host.places, Deadline::after(Duration::from_millis(1)), Duration::ZERO, &mut |_| (), &mut refuse);
    assert_eq!(verdict, Verdict::Bad { what: "boot entry".into(), why: "the ESP is in use".into() });
    drop(host.folder);
}
