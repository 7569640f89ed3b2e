//! How long a host must be healthy, and how long it may take to become healthy.

use super::kit::{Host, OURS, State, inspected, service};
use berth_contract::{control::ServiceState, subject::Subject, update::Verdict};
use hostctl::health::{Deadline, judge};
use std::{
    fs,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_container_or_service_that_restarts_again_and_again_is_not_healthy() {
    let host = Host::new();
    host.change(|state| {
        state.docker.insert("/containers/web/json".into(), inspected("restarting", "always", (3, 0), OURS));
    });
    assert_eq!(host.ill(), (Subject::Container("web".to_owned()), "is restarting, with status 7".to_owned()));
    // Every look finds the container running between two ends. A restart of dockerd shows only in its process id.
    type Again = fn(&mut State, u32);
    let changes: [(Subject, Again); 2] = [
        (Subject::Container("web".to_owned()), |state, turn| {
            let starts = (turn.into(), 100 + u64::from(turn));
            state.docker.insert("/containers/web/json".into(), inspected("running", "always", starts, OURS));
        }),
        (Subject::Service("dockerd".to_owned()), |state, turn| state.services[0].pid = Some(turn)),
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
        let why = "has exited, and was restarted";
        assert_eq!(said, [format!("{what}: {why}")]);
        assert_eq!((verdict, blessed), (Verdict::Bad { what, why: why.into() }, 0));
        *over.lock().unwrap() = true;
        restarts.join().unwrap();
        // The restarts have ended.
        assert!(matches!(host.judge_steady(600_000, 1500), (Verdict::Good, 1, _)));
    }
}

#[test]
fn if_little_time_is_left_the_host_must_be_healthy_for_the_rest() {
    let host = Host::new();
    let begin = Instant::now();
    assert_eq!(host.judge_steady(2500, 3_600_000), (Verdict::Good, 1, Vec::new()));
    assert!(begin.elapsed() >= Duration::from_secs(1), "more than one look");
}

#[test]
fn one_look_is_not_enough_even_if_it_takes_long() {
    let host = Host::new();
    host.check("slow", "echo x >> ${0%health.d/slow}ran; sleep 1", 0o755);
    assert!(matches!(host.judge_steady(600_000, 500), (Verdict::Good, 1, _)));
    assert_eq!(fs::read_to_string(host.folder.path().join("ran")).unwrap(), "x\nx\n");
}

#[test]
fn a_late_service_is_waited_for_and_a_failed_one_is_not() {
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
    assert_eq!(verdict, Verdict::Bad { what: Subject::Service("dead".into()), why: "status 127".into() });
    assert!(blessed == 0 && begin.elapsed() < Duration::from_secs(60));
    // If the entry cannot be blessed, the verdict is bad.
    let host = Host::new();
    let mut refuse = || Err("the ESP is in use".to_owned());
    let verdict =
        judge(&host.places, Deadline::after(Duration::from_millis(1)), Duration::ZERO, &mut |_| (), &mut refuse);
    assert_eq!(verdict, Verdict::Bad { what: Subject::BootEntry, why: "the ESP is in use".into() });
    drop(host.folder);
}
