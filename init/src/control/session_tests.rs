use super::*;
use berth_contract::{
    boot_report::{PhaseStamp, Stage},
    control::{BootReport, ConfigChange, LogRecord, Problem, ServiceState, ServiceStatus, StatusReport},
};
use std::{cell::Cell, path::Path};

/// A host with answers that the test sets.
pub(in crate::control) struct FakeHost {
    pub(in crate::control) readiness: Readiness,
    /// Lines of service `x`. The first line has number 100.
    pub(in crate::control) lines: Vec<String>,
    pub(in crate::control) ended: Option<Ending>,
    /// Services that clients have restarted.
    pub(in crate::control) restarted: Vec<String>,
    pub(in crate::control) limit: Option<u64>,
    pub(in crate::control) asked: Cell<usize>,
    /// Arguments of the programs that were started.
    pub(in crate::control) programs: Vec<Vec<String>>,
    /// Standard input of the program that was started last.
    pub(in crate::control) input: Option<String>,
    /// How the programs end. `None` while they run.
    pub(in crate::control) end_of_programs: Option<Result<(), ControlError>>,
    /// The handle of the program that was started last.
    pub(in crate::control) held: Option<Started>,
}

pub(in crate::control) fn host() -> FakeHost {
    FakeHost {
        readiness: Readiness::Booting,
        lines: vec!["one".into(), "two".into()],
        ended: None,
        restarted: Vec::new(),
        limit: None,
        asked: Cell::new(0),
        programs: Vec::new(),
        input: None,
        end_of_programs: None,
        held: None,
    }
}

const FIRST: u64 = 100;

impl Answers for FakeHost {
    fn status(&self) -> StatusReport {
        unreachable!("built by the supervisor's own tests")
    }
    fn boot(&self) -> BootReport {
        let stamp = PhaseStamp { name: "p".into(), stage: Stage::Host, start_us: 1, end_us: None, error: None };
        BootReport { phases: vec![stamp; 100], ready_us: None, engine_us: None }
    }
    fn services(&self) -> Vec<ServiceStatus> {
        self.asked.set(self.asked.get() + 1);
        let (name, state) = ("x".to_owned(), ServiceState::Ready);
        vec![ServiceStatus { name, state, required: true, pid: None, restarts: 0, last_exit: None, since_us: 0 }]
    }
    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }
    fn log_names(&self) -> Vec<String> {
        vec!["x".into()]
    }
    fn log(&self, name: &LogName, from: u64, limit: usize) -> (Vec<LogLine>, u64) {
        if *name == LogName::Init {
            return (Vec::new(), from);
        }
        assert!(*name == LogName::Service("x".into()) || *name == LogName::Program(77));
        let from = from.max(FIRST);
        let skip = usize::try_from(from - FIRST).unwrap();
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for text in self.lines.iter().skip(skip) {
            if bytes >= limit {
                break;
            }
            bytes += text.len();
            lines.push(LogLine { at_us: 7, text: text.clone() });
        }
        let next = from + lines.len() as u64;
        (lines, next)
    }
    fn configure(&mut self, place: &str, watch: bool) -> Result<ConfigChange, String> {
        let change = ConfigChange { changed: vec![place.to_owned()], ..ConfigChange::default() };
        if watch { Ok(change) } else { Err("line 1".to_owned()) }
    }
    fn start_hostctl(&mut self, arguments: &[String], input: Option<&str>) -> Result<Started, String> {
        self.input = input.map(str::to_owned);
        self.programs.push(arguments.to_vec());
        let started = Started::new(77);
        self.held = Some(started.clone());
        if arguments.is_empty() { Err("cannot start it".into()) } else { Ok(started) }
    }
    fn end_of(&self, _: &Started) -> Option<Result<(), ControlError>> {
        self.end_of_programs.clone()
    }
    fn restart(&mut self, service: &str) -> Result<(), String> {
        self.restarted.push(service.to_owned());
        if service == "x" { Ok(()) } else { Err("no such service".into()) }
    }
    fn end(&mut self, ending: Ending, limit: Option<u64>) -> Result<(), String> {
        if self.ended.is_some_and(|ended| ended != ending) {
            return Err("going down already".into());
        }
        (self.ended, self.limit) = (Some(ending), limit);
        Ok(())
    }
}

