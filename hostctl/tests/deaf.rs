//! hostctl when its stdout is closed, or when its requests are lost: it still does what was requested, still reports failures, and retries.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use berth_contract::control::{Body, Call, ControlError, Frame, LogLine, Request};
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

/// A host that answers requests to run hostctl with `error` or success, and the requests that it has received. Like a serial port it serves
/// one client at a time. It loses the first `lost` calls.
fn host(path: &Path, mut lost: usize, error: Option<&str>) -> Arc<Mutex<Vec<Request>>> {
    let listener = UnixListener::bind(path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (all, error) = (asked.clone(), error.map(str::to_owned));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(&stream).lines() {
                let Ok(Ok(call)) = line.map(|line| serde_json::from_str::<Call>(&line)) else { continue };
                if lost > 0 {
                    lost -= 1;
                    continue;
                }
                let end = match &error {
                    Some(message) => Body::Error(ControlError { message: message.clone(), hint: None, code: None }),
                    None => Body::End,
                };
                let text = r#"{"event":"current","version":"1"}"#.to_owned();
                let said = matches!(call.request, Request::Run { .. }).then(|| Body::Line(LogLine { at_us: 0, text }));
                all.lock().unwrap().push(call.request);
                for body in said.into_iter().chain([end]) {
                    let frame = serde_json::to_string(&Frame { id: call.id, body }).unwrap();
                    let _ = writeln!(&stream, "{frame}");
                }
            }
        }
    });
    asked
}

/// Runs hostctl with a closed stdout. Returns whether it succeeded, and its stderr.
fn hostctl(path: &Path, words: &[&str]) -> (bool, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostctl"));
    command.args(["--connect", &format!("unix:{}", path.display())]).args(words);
    let output = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_failed_upgrade_fails_with_a_closed_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    host(&path, 0, Some("the slot is too small"));
    let (success, said) = hostctl(&path, &["upgrade"]);
    assert!(!success && said.contains("the slot is too small"), "{said}");
}

#[test]
fn a_rollback_reboots_with_a_closed_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let asked = host(&path, 0, None);
    hostctl(&path, &["rollback", "--reboot"]);
    assert_eq!(asked.lock().unwrap().last(), Some(&Request::Reboot));
}

#[test]
fn a_call_that_a_serial_port_loses_is_retried() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let asked = host(&path, 1, None);
    hostctl(&path, &["reboot"]);
    assert_eq!(*asked.lock().unwrap(), [Request::Status, Request::Reboot]);
    hostctl(&path, &["poweroff", "--limit", "30"]);
    assert_eq!(asked.lock().unwrap().last(), Some(&Request::PoweroffWithin { seconds: 30 }));
}
