use super::*;
use berth_contract::control::ServiceState::{self, *};

/// Seconds to microseconds.
fn s(seconds: u64) -> u64 {
    seconds * SECOND
}

fn states(services: &[(&str, &str)]) -> ServiceStates {
    let spec = |text: &str| toml::from_str(&format!("exec = ['/bin/x']\n{text}")).unwrap();
    ServiceStates::new(services.iter().map(|(name, text)| ((*name).to_owned(), spec(text))).collect(), 0)
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

fn state(states: &ServiceStates, name: &str) -> ServiceState {
    states.statuses().into_iter().find(|status| status.name == name).unwrap().state
}

/// The actions that are due, without reports and `KillRest`.
fn due(states: &mut ServiceStates, now_us: u64) -> Vec<Action> {
    let quiet = |action: &Action| !matches!(action, Action::Report { .. } | Action::KillRest { .. });
    states.due(now_us).into_iter().filter(quiet).collect()
}

const DOCKER: &[(&str, &str)] = &[
    ("netd", "required = false"),
    ("containerd", "ready = { socket = '/c' }\nkeep_children = true"),
    ("dockerd", "ready = { socket = '/d' }\nneeds = ['containerd']\nstop_timeout = 30"),
    ("workload", "ready = 'exit'\nneeds = ['dockerd']\nrestart = 'on-failure'"),
];

fn docker_host() -> ServiceStates {
    let mut states = states(DOCKER);
    assert_eq!(due(&mut states, 0), [start("containerd"), start("netd")]);
    states.started("containerd", 10, 0);
    states.started("netd", 11, 0);
    assert_eq!(due(&mut states, 1), []);
    states.ready("containerd", s(1));
    assert_eq!(due(&mut states, s(1)), [start("dockerd")]);
    states.started("dockerd", 12, s(1));
    states.ready("dockerd", s(2));
    assert_eq!(due(&mut states, s(2)), [start("workload")]);
    states.started("workload", 13, s(2));
    assert!(!states.all_required_ready() && states.problems().is_empty());
    assert!(states.exited(13, Exit::Status(0), s(3)));
    assert!(states.all_required_ready());
    assert_eq!(due(&mut states, s(3)), []);
    assert_eq!(states.next_deadline_us(), None);
    states
}

#[test]
fn services_start_when_their_needs_are_ready() {
    let states = docker_host();
    assert_eq!(state(&states, "workload"), Ready);
    assert_eq!(states.statuses()[3].pid, None);
    assert_eq!(states.service_of(12), Some("dockerd"));
}

#[test]
fn a_shutdown_stops_services_in_reverse_order_and_only_once() {
    let mut states = docker_host();
    states.shut_down(s(10), None);
    assert_eq!(due(&mut states, s(10)), [terminate("dockerd", 12), terminate("netd", 11)]);
    states.shut_down(s(20), None);
    assert_eq!(states.next_deadline_us(), Some(s(20)), "netd's ten seconds");
    states.exited(11, Exit::Signal(15), s(11));
    assert_eq!(due(&mut states, s(11)), []);
    assert_eq!(due(&mut states, s(40)), [kill("dockerd", 12)]);
    states.exited(12, Exit::Signal(9), s(41));
    assert_eq!(due(&mut states, s(41)), [terminate("containerd", 10)]);
    assert!(!states.is_down());
    states.exited(10, Exit::Status(0), s(42));
    assert!(states.is_down() && due(&mut states, s(42)).is_empty());
    assert_eq!((state(&states, "dockerd"), state(&states, "workload")), (Stopped, Ready));
    assert_eq!(states.next_deadline_us(), None);
}

#[test]
fn a_shutdown_ends_even_if_processes_do_not_end() {
    let mut states = docker_host();
    states.shut_down(0, None);
    for now in 0..=s(SHUTDOWN_LIMIT) / SECOND {
        states.due(s(now));
    }
    assert!(states.is_down());
    // A service with a long stop_timeout gets this time, also after another one has used its own.
    let mut states = self::states(&[("first", "needs = ['slow']\nstop_timeout = 80"), ("slow", "stop_timeout = 1000")]);
    states.due(0);
    states.started("slow", 5, 0);
    due(&mut states, 0);
    states.started("first", 6, 0);
    states.shut_down(0, None);
    assert_eq!(due(&mut states, 0), [terminate("first", 6)]);
    assert_eq!(due(&mut states, s(80)), [kill("first", 6)]);
    states.exited(6, Exit::Signal(9), s(81));
    assert_eq!(due(&mut states, s(81)), [terminate("slow", 5)]);
    assert_eq!(due(&mut states, s(1080)), []);
    assert_eq!(due(&mut states, s(1081)), [kill("slow", 5)]);
    due(&mut states, s(1081 + KILL_LIMIT));
    assert!(states.is_down());
}

#[test]
fn restart_delays_grow_to_half_a_minute_and_are_reset_after_a_healthy_minute() {
    let mut states = states(&[("x", "")]);
    let (mut now, mut delays) = (0, Vec::new());
    for run in [0, 0, 0, 0, 0, 0, 0, 59, 61, 0] {
        assert_eq!(due(&mut states, now), [start("x")]);
        states.started("x", 7, now);
        assert_eq!(state(&states, "x"), Ready);
        now += s(run);
        states.exited(7, Exit::Status(0), now);
        assert_eq!(due(&mut states, now), []);
        assert_eq!(state(&states, "x"), Backoff);
        let next = states.next_deadline_us().unwrap();
        assert_eq!(due(&mut states, next - 1), []);
        delays.push((next - now) / SECOND);
        now = next;
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 30, 30, 30, 1, 2]);
    let status = states.statuses().remove(0);
    assert_eq!((status.restarts, status.last_exit.as_deref()), (9, Some("status 0")));
}

