use super::*;
use berth_contract::control::ServiceState::{self, *};

/// Seconds to microseconds.
fn s(seconds: u64) -> u64 {
    seconds * SECOND
}

fn machine(services: &[(&str, &str)]) -> Machine {
    let spec = |text: &str| toml::from_str(&format!("exec = ['/bin/x']\n{text}")).unwrap();
    Machine::new(services.iter().map(|(name, text)| ((*name).to_owned(), spec(text))).collect(), 0)
}

fn start(name: &str) -> Action {
    Action::Start(name.to_owned())
}

fn terminate(name: &str, process: u32) -> Action {
    Action::Terminate { name: name.to_owned(), process }
}

fn kill(name: &str, process: u32) -> Action {
    Action::Kill { name: name.to_owned(), process }
}

fn state(machine: &Machine, name: &str) -> ServiceState {
    machine.statuses().into_iter().find(|status| status.name == name).unwrap().state
}

/// What is due, without the reports and the clearing up.
fn due(machine: &mut Machine, now_us: u64) -> Vec<Action> {
    let quiet = |action: &Action| !matches!(action, Action::Report { .. } | Action::KillRest { .. });
    machine.due(now_us).into_iter().filter(quiet).collect()
}

const DOCKER: &[(&str, &str)] = &[
    ("netd", "required = false"),
    ("containerd", "ready = { socket = '/c' }\nkeep_children = true"),
    ("dockerd", "ready = { socket = '/d' }\nneeds = ['containerd']\nstop_timeout = 30"),
    ("workload", "ready = 'exit'\nneeds = ['dockerd']\nrestart = 'on-failure'"),
];

fn docker_host() -> Machine {
    let mut machine = machine(DOCKER);
    assert_eq!(due(&mut machine, 0), [start("containerd"), start("netd")]);
    machine.started("containerd", 10, 0);
    machine.started("netd", 11, 0);
    assert_eq!(due(&mut machine, 1), []);
    machine.ready("containerd", s(1));
    assert_eq!(due(&mut machine, s(1)), [start("dockerd")]);
    machine.started("dockerd", 12, s(1));
    machine.ready("dockerd", s(2));
    assert_eq!(due(&mut machine, s(2)), [start("workload")]);
    machine.started("workload", 13, s(2));
    assert!(!machine.all_required_ready() && machine.problems().is_empty());
    assert!(machine.exited(13, Exit::Status(0), s(3)));
    assert!(machine.all_required_ready());
    assert_eq!(due(&mut machine, s(3)), []);
    assert_eq!(machine.next_deadline_us(), None);
    machine
}

#[test]
fn services_start_when_their_needs_are_ready() {
    let machine = docker_host();
    assert_eq!(state(&machine, "workload"), Ready);
    assert_eq!(machine.statuses()[3].pid, None);
    assert_eq!(machine.service_of(12), Some("dockerd"));
}

#[test]
fn a_shutdown_goes_against_the_needs_and_only_once() {
    let mut machine = docker_host();
    machine.shut_down(s(10));
    assert_eq!(due(&mut machine, s(10)), [terminate("dockerd", 12), terminate("netd", 11)]);
    machine.shut_down(s(20));
    assert_eq!(machine.next_deadline_us(), Some(s(20)), "netd's ten seconds");
    machine.exited(11, Exit::Signal(15), s(11));
    assert_eq!(due(&mut machine, s(11)), []);
    assert_eq!(due(&mut machine, s(40)), [kill("dockerd", 12)]);
    machine.exited(12, Exit::Signal(9), s(41));
    assert_eq!(due(&mut machine, s(41)), [terminate("containerd", 10)]);
    assert!(!machine.is_down());
    machine.exited(10, Exit::Status(0), s(42));
    assert!(machine.is_down() && due(&mut machine, s(42)).is_empty());
    assert_eq!((state(&machine, "dockerd"), state(&machine, "workload")), (Stopped, Ready));
    assert_eq!(machine.next_deadline_us(), None);
}

#[test]
fn a_shutdown_ends_even_when_processes_do_not() {
    let mut machine = docker_host();
    machine.shut_down(0);
    for now in 0..=s(SHUTDOWN_LIMIT) / SECOND {
        machine.due(s(now));
    }
    assert!(machine.is_down());
    // A process that is waited for when the time is over does not hold it up either.
    let mut machine = self::machine(&[("slow", "stop_timeout = 1000")]);
    machine.due(0);
    machine.started("slow", 5, 0);
    machine.shut_down(0);
    assert_eq!(due(&mut machine, 0), [terminate("slow", 5)]);
    assert_eq!(machine.next_deadline_us(), Some(s(SHUTDOWN_LIMIT)));
    assert_eq!(due(&mut machine, s(SHUTDOWN_LIMIT)), [kill("slow", 5)]);
    assert!(machine.is_down());
}

