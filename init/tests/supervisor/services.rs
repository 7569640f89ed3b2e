//! Services: readiness, restarts, children, shutdown.

use super::{
    init::{POWEROFF, REBOOT},
    kit::{Host, NOTES_ITS_END},
};
use berth_contract::{
    boot_report::Stage,
    container_state::ContainerState,
    control::{HostState, ServiceState},
    disk::Slot,
};
use berth_control::ClientError;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

pub(crate) fn each_kind_of_readiness_and_the_order_of_a_shutdown() {
    // The socket is bound long before it listens: the existence of the file alone is not readiness.
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
    // A child of the main process reports readiness, as some daemons do.
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
    assert_eq!(status.containers[0].state, ContainerState::Pending);
    host.wait_for("trap", |host| host.path("up").exists());
    client.reboot().unwrap();
    client.reboot().unwrap();
    assert!(matches!(client.poweroff(), Err(ClientError::Refused(_))), "a shutdown that has started cannot be changed");
    assert_eq!(client.status().unwrap().state, HostState::Stopping);
    assert_eq!(host.status_of_end(), REBOOT);
    let ends = fs::read_to_string(host.path("ends")).unwrap();
    assert_eq!(ends, "plain\ndockerd\ncontainerd\n");
}

pub(crate) fn a_service_that_ends_is_restarted_and_keep_children_decides_about_its_children() {
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
        assert_eq!(
            status.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [format!("service {name} is started again: signal 9 (SIGKILL)")]
        );
        host.wait_for("ready again", |host| host.service(name).state == ServiceState::Ready);
        let after = host.service(name);
        assert_eq!((after.restarts, after.last_exit.as_deref()), (1, Some("signal 9 (SIGKILL)")));
        assert!(after.pid != before.pid && after.since_us - before.since_us >= 1_000_000);
        assert_eq!(Path::new(&format!("/proc/{child}")).exists(), survives, "{name}");
        assert_eq!(host.client().status().unwrap().state, HostState::Running);
        // The restarted service may not have written the id of its child yet.
        let text = || fs::read_to_string(&file).unwrap_or_default();
        host.wait_for("another child", |_| text().ends_with('\n') && text().trim() != child.to_string());
        if survives {
            kill_process(pid(child), Signal::KILL).unwrap();
            kill_process(pid(text().trim().parse().unwrap()), Signal::KILL).unwrap();
        }
    }
}

pub(crate) fn a_failed_service_degrades_the_host_and_other_services_run() {
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
    for words in ["unknown key `nedds`", "service late failed: not ready after 1 s"] {
        assert!(
            status.problems.iter().any(|problem| problem.to_string().contains(words)),
            "{words}: {:#?}",
            status.problems
        );
    }
    let error = host.client().wait_ready().unwrap_err().to_string();
    assert!(error.contains("degraded") && error.contains("service late failed"), "{error}");
    assert_eq!(host.client().boot().unwrap().ready_us, None);
}

pub(crate) fn orphaned_processes_are_reaped() {
    // Twenty processes whose parent ends before them become orphans.
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do (sleep 0.3 &); done; echo started; exec sleep 1000";
    let host = Host::start(&[("forks", script, "")]);
    host.client().wait_ready().unwrap();
    let children = |host: &Host| {
        let id = host.process.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap().split_whitespace().count()
    };
    host.wait_for("orphans", |host| children(host) > 10);
    // The service, and `hostctl bless`.
    host.wait_for("all orphans gone", |host| children(host) == 2);
}

pub(crate) fn an_idle_host_does_not_wake_up() {
    let host = Host::start(&[("sleeps", "exec sleep 1000", "")]);
    host.client().wait_ready().unwrap();
    // Three clients: one follows a log, one is idle after an answer, one has sent an incomplete line and closed its sending side.
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
    // The search for a serial port ends by itself. After this time its pauses are long.
    std::thread::sleep(Duration::from_secs(1));
    let before = wakeups();
    std::thread::sleep(Duration::from_secs(2));
    let count = wakeups() - before;
    assert!(count < 20, "{count} wake-ups in two seconds");
}

pub(crate) fn signals_shut_the_host_down_and_services_that_ignore_sigterm_are_killed() {
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