fn session() -> Session {
    Session::new(Path::new("/no/kmsg").to_owned(), Access::All)
}

/// Lets the session work until it has no more output. Returns the parsed frames.
fn talk(session: &mut Session, host: &mut FakeHost, text: &[u8]) -> Vec<Frame> {
    session.receive(text);
    let mut sent = Vec::new();
    loop {
        let again = session.work(host);
        assert!(session.output().len() < QUEUE_FULL + 32 * 1024, "the queue has a limit");
        let taken = session.output().len();
        sent.extend_from_slice(session.output());
        session.sent(taken);
        if !again && taken == 0 {
            break;
        }
    }
    sent.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn message(frame: &Frame) -> &str {
    match &frame.body {
        Body::Error(error) => &error.message,
        other => panic!("no error: {other:?}"),
    }
}

fn texts(frames: &[Frame]) -> Vec<&str> {
    frames
        .iter()
        .filter_map(|frame| if let Body::Line(line) = &frame.body { Some(line.text.as_str()) } else { None })
        .collect()
}

#[test]
fn each_call_gets_one_last_frame_with_its_id() {
    let (mut session, mut host) = (session(), host());
    let frames =
        talk(&mut session, &mut host, b"{\"id\":5,\"request\":\"services\"}\n\n {\"id\":6,\"request\":\"boot\"}\r\n");
    assert_eq!(frames.iter().map(|frame| frame.id).collect::<Vec<_>>(), [5, 6]);
    assert!(
        matches!(&frames[0].body, Body::Reply(reply) if matches!(&**reply, Reply::Services(list) if list.len() == 1))
    );
    let frames = talk(&mut session, &mut host, br#"{"id":7,"request":{"logs":{"service":"x","follow":false}}}"#);
    assert!(frames.is_empty(), "an incomplete line is not a request");
    let frames = talk(&mut session, &mut host, b"\n");
    assert_eq!(texts(&frames), ["one", "two"]);
    assert_eq!(frames[2], Frame { id: 7, body: Body::End });
    assert!(!session.is_busy());
}

#[test]
fn invalid_requests_are_ignored_or_answered_with_an_error_and_never_end_the_session() {
    let (mut session, mut host) = (session(), host());
    for (text, answer) in [
        (&b"hello\n"[..], None),
        (b"\xff\xfe\x00\n", None),
        (b"[1,2]\n{}\n\"x\"\n{\"id\":\"a\"}\n{\"id\":-1,\"request\":\"status\"}\n", None),
        (b"{\"id\":1,\"request\":\"format-disk\"}\n", Some("request not understood: unknown variant `format-disk`")),
        (b"{\"id\":1}\n", Some("request not understood: missing field `request`")),
        (b"{\"id\":1,\"request\":{\"logs\":{}}}\n", Some("request not understood: missing field")),
        (
            b"{\"id\":1,\"request\":{\"logs\":{\"service\":\"y\",\"follow\":true}}}\n",
            Some("no service has the name \"y\""),
        ),
        (b"{\"id\":1,\"request\":{\"logs\":{\"service\":\"kernel\",\"follow\":true}}}\n", Some("cannot open /no/kmsg")),
        (b"{\"id\":1,\"request\":{\"cancel\":{\"call\":9}}}\n", Some("call 9 is not running")),
    ] {
        let frames = talk(&mut session, &mut host, text);
        match answer {
            None => assert_eq!(frames, []),
            Some(words) => assert!(frames.len() == 1 && message(&frames[0]).starts_with(words), "{frames:?}"),
        }
    }
    // A line beyond the limit is skipped, and the next line is parsed.
    for _ in 0..(MAX_LINE / 4096 + 10) {
        assert!(session.wants_input());
        assert_eq!(talk(&mut session, &mut host, &[b'{'; 4096]), []);
    }
    let frames = talk(&mut session, &mut host, b"\n{\"id\":2,\"request\":\"services\"}\n");
    assert_eq!(frames.len(), 1);
    // Deep nesting must not exhaust the stack.
    assert_eq!(talk(&mut session, &mut host, &[&[b'['; 500_000][..], b"\n"].concat()), []);
}

#[test]
fn no_further_requests_are_read_from_a_client_that_does_not_read() {
    let (mut session, mut host) = (session(), host());
    let mut taken = 0;
    while session.wants_input() {
        session.receive(&b"{\"id\":1,\"request\":\"services\"}\n".repeat(100));
        taken += 100;
        while session.work(&mut host) {}
        assert!(taken < 1_000_000);
    }
    assert!(host.asked.get() < 1000, "{}", host.asked.get());
    assert!(session.output().len() < QUEUE_FULL + 1024);
    // When the client reads again, every request is answered.
    assert_eq!(talk(&mut session, &mut host, b"").len(), taken);
}

#[test]
fn a_followed_log_sends_new_lines_until_it_is_cancelled() {
    let (mut session, mut host) = (session(), host());
    let follow = b"{\"id\":3,\"request\":{\"logs\":{\"service\":\"x\",\"follow\":true}}}\n";
    assert_eq!(texts(&talk(&mut session, &mut host, follow)), ["one", "two"]);
    host.lines.push("three".into());
    assert_eq!(texts(&talk(&mut session, &mut host, b"")), ["three"]);
    // Many more lines than fit in the queue are sent completely and in order.
    host.lines.extend((0..5000).map(|number| format!("{number:0100}")));
    let frames = talk(&mut session, &mut host, b"");
    assert_eq!(texts(&frames), host.lines[3..]);
    assert!(session.is_busy());
    let frames = talk(&mut session, &mut host, b"{\"id\":4,\"request\":{\"cancel\":{\"call\":3}}}\n");
    assert_eq!(frames, [Frame { id: 3, body: Body::End }, Frame { id: 4, body: Body::End }]);
    host.lines.push("after the cancel".into());
    assert_eq!(talk(&mut session, &mut host, b""), []);
}

#[test]
fn missing_lines_are_reported() {
    struct Gap;
    impl Answers for Gap {
        fn status(&self) -> StatusReport {
            unreachable!()
        }
        fn boot(&self) -> BootReport {
            unreachable!()
        }
        fn services(&self) -> Vec<ServiceStatus> {
            unreachable!()
        }
        fn readiness(&self) -> Readiness {
            unreachable!()
        }
        fn log_names(&self) -> Vec<String> {
            vec!["x".into()]
        }
        fn log(&self, _: &LogName, from: u64, _: usize) -> (Vec<LogLine>, u64) {
            match from {
                0 => (vec![LogLine { at_us: 1, text: "first".into() }], 1),
                1 => (vec![LogLine { at_us: 2, text: "later".into() }], 11),
                _ => (Vec::new(), from),
            }
        }
        fn configure(&mut self, _: &str, _: bool) -> Result<ConfigChange, String> {
            unreachable!()
        }
        fn start_hostctl(&mut self, _: &[String], _: Option<&str>) -> Result<Started, String> {
            unreachable!()
        }
        fn end_of(&self, _: &Started) -> Option<Result<(), ControlError>> {
            unreachable!()
        }
        fn restart(&mut self, _: &str) -> Result<(), String> {
            unreachable!()
        }
        fn end(&mut self, _: Ending, _: Option<u64>) -> Result<(), String> {
            unreachable!()
        }
    }
    let mut session = session();
    session.receive(b"{\"id\":3,\"request\":{\"logs\":{\"service\":\"x\",\"follow\":false}}}\n");
    session.work(&mut Gap);
    let text = String::from_utf8(session.output().to_vec()).unwrap();
    assert!(text.contains("[9 lines are missing here"), "{text}");
}

#[test]
fn wait_ready_ends_when_the_host_is_no_longer_booting() {
    let problem = |text: &str| Problem::ServiceFile { error: text.to_owned() };
    for (readiness, expected) in [
        (Readiness::Running, None),
        (Readiness::Degraded(vec![problem("a"), problem("b")]), Some("the host is degraded: a; b")),
        (Readiness::Stopping, Some("the host is going down")),
    ] {
        let (mut session, mut host) = (session(), host());
        assert_eq!(talk(&mut session, &mut host, b"{\"id\":1,\"request\":\"wait-ready\"}\n"), []);
        host.readiness = readiness;
        let frames = talk(&mut session, &mut host, b"");
        match expected {
            None => assert_eq!(frames, [Frame { id: 1, body: Body::End }]),
            Some(words) => assert_eq!(message(&frames[0]), words),
        }
        assert!(!session.is_busy());
    }
}

#[test]
fn a_reused_id_ends_the_older_call_and_the_number_of_calls_is_limited() {
    let (mut session, mut host) = (session(), host());
    talk(&mut session, &mut host, b"{\"id\":1,\"request\":\"wait-ready\"}\n");
    assert_eq!(talk(&mut session, &mut host, b"{\"id\":1,\"request\":\"services\"}\n").len(), 1);
    assert!(!session.is_busy(), "the first call with this id has ended");
    for id in 0..=MAX_CALLS {
        let frames = talk(&mut session, &mut host, format!("{{\"id\":{id},\"request\":\"wait-ready\"}}\n").as_bytes());
        assert_eq!(frames.is_empty(), id < MAX_CALLS);
    }
}

#[test]
fn reboot_is_answered_and_a_later_poweroff_is_refused() {
    let (mut session, mut host) = (session(), host());
    let end = |id: u64| Frame { id, body: Body::End };
    assert_eq!(talk(&mut session, &mut host, b"{\"id\":1,\"request\":\"reboot\"}\n"), [end(1)]);
    assert_eq!(talk(&mut session, &mut host, b"{\"id\":2,\"request\":\"reboot\"}\n"), [end(2)]);
    assert_eq!(host.limit, None);
    let within = b"{\"id\":4,\"request\":{\"reboot-within\":{\"seconds\":30}}}\n";
    assert_eq!((talk(&mut session, &mut host, within), host.limit), (vec![end(4)], Some(30)));
    let frames = talk(&mut session, &mut host, b"{\"id\":3,\"request\":\"poweroff\"}\n");
    assert_eq!((message(&frames[0]), host.ended), ("going down already", Some(Ending::Reboot)));
}

#[test]
fn a_service_is_restarted_and_a_line_is_printed_for_a_client() {
    let (mut session, mut host) = (session(), host());
    let restart =
        |id: u64, name: &str| format!("{{\"id\":{id},\"request\":{{\"restart\":{{\"service\":\"{name}\"}}}}}}\n");
    let frames = talk(&mut session, &mut host, (restart(1, "x") + &restart(2, "y")).as_bytes());
    assert_eq!(frames[0], Frame { id: 1, body: Body::End });
    assert_eq!((message(&frames[1]), host.restarted.join(" ").as_str()), ("no such service", "x y"));
    let long = "y".repeat(1000);
    let say = format!("{{\"id\":3,\"request\":{{\"announce\":{{\"text\":\"code \\u001b[2J{long}\"}}}}}}\n");
    assert_eq!(talk(&mut session, &mut host, say.as_bytes()), [Frame { id: 3, body: Body::End }]);
    let (lines, _) = crate::console::history(0);
    let said = lines.iter().rfind(|line| line.text.contains("code ")).map(|line| line.text.clone()).unwrap();
    assert!(!said.contains('\u{1b}') && said.chars().filter(|&c| c == 'y').count() < 300, "{said}");
}

/// A client's request to run `hostctl why`.
const RUN: &[u8] = b"{\"id\":1,\"request\":{\"run\":{\"arguments\":[\"why\"]}}}\n";

#[test]
fn the_output_of_a_command_is_sent_before_its_end() {
    let error = |message: &str, hint: Option<&str>| {
        Err(ControlError { message: message.to_owned(), hint: hint.map(str::to_owned), code: None })
    };
    for (end, last) in [
        (Ok(()), Body::End),
        (error("no release", Some("hostctl status")), failed("no release".to_owned(), Some("hostctl status"))),
        (error("killed", None), failed("killed".to_owned(), None)),
    ] {
        let (mut session, mut host) = (session(), host());
        assert_eq!(texts(&talk(&mut session, &mut host, RUN)), ["one", "two"]);
        assert_eq!(host.programs, [["why"]]);
        host.lines.push("three".into());
        host.end_of_programs = Some(end);
        let frames = talk(&mut session, &mut host, b"");
        assert_eq!(texts(&frames), ["three"]);
        assert_eq!(frames[1..], [Frame { id: 1, body: last }]);
        assert!(!session.is_busy());
    }
}

#[test]
fn a_client_has_one_command_which_ends_when_it_is_cancelled_or_the_client_leaves() {
    let held = |host: &FakeHost| host.held.as_ref().is_some_and(Started::is_held);
    let (mut session, mut host) = (session(), host());
    talk(&mut session, &mut host, RUN);
    let second = RUN.iter().map(|&byte| if byte == b'1' { b'2' } else { byte }).collect::<Vec<u8>>();
    let frames = talk(&mut session, &mut host, &second);
    assert_eq!(message(&frames[0]), "a command of this client is running already");
    assert!(held(&host) && host.programs.len() == 1);
    let frames = talk(&mut session, &mut host, b"{\"id\":3,\"request\":{\"cancel\":{\"call\":1}}}\n");
    assert_eq!(frames, [Frame { id: 1, body: Body::End }, Frame { id: 3, body: Body::End }]);
    assert!(!held(&host));
    talk(&mut session, &mut host, RUN);
    assert!(held(&host));
    session.restart();
    assert!(!held(&host), "a new client of the serial line ends the command");
    let frames = talk(&mut session, &mut host, b"{\"id\":4,\"request\":{\"run\":{\"arguments\":[]}}}\n");
    assert_eq!(message(&frames[0]), "cannot start it");
}

#[test]
fn all_logs_are_one_stream_that_continues_at_the_numbers_of_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = dir.path().join("kmsg");
    // A file gives all records at once, and /dev/kmsg one after the other: one record is enough here.
    std::fs::write(&kernel, "3,40,9,-;it is on fire\n").unwrap();
    let (mut session, mut host) = (Session::new(kernel, Access::Logs), host());
    let follow = b"{\"id\":3,\"request\":{\"all-logs\":{\"from\":{\"x\":101},\"follow\":true}}}\n";
    let frames = talk(&mut session, &mut host, follow);
    let record = |log: &str, number, level, at_us, text: &str| {
        let record = LogRecord { log: log.to_owned(), number, level, at_us, text: text.to_owned() };
        Frame { id: 3, body: Body::Record(record) }
    };
    assert_eq!(frames, [record("kernel", 40, 3, 9, "it is on fire"), record("x", 101, 6, 7, "two")]);
    host.lines.push("three".into());
    assert_eq!(talk(&mut session, &mut host, b""), [record("x", 102, 6, 7, "three")]);
    let frames = talk(&mut session, &mut host, b"{\"id\":4,\"request\":\"poweroff\"}\n");
    assert_eq!((message(&frames[0]), host.ended), ("this socket is for logs only", None));
}
