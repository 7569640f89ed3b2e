use super::*;
use berth_contract::engine::EngineKind;
use std::os::unix::net::UnixListener;

/// A frame of docker's stream.
fn frame(text: &str) -> Vec<u8> {
    [&[1, 0, 0, 0][..], &u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

#[test]
fn lines_of_all_containers_are_sent_from_where_logd_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (docker, logd) = (dir.path().join("docker.sock"), dir.path().join("logd.sock"));
    let docker_listener = UnixListener::bind(&docker).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = asked.clone();
    thread::spawn(move || {
        for stream in docker_listener.incoming().flatten() {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            let target = line.split(' ').nth(1).unwrap().to_owned();
            let body = match target.split('?').next().unwrap() {
                "/containers/json" if target.contains("all=1") => {
                    br#"[{"Names":["/web"]},{"Names":["/old"]}]"#.to_vec()
                }
                "/containers/json" => br#"[{"Names":["/web"]}]"#.to_vec(),
                "/containers/web/logs" => {
                    [frame("2026-11-20T02:11:10.000000001Z one\n"), frame("2026-11-20T02:11:10.000000002Z two\n")]
                        .concat()
                }
                "/containers/old/logs" => frame("2026-11-20T02:11:09Z gone\n"),
                other => panic!("{other}"),
            };
            requests.lock().unwrap().push(target);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            (&stream).write_all(&[head.as_bytes(), &body].concat()).unwrap();
        }
    });
    let listener = UnixListener::bind(&logd).unwrap();
    let engine: Engine = Arc::new(move |limits| berth_engine::client(EngineKind::Docker, &docker, limits));
    let sender = thread::spawn(move || send(&engine, &logd));
    let (stream, _) = listener.accept().unwrap();
    (&stream).write_all(b"{\"container:web\":1795140669000000000}\n").unwrap();
    let mut records: Vec<LogRecord> = Vec::new();
    for line in BufReader::new(&stream).lines().take(3) {
        records.push(serde_json::from_str(&line.unwrap()).unwrap());
    }
    records.sort_by_key(|record| record.number);
    let found: Vec<(&str, u64, &str)> =
        records.iter().map(|record| (&*record.log, record.at_us, &*record.text)).collect();
    assert_eq!(
        found,
        [
            ("container:old", 1_795_140_669_000_000, "gone"),
            ("container:web", 1_795_140_670_000_000, "one"),
            ("container:web", 1_795_140_670_000_000, "two"),
        ]
    );
    let asked = asked.lock().unwrap().clone();
    assert!(
        asked.iter().any(|one| one.contains("/web/logs") && one.ends_with("since=1795140669.000000001")),
        "{asked:?}"
    );
    // logd is started again.
    drop((stream, listener));
    assert!(sender.join().unwrap().is_err());
}

#[test]
fn a_last_line_in_the_future_does_not_silence_a_container() {
    assert_eq!(since(Some(7), 5, 9), 8);
    assert_eq!(since(None, 5, 9), 5);
    assert_eq!(since(Some(10), 5, 9), 5);
}
