//! The program itself: exit status, wrong usage, and `wait`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use berth_contract::control::{
    Body, Call, ControlError, Frame, HostState, JSON_ERRORS, LogLine, Reply, Request, StatusReport,
};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Output},
    thread,
};

/// A host on a socket. `answer` gets the number of the call, and returns the frames, or `None` to close the connection without an answer.
fn host(path: &Path, answer: impl Fn(usize, Request) -> Option<Vec<Body>> + Send + 'static) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                let Ok(Call { id, request }) = serde_json::from_str(&line) else { continue };
                number += 1;
                let Some(bodies) = answer(number, request) else { break };
                for body in bodies {
                    let frame = serde_json::to_string(&Frame { id, body }).unwrap();
                    let _ = writeln!(&stream, "{frame}");
                }
            }
        }
    });
}

fn hostctl(path: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostctl"));
    command.args(["--connect", &format!("unix:{}", path.display())]).args(words).output().unwrap()
}

pub(crate) fn status(state: HostState) -> Body {
    let report: StatusReport = serde_json::from_value(serde_json::json!({
        "image_id": "host", "version": "1", "kernel": "6", "slot": "a", "root_hash": "0".repeat(64), "hostname": "h",
        "machine_id": "5".repeat(32), "state": state, "problems": [], "uptime_us": 1, "engine": null,
        "config": { "source": null, "error": null }, "network": null, "memory": { "total_kib": 1, "available_kib": 1 },
        "var": { "size": 1, "available": 1, "persistent": true }, "containers": [],
    }))
    .unwrap();
    Body::Reply(Box::new(Reply::Status(Box::new(report))))
}

#[test]
fn the_exit_status_says_how_an_upgrade_ended() {
    let dir = tempfile::tempdir().unwrap();
    let line = |text: &str| Body::Line(LogLine { at_us: 0, text: text.to_owned() });
    for (index, (end, said, code)) in [
        (Body::End, r#"{"event":"available","from":"1","to":"2"}"#, 0),
        (Body::End, r#"{"event":"current","version":"1"}"#, 10),
        (Body::Error(ControlError { message: "no".into(), hint: None, code: Some(13) }), "", 13),
        (Body::Error(ControlError { message: "no".into(), hint: None, code: None }), "", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.path().join(index.to_string());
        let frames = vec![line(said), end];
        host(&path, move |_, request| match request {
            Request::Run { .. } => Some(frames.clone()),
            _ => Some(vec![status(HostState::Running)]),
        });
        assert_eq!(hostctl(&path, &["upgrade", "--check"]).status.code(), Some(code), "{said}");
    }
}

#[test]
fn wrong_usage_is_an_error_with_a_hint_also_for_init() {
    let run = |for_init: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostctl"));
        let command = if for_init { command.env(JSON_ERRORS, "1") } else { &mut command };
        command.args(["status", "--jsn"]).output().unwrap()
    };
    let (people, init) = (run(false), run(true));
    assert_eq!((people.status.code(), init.status.code()), (Some(2), Some(2)));
    assert!(String::from_utf8(people.stderr).unwrap().starts_with("error: unexpected argument '--jsn' found"));
    let error: ControlError = serde_json::from_slice(&init.stderr).unwrap();
    assert_eq!((error.message.as_str(), error.code), ("unexpected argument '--jsn' found", Some(2)));
    assert!(error.hint.unwrap().contains("Usage: hostctl status"));
}

#[test]
fn off_a_host_there_is_no_answer_that_looks_like_good_news() {
    let output = Command::new(env!("CARGO_BIN_EXE_hostctl")).arg("why").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{said}");
    assert!(said.contains("hint: run this on a Berth host"), "{said}");
}

#[test]
fn wait_survives_a_reboot_and_ends_when_the_host_is_running_or_degraded() {
    let dir = tempfile::tempdir().unwrap();
    // The host goes down, does not answer, and comes up again.
    let path = dir.path().join("reboot");
    host(&path, |number, _| match number {
        1 | 2 => Some(vec![status(HostState::Stopping)]),
        3 | 4 => None,
        5 | 6 => Some(vec![status(HostState::Booting)]),
        _ => Some(vec![status(HostState::Running)]),
    });
    assert!(hostctl(&path, &["wait"]).status.success());
    let path = dir.path().join("degraded");
    host(&path, |_, _| Some(vec![status(HostState::Degraded)]));
    let output = hostctl(&path, &["wait"]);
    assert!(!output.status.success() && String::from_utf8(output.stderr).unwrap().contains("the host is degraded"));
    let path = dir.path().join("slow");
    host(&path, |_, _| Some(vec![status(HostState::Booting)]));
    let output = hostctl(&path, &["wait", "--timeout", "1"]);
    assert!(!output.status.success() && String::from_utf8(output.stderr).unwrap().contains("the host is not running"));
}
