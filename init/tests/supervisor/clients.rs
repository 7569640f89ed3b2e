//! Logs that clients read, and programs that clients run.

use super::kit::{Enough, Host, NOTES_ITS_END, SLEEPS};
use berth_contract::control::LogLine;
use berth_control::ClientError;
use std::{
    fs,
    time::{Duration, Instant},
};

pub(crate) fn logs_are_kept_and_followed() {
    let script =
        "echo first; echo second >&2; while [ ! -e go ]; do sleep 0.05; done; echo third; printf open; exec sleep 1000";
    let host = Host::start(&[("talks", script, ""), ("floods", "exec yes", "required = false")]);
    host.client().wait_ready().unwrap();
    let texts = |follow: bool, until: &str| {
        let mut texts = Vec::new();
        let end = host.client().logs("talks", follow, |line: LogLine| {
            texts.push(line.text);
            if texts.last().is_some_and(|text| text == until) { Err(Enough(None)) } else { Ok(()) }
        });
        assert!(matches!(end, Ok(()) | Err(Enough(None))), "{end:?}");
        texts
    };
    host.wait_for("first lines", |_| texts(false, "").len() == 2);
    fs::write(host.path("go"), "").unwrap();
    assert_eq!(texts(true, "third"), ["first", "second", "third"]);
    // A service that prints without end must not fill the memory, or delay other clients.
    let begin = Instant::now();
    let mut lines = 0;
    host.client()
        .logs("floods", false, |_| {
            lines += 1;
            Ok::<_, ClientError>(())
        })
        .unwrap();
    assert!(lines > 1000 && begin.elapsed() < Duration::from_secs(10), "{lines} {:?}", begin.elapsed());
    let memory = fs::read_to_string(format!("/proc/{}/status", host.process.id())).unwrap();
    let line = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 32 * 1024, "{kib} KiB");
    let error = host.client().logs("nobody", false, |_| Ok::<_, ClientError>(())).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("available logs: init, kernel, floods, talks, bless, slots"));
}

pub(crate) fn hostctl_runs_for_clients() {
    let script = r#"case "$1" in
        bless) exec sleep 1000 ;;
        talk) for i in 1 2 3; do echo "line $i"; done; printf open ;;
        fail) echo before; echo warned >&2; test "$BERTH_JSON_ERRORS" && echo '{"message":"it is so","hint":"do that"}' >&2; exit 3 ;;
        flood) i=0; while [ $i -lt 3000 ]; do echo "$i 0123456789012345678901234567890123456789"; i=$((i+1)); done ;;
        stay) echo $$ > stays; trap 'echo ended > ended; exit 0' TERM; echo begun; while :; do sleep 0.05; done ;;
    esac"#;
    let host = Host::start_with(&[SLEEPS], script, |_| {});
    let run = |words: &[&str], until: &str| {
        let (mut lines, arguments) = (Vec::new(), words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let end = host.client().run(&arguments, |line: LogLine| {
            lines.push(line.text);
            if lines.last().is_some_and(|line| line == until) { Err(Enough(None)) } else { Ok(()) }
        });
        (lines, end)
    };
    let (lines, end) = run(&["talk"], "");
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(lines, ["line 1", "line 2", "line 3", "open"]);
    let (lines, end) = run(&["fail"], "");
    assert_eq!(lines, ["before"]);
    let Err(Enough(Some(error))) = end else { panic!("{end:?}") };
    assert_eq!(
        (error.to_string().as_str(), error.hint().as_deref()),
        ("the host says: warned\nit is so", Some("do that"))
    );
    assert_eq!(run(&["flood"], "").0.len(), 3000);
    // When the client disconnects, the program gets SIGTERM.
    assert_eq!(run(&["stay"], "begun").0, ["begun"]);
    host.wait_for("SIGTERM", |host| host.path("ended").exists());
}

