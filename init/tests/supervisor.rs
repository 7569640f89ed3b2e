//! The supervisor with real processes, beside PID 1: readiness, restarts, logs, orphans, the order of the end.
//!
//! This program is two: called as `supervise FOLDER` it is the host, a child subreaper in the place of PID 1; called otherwise it
//! is the tests, which start the other and talk to it through hostctl's client.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test without the test harness")]

use berth_contract::{
    boot_report::{InitrdReport, Stage},
    container::ContainerSpec,
    control::{HostState, LogLine, ServiceState, ServiceStatus},
    digest::{RootHash, Sha256},
    disk::Slot,
    engine::EngineKind,
    image_spec::{ImageEngine, ImageSpec},
    update::{BootRecord, HealthSpec, Verdict},
};
use berth_init::{
    config, control,
    power::Watchdogs,
    supervisor::{self, Handover, Outcome, Places},
    sys::signal::SignalFd,
    timeline::Timeline,
    trial::{Boot, counter, store::Store},
};
use hostctl::client::{Client, ClientError};
use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// Exit statuses of the host.
const REBOOT: i32 = 40;
const POWEROFF: i32 = 41;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, folder] = &arguments[..]
        && verb == "supervise"
    {
        return ExitCode::from(u8::try_from(supervise(Path::new(folder))).unwrap());
    }
    macro_rules! by_name {
        ($($test:ident),* $(,)?) => {
            [$((stringify!($test), $test as fn())),*]
        };
    }
    let tests = by_name!(
        each_kind_of_readiness_and_the_order_of_the_end,
        the_dead_are_started_again_and_children_follow_or_stay,
        logs_are_kept_and_followed,
        what_fails_degrades_the_host_and_nothing_else,
        orphans_are_waited_for,
        a_host_without_work_sleeps,
        signals_end_the_host_and_stubborn_services_are_killed,
        a_version_on_trial_is_good_bad_or_late_and_bad_ones_reboot,
        a_version_that_is_not_on_trial_is_never_rebooted,
        a_trial_without_hostctl_or_without_var_has_failed,
        hostctl_runs_for_clients,
    );
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

fn supervise(folder: &Path) -> i32 {
    let signals = SignalFd::block(&supervisor::SIGNALS).unwrap();
    set_child_subreaper(Some(getpid())).unwrap();
    let path = |name: &str| folder.join(name);
    let places = Places {
        services: path("services"),
        cgroup: None,
        notify: path("notify"),
        doors: control::server::Doors {
            socket: path("control"),
            ports: path("ports"),
            dev: folder.to_owned(),
            kernel_log: path("kmsg"),
        },
        containers_status: path("containers.json"),
        network_status: path("network.json"),
        var: folder.to_owned(),
        hostctl: path("hostctl"),
    };
    let container: ContainerSpec = toml::from_str("name = 'hello'\nimage = 'hello'").unwrap();
    let image = ImageSpec {
        id: "berth-test".parse().unwrap(),
        version: "1".parse().unwrap(),
        arch: "x86_64".into(),
        kernel: "6".into(),
        engine: Some(ImageEngine { kind: EngineKind::Docker, version: "26.1".into() }),
        modules: Vec::new(),
        images: Vec::new(),
        containers: vec![container],
        packages: std::collections::BTreeMap::new(),
        update: berth_contract::update::UpdateSpec::default(),
        health: HealthSpec {
            limit: fs::read_to_string(path("limit")).map_or(10_000_000, |text| text.parse().unwrap()),
        },
    };
    let initrd = InitrdReport {
        phases: Vec::new(),
        root_hash: RootHash(Sha256([7; 32])),
        slot: Slot::B,
        disk: "/dev/vda".into(),
    };
    let mut boot = Boot::begin(&image, &initrd);
    boot.record.counter = counter::read(&path("LoaderBootCountPath")).unwrap();
    if !path("var-in-memory").exists() {
        boot.store = Some(Store::new(&path("boots")));
    }
    let handover = Handover {
        image,
        initrd,
        boot,
        timeline: Timeline::default(),
        config: config::Outcome::default(),
        machine_id: "0".repeat(32),
        var_persistent: true,
        signals,
        buttons: Vec::new(),
        watchdogs: Watchdogs::default(),
    };
    match supervisor::run_in(handover, places) {
        Outcome::Reboot => REBOOT,
        Outcome::Poweroff => POWEROFF,
    }
}

