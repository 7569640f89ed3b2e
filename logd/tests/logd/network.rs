//! A network that goes away, and receivers that misbehave.

use crate::{
    kit::{Host, free_port, lines_of, wait_for},
    syslog::{Ports, rsyslog},
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    thread,
    time::Duration,
};

/// Two network namespaces with a cable between them.
struct Cable {
    host: String,
    site: String,
}

impl Cable {
    fn new() -> Self {
        let id = std::process::id() % 100_000;
        let cable = Self { host: format!("logd-h{id}"), site: format!("logd-s{id}") };
        let (host, site) = (&cable.host, &cable.site);
        for line in [
            format!("netns add {host}"),
            format!("netns add {site}"),
            format!("link add cable0 netns {host} type veth peer name cable1 netns {site}"),
            format!("-n {host} addr add 192.0.2.1/24 dev cable0"),
            format!("-n {site} addr add 192.0.2.2/24 dev cable1"),
            format!("-n {host} link set cable0 up"),
            format!("-n {site} link set cable1 up"),
        ] {
            ip(&line);
        }
        cable
    }

    fn plug(&self, state: &str) {
        ip(&format!("-n {} link set cable1 {state}", self.site));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.host, &self.site] {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(line: &str) {
    let status = Command::new("ip").args(line.split(' ')).status().unwrap();
    assert!(status.success(), "ip {line}");
}

/// How often each line of `chatty` has arrived without and with the mark, by its text.
fn arrived(lines: &[String]) -> BTreeMap<String, (u32, u32)> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.splitn(7, '|').collect();
        if fields[4] == "chatty" {
            let count: &mut (u32, u32) = counts.entry(fields[6].to_owned()).or_default();
            if fields[5].contains("again=\"1\"") { count.1 += 1 } else { count.0 += 1 }
        }
    }
    counts
}

#[test]
fn nothing_is_lost_and_nothing_is_sent_twice_without_a_mark_while_the_network_is_away() {
    berth_judge::needs!("rsyslogd", "ip");
    if berth_judge::missing_root() {
        return;
    }
    let cable = Cable::new();
    let folder = tempfile::tempdir().unwrap();
    let ports = Ports { tcp: 5514, tls: 6514, udp: 5514 };
    let receiver = rsyslog(folder.path(), "192.0.2.2", &ports, Some(&cable.site));
    let mut host = Host::new(r#"[{"to":"tcp://192.0.2.2:5514"}]"#).within(&cable.host);
    let out = folder.path().join("tcp");
    let texts = |part: u32| (0..1500).map(move |number| format!("{part}-{number:04}"));
    host.chat("chatty", texts(0));
    host.start();
    wait_for("the first part", || (arrived(&lines_of(&out)).len() == 1500).then_some(()));
    cable.plug("down");
    host.chat("chatty", texts(1));
    // It has sent some lines, which may have arrived or not, and dies.
    wait_for("the second part", || (host.stored("chatty").len() == 3000).then_some(()));
    thread::sleep(Duration::from_millis(300));
    host.kill();
    host.chat("chatty", texts(2));
    host.start();
    wait_for("the third part", || (host.stored("chatty").len() == 4500).then_some(()));
    // The receiver is started again meanwhile.
    drop(receiver);
    let _receiver = rsyslog(folder.path(), "192.0.2.2", &ports, Some(&cable.site));
    cable.plug("up");
    let found = wait_for("all lines", || Some(arrived(&lines_of(&out))).filter(|found| found.len() == 4500));
    for (text, (plain, marked)) in &found {
        assert!(*plain <= 1, "{text}: {plain} times without a mark, {marked} times with it");
    }
    // The next lines are new to everybody.
    host.stop();
    host.say("chatty", 6, "fresh");
    host.start();
    let found =
        wait_for("the last line", || Some(arrived(&lines_of(&out))).filter(|found| found.contains_key("fresh")));
    assert_eq!(found["fresh"], (1, 0));
}

#[test]
fn receivers_that_do_not_read_or_talk_without_end_cost_neither_memory_nor_lines() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let loud = TcpListener::bind("127.0.0.1:0").unwrap();
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let forward = serde_json::json!([
        { "to": format!("tcp://127.0.0.1:{}", port(&deaf)) },
        { "to": format!("tcp://127.0.0.1:{}", port(&loud)) },
        { "to": format!("http://127.0.0.1:{}/loki/api/v1/push", port(&web)) },
        { "to": format!("tcp://127.0.0.1:{}", free_port()) },
    ]);
    let talk = |listener: TcpListener, start: &'static [u8]| {
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
                    let _ = stream.read(&mut [0; 100]);
                    let _ = stream.write_all(start);
                    while stream.write_all(&[b'x'; 65_536]).is_ok() {}
                });
            }
        })
    };
    talk(loud, b"");
    talk(web, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: ");
    let mut host = Host::new(&forward.to_string());
    host.start();
    for part in 0..20 {
        host.chat("chatty", (0..2000).map(|number| format!("{part} {number} {}", "y".repeat(100))));
        thread::sleep(Duration::from_millis(50));
    }
    wait_for("all lines", || (host.stored("chatty").len() == 40_000).then_some(()));
    let memory = host.memory();
    assert!(memory < 24 << 10, "{memory} KiB");
    let said = host.said();
    assert!(said.lines().count() < 20, "{said}");
    host.stop();
}
