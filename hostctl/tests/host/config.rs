//! `hostctl config` on a host in a folder, with a fake init.

use super::kit::{Answer, HostFolder, Publication, cannot_run};
use berth_contract::{
    control::{Body, Call, ConfigChange, ControlError, Frame, Reply, Request},
    paths::{CONTROL_SOCKET, GENERATIONS, NEXT_CONFIG},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    sync::{Arc, Mutex},
    thread,
};

/// What the fake init was asked to take: place, and whether a watch was asked for. It refuses while the flag is set.
#[derive(Default)]
struct Asked {
    calls: Vec<(String, bool)>,
    refuses: bool,
}

fn init(host: &HostFolder) -> Arc<Mutex<Asked>> {
    let asked = Arc::new(Mutex::new(Asked::default()));
    let listener = UnixListener::bind(host.path(CONTROL_SOCKET)).unwrap();
    let shared = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                let Ok(Call { id, request }) = serde_json::from_str(&line) else { continue };
                let mut asked = shared.lock().unwrap();
                let refusal = || Body::Error(ControlError { message: "no".into(), hint: None, code: None });
                let body = match request {
                    Request::Configure { place, watch } if !asked.refuses => {
                        asked.calls.push((place, watch));
                        let change = ConfigChange {
                            changed: vec!["hostname".into(), "engine".into()],
                            reboot: vec!["engine".into()],
                            failed: Vec::new(),
                        };
                        Body::Reply(Box::new(Reply::Configured(change)))
                    }
                    _ => refusal(),
                };
                let frame = serde_json::to_string(&Frame { id, body }).unwrap();
                let _ = writeln!(&stream, "{frame}");
            }
        }
    });
    asked
}

#[test]
fn a_configuration_is_applied_tried_confirmed_and_reverted() {
    if cannot_run() {
        return;
    }
    let host = HostFolder::new(&Publication::new().repo, "host_1.efi");
    let asked = init(&host);
    let write = |name: &str, text: &str| fs::write(host.path(&format!("tmp/{name}.toml")), text).unwrap();
    let run = |words: &str| -> Answer {
        let words: Vec<&str> = ["config"].into_iter().chain(words.split(' ')).collect();
        host.hostctl(&words)
    };
    let good = |words: &str| {
        let answer = run(words);
        assert_eq!(answer.status, 0, "{words}: {answer:?}");
        answer.stdout
    };
    let bad = |words: &str, said: &[&str]| {
        let answer = run(words);
        assert!(answer.status == 1 && said.iter().all(|said| answer.stderr.contains(said)), "{words}: {answer:?}");
    };
    let state = || serde_json::from_str::<Value>(&good("history --json")).unwrap();
    let next = || fs::read_to_string(host.path(NEXT_CONFIG)).unwrap();

    // A wrong file changes nothing.
    write("wrong", "hostname = 'a'\nhostnam = 'b'");
    bad("apply /tmp/wrong.toml", &["host.toml, line 2, column 1: unknown key `hostnam`", "hint: did you mean"]);
    write("engine", "engine.live-restore = true");
    bad("try /tmp/engine.toml", &["engine: expected an image with a container engine, found"]);
    bad("confirm", &["expected a configuration that is being tried, found none"]);
    bad("revert", &["expected a generation before the current one"]);
    assert!(!host.path(GENERATIONS).exists() && asked.lock().unwrap().calls.is_empty());

    write("a", "hostname = 'a'\n[[container]]\nname = 'web'\nimage = 'x'\nenv = { A = 'SECRET' }\n");
    let said = good("apply /tmp/a.toml");
    assert_eq!(said, "generation 1 is in force\nchanged: hostname, engine\ntakes effect at the next boot: engine\n");
    assert!(next().contains("SECRET"));
    assert!(!good("show").contains("SECRET") && good("show 1 --secrets").contains("SECRET"));
    write("b", "hostname = 'b'\n");
    let diff = good("diff /tmp/b.toml");
    assert!(
        diff.contains("-hostname = 'a'\n") && diff.contains("+hostname = 'b'\n") && !diff.contains("SECRET"),
        "{diff}"
    );

    // If init refuses it, the old one stays.
    asked.lock().unwrap().refuses = true;
    bad("apply /tmp/b.toml", &["the host says: no"]);
    bad("try /tmp/b.toml", &["the host says: no"]);
    asked.lock().unwrap().refuses = false;
    assert!(state()["current"] == 1 && state()["trying"].is_null(), "{}", state());

    let said = good("try /tmp/b.toml --confirm-within 1h --by me");
    assert!(said.starts_with("generation 4 is in force until it is confirmed"), "{said}");
    assert_eq!(asked.lock().unwrap().calls.last().unwrap(), &("generation 4 (not confirmed)".to_owned(), true));
    assert_eq!((state()["current"].clone(), state()["trying"]["generation"].clone()), (1.into(), 4.into()));
    bad("apply /tmp/a.toml", &["generation 4 is being tried", "hint: `hostctl config confirm` keeps it"]);
    assert!(good("show").contains("hostname = 'b'"));
    good("revert");
    assert_eq!(asked.lock().unwrap().calls.last().unwrap(), &("generation 1".to_owned(), false));
    assert!(next().contains("hostname = 'a'"));
    assert_eq!(state()["reverted"]["why"], "root has reverted it");

    good("try /tmp/b.toml");
    assert_eq!(good("confirm"), "generation 5 is kept\n");
    assert!(state()["current"] == 5 && state()["reverted"].is_null(), "{}", state());
    good("revert 1 --by me");
    assert!(next().contains("hostname = 'a'"));
    let history = good("history");
    assert!(history.ends_with("in force  reverted to 1 by me\n"), "{history}");
    bad("revert 77", &["expected one of the stored generations, found 77"]);
    let watched = host.hostctl(&["config", "watch"]);
    assert!(watched.status == 0 && watched.stdout.is_empty(), "nothing is tried: {watched:?}");
}