pub(crate) fn a_new_configuration_is_taken_by_the_services_that_read_it() {
    let signalled = "trap 'cp config/signalled.json heard' HUP; echo > ready; while :; do sleep 0.05; done";
    let services = [
        ("signalled", signalled, "config = ['hostname']\nreload = 'signal'"),
        ("restarted", "cat config/restarted.json >> starts; exec sleep 1000", "config = ['health']"),
        ("once", "cat config/once.json >> runs", "config = ['hostname', 'health']\nready = 'exit'\nrestart = 'no'"),
        ("other", "echo x >> others; exec sleep 1000", ""),
    ];
    let script = "if [ \"$1 $2\" = 'config watch' ]; then echo > watched; exit; fi; [ \"$1\" = apply ] && { cat > input; exit; }; exec sleep 1000";
    let host = Host::start_with(&services, script, |_| {});
    let read = |name: &str| fs::read_to_string(host.path(name)).unwrap_or_default();
    host.client().wait_ready().unwrap();
    host.wait_for("the trap", |host| host.path("ready").exists());
    let pid = |name: &str| host.service(name).pid;
    let before = (pid("signalled"), pid("restarted"), pid("other"));
    // A service is ready as soon as its process runs.
    host.wait_for("the first starts", |_| (read("starts"), read("runs")) == ("{}".into(), "{}".into()));

    fs::write(host.path("next.toml"), "hostname = 5").unwrap();
    let error = host.client().configure("generation 1", false).unwrap_err();
    assert!(error.to_string().contains("line 1, column 12: wrong type"), "{error}");
    assert_eq!((pid("restarted"), host.client().status().unwrap().config.source), (before.1, None));

    let health = "[[health]]\nname = 'a'\nexec = ['/b']";
    fs::write(host.path("next.toml"), health).unwrap();
    let change = host.client().configure("generation 2", true).unwrap();
    assert_eq!((change.changed, change.reboot), (vec!["health".to_owned()], Vec::new()));
    let part = r#"{"health":[{"exec":["/b"],"name":"a","timeout":30}]}"#;
    host.wait_for("the new start", |_| {
        read("starts") == format!("{{}}{part}") && read("runs") == format!("{{}}{part}")
    });
    host.client().wait_ready().unwrap();
    host.wait_for("the watch", |host| host.path("watched").exists());
    let status = host.client().status().unwrap();
    assert_eq!((status.config.source.as_deref(), status.problems), (Some("generation 2"), Vec::new()));
    assert_eq!((pid("signalled"), pid("other"), read("heard")), (before.0, before.2, String::new()));
    assert_ne!(pid("restarted"), before.1);
    // The restart was planned: it is no failure, and the next start has no delay.
    assert_eq!(host.service("restarted").last_exit, None);

    // A program of a client gets a text on its standard input, larger than a pipe.
    let text = "x".repeat(300_000);
    host.client().run_with(&["apply".to_owned()], Some(text.clone()), |_| Ok::<_, ClientError>(())).unwrap();
    assert!(read("input") == text);
}

pub(crate) fn a_service_is_restarted_for_a_client() {
    let host = Host::start(&[("a", NOTES_ITS_END, ""), ("job", "echo ran >> runs", "ready = 'exit'\nrestart = 'no'")]);
    host.client().wait_ready().unwrap();
    let before = host.service("a");
    host.wait_for("the first start", |host| host.path("up").exists());
    host.client().restart("a").unwrap();
    host.client().restart("job").unwrap();
    host.wait_for("another process", |host| host.service("a").pid.is_some_and(|pid| Some(pid) != before.pid));
    assert_eq!(fs::read_to_string(host.path("ends")).unwrap(), "a\n", "it was asked to end");
    host.wait_for("another run", |host| fs::read_to_string(host.path("runs")).unwrap() == "ran\nran\n");
    assert_eq!(host.service("a").restarts, before.restarts + 1);
    let unknown = host.client().restart("none").unwrap_err();
    assert_eq!(unknown.to_string(), "the host says: no service has the name \"none\"");
    assert!(unknown.hint().unwrap().contains("hostctl services"));
}