#[test]
fn delays_grow_to_half_a_minute_and_fall_after_a_minute_of_health() {
    let mut machine = machine(&[("x", "")]);
    let (mut now, mut delays) = (0, Vec::new());
    for run in [0, 0, 0, 0, 0, 0, 0, 59, 61, 0] {
        assert_eq!(due(&mut machine, now), [start("x")]);
        machine.started("x", 7, now);
        assert_eq!(state(&machine, "x"), Ready);
        now += s(run);
        machine.exited(7, Exit::Status(0), now);
        assert_eq!(due(&mut machine, now), []);
        assert_eq!(state(&machine, "x"), Backoff);
        let next = machine.next_deadline_us().unwrap();
        assert_eq!(due(&mut machine, next - 1), []);
        delays.push((next - now) / SECOND);
        now = next;
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30, 1, 2]);
    let status = machine.statuses().remove(0);
    assert_eq!((status.restarts, status.last_exit.as_deref()), (9, Some("status 0")));
}

/// `restart`, `ready`, how it ends while starting → state.
#[test]
fn what_follows_an_end_is_what_restart_says() {
    for (restart, ready, exit, expected) in [
        ("always", "'started'", Exit::Status(0), Backoff),
        ("always", "'exit'", Exit::Status(0), Ready),
        ("always", "'exit'", Exit::Status(1), Backoff),
        ("on-failure", "'exit'", Exit::Status(1), Backoff),
        ("on-failure", "'exit'", Exit::Status(0), Ready),
        ("on-failure", "'notify'", Exit::Status(0), Stopped),
        ("on-failure", "'notify'", Exit::Signal(11), Backoff),
        ("no", "'exit'", Exit::Status(0), Ready),
        ("no", "'exit'", Exit::Status(3), Failed),
        ("no", "'started'", Exit::Status(0), Stopped),
        ("no", "{ socket = '/x' }", Exit::Signal(6), Failed),
    ] {
        let mut machine = machine(&[("x", &format!("restart = '{restart}'\nready = {ready}"))]);
        machine.due(0);
        machine.started("x", 7, 0);
        assert!(machine.exited(7, exit, s(1)));
        assert!(!machine.exited(7, exit, s(1)), "gone already");
        assert_eq!(state(&machine, "x"), expected, "{restart} {ready} {exit}");
        assert_eq!(machine.problems().is_empty(), expected == Ready, "{restart} {ready} {exit}");
        // Whatever it was, a shutdown has nothing to wait for.
        machine.shut_down(s(1));
        machine.due(s(1));
        assert!(machine.is_down());
    }
}

#[test]
fn a_service_that_is_not_ready_in_time_is_stopped_and_fails() {
    let mut machine = machine(&[("x", "ready = 'notify'\nstart_timeout = 5\nstop_timeout = 3\nrestart = 'no'")]);
    machine.due(0);
    machine.started("x", 7, 0);
    assert_eq!(machine.next_deadline_us(), Some(s(5)));
    assert_eq!(due(&mut machine, s(5)), [terminate("x", 7)]);
    assert_eq!(due(&mut machine, s(8)), [kill("x", 7)]);
    machine.ready("x", s(8));
    machine.exited(7, Exit::Signal(9), s(8));
    assert_eq!(machine.problems()[0].to_string(), "service x failed: not ready after 5 s");
}

#[test]
fn one_that_cannot_be_started_waits_like_one_that_died() {
    let mut machine = machine(&[("x", "")]);
    assert_eq!(due(&mut machine, 0), [start("x")]);
    machine.not_started("x", "no such file", 0);
    assert_eq!(
        machine.due(0),
        [Action::Report {
            name: "x".into(),
            change: Change::Again { how: "cannot be started: no such file".into(), delay: 1 }
        }]
    );
    assert_eq!(due(&mut machine, s(1)), [start("x")]);
    machine.started("x", 9, s(1));
    assert!(machine.problems().is_empty() && machine.all_required_ready());
}

#[test]
fn children_are_killed_after_their_parent_unless_they_shall_survive() {
    for (keep, killed) in [(false, true), (true, false)] {
        let mut machine = machine(&[("x", &format!("keep_children = {keep}"))]);
        machine.due(0);
        machine.started("x", 7, 0);
        machine.exited(7, Exit::Signal(9), 1);
        let rest = Action::KillRest { name: "x".into(), process: 7 };
        assert_eq!(machine.due(1).contains(&rest), killed);
    }
}

#[test]
fn a_dependent_that_waits_starts_when_the_other_is_back() {
    let mut machine = machine(&[("a", ""), ("b", "needs = ['a']")]);
    machine.due(0);
    machine.started("a", 1, 0);
    assert_eq!(due(&mut machine, 0), [start("b")]);
    machine.started("b", 2, 0);
    machine.exited(1, Exit::Status(1), s(1));
    machine.exited(2, Exit::Status(1), s(1));
    assert_eq!(due(&mut machine, s(2)), [start("a")], "b waits: a is not ready");
    assert_eq!(state(&machine, "b"), Waiting);
    machine.started("a", 3, s(2));
    assert_eq!(due(&mut machine, s(2)), [start("b")]);
    assert!(machine.problems().iter().any(|problem| problem.to_string().contains("b is started again: status 1")));
}
