//! Loki's push API: the documents have the documented form, and are repeated until they are taken.

use crate::kit::{Host, wait_for};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A request: its head in lower case, and its document.
type Asked = (String, Value);

/// Answers with these statuses, and then with 204, or with 400 if a line is too old.
fn server(statuses: &'static [u16]) -> (u16, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<Asked>>>::default();
    let shared = asked.clone();
    thread::spawn(move || {
        let mut statuses = statuses.iter();
        for stream in listener.incoming().flatten() {
            while let Some(request) = request(&stream) {
                let usual = if request.1.to_string().contains("too old") { 400 } else { 204 };
                let status = statuses.next().copied().unwrap_or(usual);
                shared.lock().unwrap().push(request);
                let body = if status == 204 { "" } else { "stream limit" };
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if (&stream).write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (port, asked)
}

fn request(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap()))
}

/// Checks the form of https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs, and returns labels, time and text of each
/// line.
fn lines(document: &Value) -> Vec<(Value, String, String)> {
    let mut lines = Vec::new();
    assert_eq!(document.as_object().unwrap().len(), 1);
    for stream in document["streams"].as_array().unwrap() {
        let labels = stream["stream"].as_object().unwrap();
        assert!(labels.values().all(Value::is_string) && stream.as_object().unwrap().len() == 2);
        for value in stream["values"].as_array().unwrap() {
            let [time, text] = &value.as_array().unwrap()[..] else { panic!("{value}") };
            let time = time.as_str().unwrap();
            assert!(time.len() == 19 && time.parse::<u64>().is_ok(), "nanoseconds as a string: {time}");
            lines.push((Value::Object(labels.clone()), time.to_owned(), text.as_str().unwrap().to_owned()));
        }
    }
    lines
}

#[test]
fn documents_have_lokis_form_and_are_repeated_until_they_are_taken() {
    let (port, asked) = server(&[503, 429]);
    let forward = serde_json::json!([{
        "to": format!("http://127.0.0.1:{port}/loki/api/v1/push"), "format": "loki", "labels": { "site": "lab" },
        "username": "berth", "password": "hidden",
    }]);
    let mut host = Host::new(&forward.to_string());
    host.say("kernel", 3, "it is on fire");
    host.chat("netd", (0..3).map(|number| format!("line {number}")));
    host.start();
    // The first two documents were refused, and the third is the first one again.
    let taken = || asked.lock().unwrap().iter().skip(2).flat_map(|one| lines(&one.1)).collect::<Vec<_>>();
    wait_for("all lines", || (taken().len() >= 4).then_some(()));
    {
        let asked = asked.lock().unwrap();
        assert!(asked[0].0.starts_with("post /loki/api/v1/push http/1.1\r\n"), "{}", asked[0].0);
        assert!(asked[0].0.contains("content-type: application/json\r\n"));
        assert!(asked[0].0.contains("authorization: basic ymvydgg6aglkzgvu\r\n"), "{}", asked[0].0);
        // What was refused is repeated, with the same times: Loki stores it once.
        assert_eq!(asked[0].1, asked[1].1);
        assert_eq!(asked[1].1, asked[2].1);
    }
    {
        let found = taken();
        let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].0, serde_json::json!({ "host": node, "level": "error", "log": "kernel", "site": "lab" }));
        let times: BTreeSet<&String> = found.iter().map(|line| &line.1).collect();
        assert_eq!(times.len(), 4, "lines of one microsecond stay apart");
    }
    // A document that Loki never takes is passed over, and the next lines arrive.
    host.say("netd", 6, "too old");
    wait_for("the refusal", || host.said().contains("passed over").then_some(()));
    host.say("netd", 6, "good");
    wait_for("the next", || {
        let last = asked.lock().unwrap().last().unwrap().1.clone();
        lines(&last).iter().any(|line| line.2 == "good").then_some(())
    });
    let said = host.said();
    assert!(
        said.contains("HTTP status 503: stream limit") && said.contains("were refused and are passed over"),
        "{said}"
    );
    assert!(!said.contains("hidden"));
    host.stop();
}