/// A host in a folder of its own. Ended, if the test has not done so, when it goes out of scope.
struct Host {
    folder: tempfile::TempDir,
    process: Child,
}

/// Shell that notes when it is told to end.
const NOTES_ITS_END: &str = "trap 'echo $NAME >> ends; exit 0' TERM; echo > up; while :; do sleep 0.05; done";

impl Host {
    /// Services: name, program for /bin/sh with the folder as working directory, further lines of the file.
    fn start(services: &[(&str, &str, &str)]) -> Self {
        Self::start_with(services, "sleep 1000", |_| {})
    }

    /// The same with a `hostctl` of this shell script, and what `prepare` leaves in the folder.
    fn start_with(services: &[(&str, &str, &str)], hostctl: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hostctl"), format!("#!/bin/sh\ncd {}\n{hostctl}\n", folder.path().display()))
            .unwrap();
        fs::set_permissions(folder.path().join("hostctl"), fs::Permissions::from_mode(0o755)).unwrap();
        prepare(folder.path());
        let path = folder.path().display().to_string();
        fs::create_dir(folder.path().join("services")).unwrap();
        for (name, script, more) in services {
            let script = serde_json::to_string(script).unwrap();
            let text = format!(
                "exec = ['/bin/sh', '-c', {script}]\nworkdir = '{path}'\nenv = {{ NAME = '{name}' }}\n{}\n",
                more.replace("FOLDER", &path)
            );
            fs::write(folder.path().join(format!("services/{name}.toml")), text).unwrap();
        }
        let program = std::env::current_exe().unwrap();
        let process = Command::new(program).arg("supervise").arg(folder.path()).stdin(Stdio::null()).spawn().unwrap();
        Self { folder, process }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn client(&self) -> Client {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match Client::connect(&self.path("control"), 1 << 20) {
                Ok(client) => {
                    client.set_timeout(Some(Duration::from_secs(20))).unwrap();
                    return client;
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn service(&self, name: &str) -> ServiceStatus {
        self.client().services().unwrap().into_iter().find(|service| service.name == name).unwrap()
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(Instant::now() < deadline, "{what}: {:#?}", self.client().services());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn status_of_end(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < deadline, "the host does not end: {:#?}", self.client().services());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // So that it ends its services; a test that has failed leaves nothing behind either.
        let begin = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && begin.elapsed().as_secs() < 20 {
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Why reading a log stopped: enough was read, or an error.
#[derive(Debug)]
struct Enough(Option<ClientError>);

impl From<ClientError> for Enough {
    fn from(error: ClientError) -> Self {
        Self(Some(error))
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

fn each_kind_of_readiness_and_the_order_of_the_end() {
    // Bound long before it listens: a file alone is not readiness.
    let socket = "exec python3 -c '
import os, signal, socket, sys, time
def end(*_):
    open(\"ends\", \"a\").write(\"containerd\\n\")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
s = socket.socket(socket.AF_UNIX)
os.makedirs(\"run\", exist_ok=True)
s.bind(\"run/c.sock\")
time.sleep(0.5)
open(\"listens\", \"w\").close()
s.listen()
while True: time.sleep(0.05)'";
    // A child says it, as some daemons do.
    let notify = "ls listens > seen; python3 -c '
import os, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"STATUS=x\\nREADY=1\", os.environ[\"NOTIFY_SOCKET\"])
' & wait; exec python3 -c '
import os, signal, socket, sys, time
def end(*_):
    open(\"ends\", \"a\").write(\"dockerd\\n\")
    time.sleep(0.2)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b\"READY=1\", os.environ[\"NOTIFY_SOCKET\"])
while True: time.sleep(0.05)'";
    let mut host = Host::start(&[
        ("containerd", socket, "ready = { socket = 'FOLDER/run/c.sock' }"),
        ("dockerd", notify, "needs = ['containerd']\nready = 'notify'"),
        ("workload", "env > env.txt; echo all done; echo not all >&2", "needs = ['dockerd']\nready = 'exit'"),
        ("plain", NOTES_ITS_END, "required = false\nneeds = ['dockerd']"),
    ]);
    let mut client = host.client();
    client.wait_ready().unwrap();
    assert!(host.path("seen").exists() && fs::read_to_string(host.path("seen")).unwrap() == "listens\n");
    let services = client.services().unwrap();
    assert!(services.iter().all(|service| service.state == ServiceState::Ready), "{services:#?}");
    assert_eq!(host.service("workload").pid, None);
    let environment = fs::read_to_string(host.path("env.txt")).unwrap();
    let mut keys: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    keys.sort_unstable();
    keys.retain(|key| !["OLDPWD", "PWD", "SHLVL", "_"].contains(key));
    assert_eq!(keys, ["HOME", "LANG", "NAME", "PATH"], "{environment}");
    let boot = client.boot().unwrap();
    let names: Vec<&str> = boot.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names[..2], ["containerd", "dockerd"]);
    assert!(boot.phases.iter().all(|phase| phase.stage == Stage::Service && phase.end_us.is_some()));
    assert!(boot.phases[0].end_us.unwrap() - boot.phases[0].start_us >= 500_000);
    assert!(boot.engine_us.unwrap() <= boot.ready_us.unwrap());
    let status = client.status().unwrap();
    assert_eq!((status.state, status.slot, status.problems), (HostState::Running, Slot::B, vec![]));
    assert!(status.engine.unwrap().ready && status.memory.total_kib > 0 && status.var.size > 0);
    assert_eq!(status.containers[0].state, "pending");
    host.wait_for("trap", |host| host.path("up").exists());
    client.reboot().unwrap();
    client.reboot().unwrap();
    assert!(matches!(client.poweroff(), Err(ClientError::Refused(_))), "what has begun is not changed");
    assert_eq!(client.status().unwrap().state, HostState::Stopping);
    assert_eq!(host.status_of_end(), REBOOT);
    let ends = fs::read_to_string(host.path("ends")).unwrap();
    assert_eq!(ends, "plain\ndockerd\ncontainerd\n");
}

fn the_dead_are_started_again_and_children_follow_or_stay() {
    let script = |name: &str| format!("sleep 1000 & echo $! > {name}.child; exec sleep 1000");
    let (follows, stays) = (script("follows"), script("stays"));
    let host = Host::start(&[("follows", &follows, ""), ("stays", &stays, "keep_children = true")]);
    host.client().wait_ready().unwrap();
    for (name, survives) in [("follows", false), ("stays", true)] {
        let file = host.path(&format!("{name}.child"));
        host.wait_for("child", |_| fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
        let child: u32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let before = host.service(name);
        kill_process(pid(before.pid.unwrap()), Signal::KILL).unwrap();
        host.wait_for("backoff", |host| host.service(name).state == ServiceState::Backoff);
        let status = host.client().status().unwrap();
        assert_eq!(status.state, HostState::Degraded);
        assert_eq!(status.problems, [format!("service {name} is started again: signal 9 (SIGKILL)")]);
        host.wait_for("ready again", |host| host.service(name).state == ServiceState::Ready);
        let after = host.service(name);
        assert_eq!((after.restarts, after.last_exit.as_deref()), (1, Some("signal 9 (SIGKILL)")));
        assert!(after.pid != before.pid && after.since_us - before.since_us >= 1_000_000);
        assert_eq!(Path::new(&format!("/proc/{child}")).exists(), survives, "{name}");
        assert_eq!(host.client().status().unwrap().state, HostState::Running);
        // The service that came after it has begun, and may not have written its child's number yet.
        let text = || fs::read_to_string(&file).unwrap_or_default();
        host.wait_for("another child", |_| text().ends_with('\n') && text().trim() != child.to_string());
        if survives {
            kill_process(pid(child), Signal::KILL).unwrap();
            kill_process(pid(text().trim().parse().unwrap()), Signal::KILL).unwrap();
        }
    }
}

fn logs_are_kept_and_followed() {
    let script =
        "echo first; echo second >&2; while [ ! -e go ]; do sleep 0.05; done; echo third; printf open; exec sleep 1000";
    let host = Host::start(&[("talks", script, ""), ("floods", "exec yes", "required = false")]);
    host.client().wait_ready().unwrap();
    let texts = |follow: bool, until: &str| {
        let mut texts = Vec::new();
        let end = host.client().logs("talks", follow, |line: LogLine| {
            texts.push(line.text);
            if texts.last().is_some_and(|text| text == until) { Err(Enough(None)) } else { Ok(()) }
        });
        assert!(matches!(end, Ok(()) | Err(Enough(None))), "{end:?}");
        texts
    };
    host.wait_for("first lines", |_| texts(false, "").len() == 2);
    fs::write(host.path("go"), "").unwrap();
    assert_eq!(texts(true, "third"), ["first", "second", "third"]);
    // A service that never stops talking neither fills the memory nor keeps the others waiting.
    let begin = Instant::now();
    let mut lines = 0;
    host.client()
        .logs("floods", false, |_| {
            lines += 1;
            Ok::<_, ClientError>(())
        })
        .unwrap();
    assert!(lines > 1000 && begin.elapsed() < Duration::from_secs(10), "{lines} {:?}", begin.elapsed());
    let memory = fs::read_to_string(format!("/proc/{}/status", host.process.id())).unwrap();
    let line = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 32 * 1024, "{kib} KiB");
    let error = host.client().logs("nobody", false, |_| Ok::<_, ClientError>(())).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("there are init, kernel, floods, talks, bless"));
}

fn what_fails_degrades_the_host_and_nothing_else() {
    let host = Host::start(&[
        ("good", NOTES_ITS_END, ""),
        ("late", "exec sleep 1000", "ready = 'notify'\nstart_timeout = 1\nrestart = 'no'"),
        ("typo", "", "nedds = []"),
        ("behind", "", "needs = ['late']"),
    ]);
    host.wait_for("late", |host| host.service("late").state == ServiceState::Failed);
    assert_eq!(host.service("good").state, ServiceState::Ready);
    assert_eq!(host.service("behind").state, ServiceState::Waiting);
    let status = host.client().status().unwrap();
    assert_eq!(status.state, HostState::Degraded);
    for words in ["unknown field `nedds`", "service late failed: not ready after 1 s"] {
        assert!(status.problems.iter().any(|problem| problem.contains(words)), "{words}: {:#?}", status.problems);
    }
    let error = host.client().wait_ready().unwrap_err().to_string();
    assert!(error.contains("degraded") && error.contains("service late failed"), "{error}");
    assert_eq!(host.client().boot().unwrap().ready_us, None);
}

fn orphans_are_waited_for() {
    // Twenty processes whose parent ends before them.
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sleep 0.3 &); done; echo started; exec sleep 1000";
    let host = Host::start(&[("forks", script, "")]);
    host.client().wait_ready().unwrap();
    let children = |host: &Host| {
        let id = host.process.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap().split_whitespace().count()
    };
    host.wait_for("orphans", |host| children(host) > 10);
    // The service, and hostctl, which judges.
    host.wait_for("all orphans gone", |host| children(host) == 2);
}

fn a_host_without_work_sleeps() {
    let host = Host::start(&[("sleeps", "exec sleep 1000", "")]);
    host.client().wait_ready().unwrap();
    // One client that follows a log, one that has been served and stays, one that sent half a line and closed its sending side.
    let mut follower = std::os::unix::net::UnixStream::connect(host.path("control")).unwrap();
    follower.write_all(b"{\"id\":1,\"request\":{\"logs\":{\"service\":\"init\",\"follow\":true}}}\n").unwrap();
    let mut idle = host.client();
    idle.status().unwrap();
    let mut half = std::os::unix::net::UnixStream::connect(host.path("control")).unwrap();
    half.write_all(b"{\"id\":").unwrap();
    half.shutdown(std::net::Shutdown::Write).unwrap();
    let wakeups = || {
        let status = fs::read_to_string(format!("/proc/{}/status", host.process.id())).unwrap();
        let value = |key: &str| -> u64 {
            status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().parse().unwrap()
        };
        value("voluntary_ctxt_switches:") + value("nonvoluntary_ctxt_switches:")
    };
    // The search for a serial port ends by itself; here it has become rare.
    std::thread::sleep(Duration::from_secs(1));
    let before = wakeups();
    std::thread::sleep(Duration::from_secs(2));
    let count = wakeups() - before;
    assert!(count < 20, "{count} wake-ups in two seconds");
}

fn signals_end_the_host_and_stubborn_services_are_killed() {
    for (signal, status) in [(Signal::INT, REBOOT), (Signal::TERM, POWEROFF)] {
        let deaf = "trap '' TERM; echo deaf > deaf; while :; do sleep 0.05; done";
        let mut host = Host::start(&[("deaf", deaf, "stop_timeout = 1"), ("good", NOTES_ITS_END, "needs = ['deaf']")]);
        host.client().wait_ready().unwrap();
        host.wait_for("traps", |host| host.path("deaf").exists() && host.path("up").exists());
        let begin = Instant::now();
        host.signal(signal);
        assert_eq!(host.status_of_end(), status);
        assert!((1..10).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        assert_eq!(fs::read_to_string(host.path("ends")).unwrap(), "good\n");
    }
}

/// What systemd-boot leaves of an entry with a counter.
fn count(folder: &Path) {
    let units = "\\EFI\\Linux\\berth-test_1+2-1.efi\0".encode_utf16().flat_map(u16::to_le_bytes);
    let bytes: Vec<u8> = [6, 0, 0, 0].into_iter().chain(units).collect();
    fs::write(folder.join("LoaderBootCountPath"), bytes).unwrap();
}

fn record(host: &Host) -> Option<BootRecord> {
    let entry = fs::read_dir(host.path("boots"))
        .ok()?
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|end| end == "json"))?;
    serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()
}

fn bad(what: &str, why: &str) -> Verdict {
    Verdict::Bad { what: what.to_owned(), why: why.to_owned() }
}

const SLEEPS: (&str, &str, &str) = ("sleeps", "echo something to say; exec sleep 1000", "");

fn a_version_on_trial_is_good_bad_or_late_and_bad_ones_reboot() {
    // Healthy: the host stays, and what hostctl was told is in its log.
    let mut host = Host::start_with(&[SLEEPS], "echo \"$@\"; echo '\"good\"'", count);
    host.wait_for("verdict", |host| record(host).is_some_and(|record| record.verdict == Verdict::Good));
    assert_eq!(record(&host).unwrap().counter.map(|counter| (counter.left, counter.done)), Some((2, 1)));
    let mut said = Vec::new();
    host.client()
        .logs("bless", false, |line| {
            said.push(line.text);
            Ok::<_, ClientError>(())
        })
        .unwrap();
    assert_eq!(said, ["bless --until 10000000", "\"good\""]);
    host.client().poweroff().unwrap();
    assert_eq!(host.status_of_end(), POWEROFF);
    let found = record(&host).unwrap();
    assert_eq!((found.verdict, found.end.as_deref()), (Verdict::Good, Some("poweroff")));

    // Not healthy: its word, and the logs of what failed, are kept; then the host goes down.
    let word = r#"echo checking; echo '{"bad":{"what":"service sleeps","why":"status 3"}}'; exit 1"#;
    let mut host = Host::start_with(&[SLEEPS], &format!("sleep 0.5; {word}"), count);
    assert_eq!(host.status_of_end(), REBOOT);
    let found = record(&host).unwrap();
    assert_eq!((&found.verdict, found.end.as_deref()), (&bad("service sleeps", "status 3"), Some("verdict")));
    for words in ["sleeps: something to say", "bless: checking"] {
        assert!(found.tail.iter().any(|line| line.contains(words)), "{words}: {found:#?}");
    }

    // Not a word in time, or none that can be understood.
    let mut host = Host::start_with(&[SLEEPS], "echo still waiting; sleep 1000", |folder| {
        count(folder);
        let now = berth_init::timeline::now_us() / 1_000_000;
        fs::write(folder.join("limit"), (now + 2).to_string()).unwrap();
    });
    assert_eq!(host.status_of_end(), REBOOT);
    let verdict = record(&host).unwrap().verdict;
    let Verdict::Bad { what, why } = verdict else { panic!("{verdict:?}") };
    assert!(what == "time" && why.ends_with("s: still waiting"), "{what}: {why}");
    let mut host = Host::start_with(&[SLEEPS], "echo oh; kill -SEGV $$", count);
    assert_eq!(host.status_of_end(), REBOOT);
    let why = "hostctl bless ended with signal 11 (SIGSEGV); it said: oh";
    assert_eq!(record(&host).unwrap().verdict, bad("bless", why));
}

fn a_version_that_is_not_on_trial_is_never_rebooted() {
    let word = r#"echo '{"bad":{"what":"check disk","why":"full"}}'; exit 1"#;
    let mut host = Host::start_with(&[SLEEPS], word, |folder| fs::write(folder.join("limit"), "1").unwrap());
    host.wait_for("verdict", |host| record(host).is_some_and(|record| record.verdict == bad("check disk", "full")));
    assert!(host.process.try_wait().unwrap().is_none());
    assert_eq!(record(&host).unwrap().end, None);
    // Over its limit without a word: neither.
    let mut host = Host::start_with(&[SLEEPS], "sleep 1000", |folder| fs::write(folder.join("limit"), "1").unwrap());
    host.client().wait_ready().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(host.process.try_wait().unwrap().is_none() && record(&host).is_none());
}

fn a_trial_without_hostctl_or_without_var_has_failed() {
    let mut host = Host::start_with(&[SLEEPS], "", |folder| {
        count(folder);
        fs::remove_file(folder.join("hostctl")).unwrap();
    });
    assert_eq!(host.status_of_end(), REBOOT);
    let verdict = record(&host).unwrap().verdict;
    assert!(
        matches!(&verdict, Verdict::Bad { what, why } if what == "bless" && why.contains("cannot start")),
        "{verdict:?}"
    );
    let mut host = Host::start_with(&[SLEEPS], "exit 0", |folder| {
        count(folder);
        fs::write(folder.join("var-in-memory"), "").unwrap();
    });
    assert_eq!(host.status_of_end(), REBOOT);
    assert_eq!(record(&host), None);
    // Without a trial that is no reason.
    let mut host = Host::start_with(&[SLEEPS], "exit 0", |folder| fs::write(folder.join("var-in-memory"), "").unwrap());
    host.client().wait_ready().unwrap();
    assert!(host.process.try_wait().unwrap().is_none());
}

fn hostctl_runs_for_clients() {
    let script = r#"case "$1" in
        bless) exec sleep 1000 ;;
        talk) for i in 1 2 3; do echo "line $i"; done; printf open ;;
        fail) echo before; echo "error: it is so" >&2; echo "hint: do that" >&2; exit 3 ;;
        flood) i=0; while [ $i -lt 3000 ]; do echo "$i 0123456789012345678901234567890123456789"; i=$((i+1)); done ;;
        stay) echo $$ > stays; trap 'echo ended > ended; exit 0' TERM; echo begun; while :; do sleep 0.05; done ;;
    esac"#;
    let host = Host::start_with(&[SLEEPS], script, |_| {});
    let run = |words: &[&str], until: &str| {
        let (mut lines, arguments) = (Vec::new(), words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let end = host.client().run(&arguments, |line: LogLine| {
            lines.push(line.text);
            if lines.last().is_some_and(|line| line == until) { Err(Enough(None)) } else { Ok(()) }
        });
        (lines, end)
    };
    let (lines, end) = run(&["talk"], "");
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(lines, ["line 1", "line 2", "line 3", "open"]);
    let (lines, end) = run(&["fail"], "");
    assert_eq!(lines, ["before"]);
    let Err(Enough(Some(error))) = end else { panic!("{end:?}") };
    assert_eq!((error.to_string().as_str(), error.hint().as_deref()), ("the host says: it is so", Some("do that")));
    assert_eq!(run(&["flood"], "").0.len(), 3000);
    // Its client goes; it is told to end.
    assert_eq!(run(&["stay"], "begun").0, ["begun"]);
    host.wait_for("SIGTERM", |host| host.path("ended").exists());
}