/// `restart`, `ready`, end of the process while starting → state.
#[test]
fn the_state_after_an_end_depends_on_restart() {
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
        let mut states = states(&[("x", &format!("restart = '{restart}'\nready = {ready}"))]);
        states.due(0);
        states.started("x", 7, 0);
        assert!(states.exited(7, exit, s(1)));
        assert!(!states.exited(7, exit, s(1)), "ended already");
        assert_eq!(state(&states, "x"), expected, "{restart} {ready} {exit}");
        assert_eq!(states.problems().is_empty(), expected == Ready, "{restart} {ready} {exit}");
        // In every state, a shutdown has nothing to wait for.
        states.shut_down(s(1), None);
        states.due(s(1));
        assert!(states.is_down());
    }
}

#[test]
fn a_service_that_is_not_ready_in_time_is_stopped_and_fails() {
    let mut states = states(&[("x", "ready = 'notify'\nstart_timeout = 5\nstop_timeout = 3\nrestart = 'no'")]);
    states.due(0);
    states.started("x", 7, 0);
    assert_eq!(states.next_deadline_us(), Some(s(5)));
    assert_eq!(due(&mut states, s(5)), [terminate("x", 7)]);
    assert_eq!(due(&mut states, s(8)), [kill("x", 7)]);
    states.ready("x", s(8));
    states.exited(7, Exit::Signal(9), s(8));
    assert_eq!(states.problems()[0].to_string(), "service x failed: not ready after 5 s");
}

#[test]
fn a_service_that_cannot_be_started_is_retried_like_one_that_ended() {
    let mut states = states(&[("x", "")]);
    assert_eq!(due(&mut states, 0), [start("x")]);
    states.not_started("x", "no such file", 0);
    assert_eq!(
        states.due(0),
        [Action::Report {
            name: "x".into(),
            change: Change::Again { how: "cannot be started: no such file".into(), delay: 1 }
        }]
    );
    assert_eq!(due(&mut states, s(1)), [start("x")]);
    states.started("x", 9, s(1));
    assert!(states.problems().is_empty() && states.all_required_ready());
}

#[test]
fn children_are_killed_after_their_parent_unless_keep_children_is_set() {
    for (keep, killed) in [(false, true), (true, false)] {
        let mut states = states(&[("x", &format!("keep_children = {keep}"))]);
        states.due(0);
        states.started("x", 7, 0);
        states.exited(7, Exit::Signal(9), 1);
        let rest = Action::KillRest { name: "x".into(), process: 7 };
        assert_eq!(states.due(1).contains(&rest), killed);
    }
}

