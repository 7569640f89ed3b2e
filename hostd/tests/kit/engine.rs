//! A fake container engine with one container, `web`.

use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

/// Listens until the test program ends.
pub(crate) fn start(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(&stream));
        }
    });
}

fn serve(mut stream: &UnixStream) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return;
        }
    }
    let target = head.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap();
    let json = |status: u16, value: serde_json::Value| {
        let text = value.to_string();
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes()
    };
    let answer = match path {
        "/_ping" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK".to_vec(),
        "/containers/json" => json(200, json!([{ "Names": ["/web"], "Labels": { "dev.berth.spec": "x" } }])),
        "/containers/web/json" => json(
            200,
            json!({
                "Config": { "Image": "hello", "Labels": { "dev.berth.spec": "x" } }, "HostConfig": {}, "RestartCount": 4,
                "State": { "Status": "exited", "ExitCode": 3, "Error": "" },
            }),
        ),
        "/containers/web/restart" => b"HTTP/1.1 204 X\r\n\r\n".to_vec(),
        "/containers/web/logs" => {
            let line = |kind: u8, text: &str| {
                let text = format!("2026-11-30T09:00:00.000000001Z {text}\n");
                let length = u32::try_from(text.len()).unwrap().to_be_bytes();
                [&[kind, 0, 0, 0], &length[..], text.as_bytes()].concat()
            };
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n";
            let body = [&head[..], &line(1, "out"), &line(2, target)].concat();
            if target.contains("follow=1") {
                let _ = stream.write_all(&body);
                // Until the client goes.
                let _ = reader.read_line(&mut String::new());
                return;
            }
            body
        }
        _ => json(404, json!({ "message": "no such container" })),
    };
    let _ = stream.write_all(&answer);
}