#[test]
fn a_waiting_dependent_starts_when_its_need_is_ready_again() {
    let mut states = states(&[("a", ""), ("b", "needs = ['a']")]);
    states.due(0);
    states.started("a", 1, 0);
    assert_eq!(due(&mut states, 0), [start("b")]);
    states.started("b", 2, 0);
    states.exited(1, Exit::Status(1), s(1));
    states.exited(2, Exit::Status(1), s(1));
    assert_eq!(due(&mut states, s(2)), [start("a")], "b waits: a is not ready");
    assert_eq!(state(&states, "b"), Waiting);
    states.started("a", 3, s(2));
    assert_eq!(due(&mut states, s(2)), [start("b")]);
    assert!(states.problems().iter().any(|problem| problem.to_string().contains("b is started again: status 1")));
}

#[test]
fn a_limit_holds_for_all_services_together() {
    let mut states = self::states(&[("engine", "stop_timeout = 610"), ("other", "")]);
    states.due(0);
    states.started("engine", 5, 0);
    states.started("other", 6, 0);
    states.shut_down(0, Some(70));
    assert_eq!(due(&mut states, 0), [terminate("engine", 5), terminate("other", 6)]);
    states.exited(6, Exit::Status(0), s(1));
    assert_eq!(due(&mut states, s(69)), []);
    assert_eq!(states.next_deadline_us(), Some(s(70)));
    assert_eq!(due(&mut states, s(70)), [kill("engine", 5)]);
    assert!(states.is_down());
}

#[test]
fn a_restart_that_a_client_asks_for_follows_the_end_at_once() {
    let mut states = docker_host();
    assert!(!states.restart("none", s(10)));
    // A service with a process is stopped, and started when it has ended, without a delay. What needs it keeps running.
    assert!(states.restart("containerd", s(10)));
    assert_eq!(due(&mut states, s(10)), [terminate("containerd", 10)]);
    assert!(states.exited(10, Exit::Signal(15), s(11)));
    assert_eq!(due(&mut states, s(11)), [start("containerd")]);
    assert_eq!(state(&states, "dockerd"), Ready);
    states.started("containerd", 20, s(11));
    // A one-shot service that has finished runs again.
    assert!(states.restart("workload", s(12)));
    assert_eq!(due(&mut states, s(12)), [start("workload")]);
    states.started("workload", 21, s(12));
    // A restart does not start a service again that is being stopped because the host goes down.
    assert!(states.restart("netd", s(13)));
    assert_eq!(due(&mut states, s(13)), [terminate("netd", 11)]);
    states.shut_down(s(14), None);
    assert!(!states.restart("netd", s(14)));
    assert!(states.exited(11, Exit::Signal(15), s(15)));
    due(&mut states, s(15));
    assert_eq!(state(&states, "netd"), Stopped);
}

#[test]
fn a_service_that_is_stopped_last_waits_for_all_others() {
    let mut states = states(&[("logs", "stop_last = true"), ("a", ""), ("b", "needs = ['a']")]);
    due(&mut states, 0);
    for (name, process) in [("a", 1), ("logs", 2), ("b", 3)] {
        states.started(name, process, 0);
        due(&mut states, 0);
        states.started("b", 3, 0);
    }
    states.shut_down(s(1), None);
    assert_eq!(due(&mut states, s(1)), [terminate("b", 3)]);
    states.exited(3, Exit::Status(0), s(2));
    assert_eq!(due(&mut states, s(2)), [terminate("a", 1)]);
    states.exited(1, Exit::Status(0), s(3));
    assert_eq!(due(&mut states, s(3)), [terminate("logs", 2)]);
    states.exited(2, Exit::Status(0), s(4));
    assert!(states.is_down());
}

#[test]
fn a_shutdown_says_what_it_waits_for_and_a_second_call_shortens_it() {
    let mut states = self::states(&[("engine", "stop_timeout = 610"), ("other", "")]);
    states.due(0);
    states.started("engine", 5, 0);
    states.started("other", 6, 0);
    states.shut_down(0, None);
    states.due(0);
    assert_eq!(states.awaited(s(1)), [("engine", 609), ("other", 9)]);
    states.exited(6, Exit::Status(0), s(1));
    states.shut_down(s(20), None);
    assert_eq!(states.awaited(s(20)), [("engine", 590)], "without a limit nothing changes");
    states.shut_down(s(20), Some(30));
    states.shut_down(s(21), Some(100));
    assert_eq!(states.awaited(s(21)), [("engine", 29)]);
    assert_eq!(states.next_deadline_us(), Some(s(50)));
    assert_eq!(due(&mut states, s(50)), [kill("engine", 5)]);
    assert!(states.is_down() && states.awaited(s(50)).is_empty());
}
