//! A host in a folder: a fake init, settings, and the program logd.

use berth_contract::control::{Body, Call, Frame, LogRecord, Request};
use berth_formats::log_segment::{Event, LogReader, Position};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

pub(crate) const BOOT: &str = "0123456789abcdef0123456789abcdef";
/// Limit of every wait.
const PATIENCE: Duration = Duration::from_secs(90);

/// The lines that init has.
#[derive(Default)]
struct Lines {
    all: Mutex<Vec<LogRecord>>,
    more: Condvar,
}

pub(crate) struct Host {
    pub(crate) root: tempfile::TempDir,
    lines: Arc<Lines>,
    logd: Option<Child>,
    namespace: Option<String>,
}

impl Host {
    /// `forward` is the JSON list of receivers.
    pub(crate) fn new(forward: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["run/berth/config", "run/logd", "var/log/berth", "proc/sys/kernel/random"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("proc/sys/kernel/random/boot_id"), format!("{BOOT}\n")).unwrap();
        fs::write(
            at("run/berth/config/logd.json"),
            format!("{{\"log\":{{\"max_size\":\"16MiB\",\"forward\":{forward}}}}}"),
        )
        .unwrap();
        let lines = Arc::<Lines>::default();
        let (listener, of_init) = (UnixListener::bind(at("run/berth/logs.sock")).unwrap(), lines.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lines = of_init.clone();
                thread::spawn(move || serve(&stream, &lines));
            }
        });
        Self { root, lines, logd: None, namespace: None }
    }

    /// logd runs in this network namespace.
    pub(crate) fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    pub(crate) fn start(&mut self) {
        let program = env!("CARGO_BIN_EXE_logd");
        let mut command = match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, program]);
                command
            }
        };
        let errors = fs::File::options().create(true).append(true).open(self.root.path().join("stderr")).unwrap();
        self.logd =
            Some(command.arg("--root").arg(self.root.path()).stdin(Stdio::null()).stderr(errors).spawn().unwrap());
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.logd.as_ref().unwrap().id()).unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut logd = self.logd.take().unwrap();
        logd.kill().unwrap();
        logd.wait().unwrap();
    }

    /// SIGTERM, as init sends it.
    pub(crate) fn stop(&mut self) {
        let mut logd = self.logd.take().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&logd), rustix::process::Signal::TERM).unwrap();
        assert!(logd.wait().unwrap().success(), "{}", self.said());
    }

    /// init gets a line. Its number is that of the last line of the log plus one.
    pub(crate) fn say(&self, log: &str, level: u8, text: &str) {
        let mut all = self.lines.all.lock().unwrap();
        let number = all.iter().rev().find(|line| line.log == log).map_or(0, |last| last.number + 1);
        let at_us = u64::try_from(berth_logd::clock::now_us()).unwrap();
        all.push(LogRecord { log: log.to_owned(), number, level, at_us, text: text.to_owned() });
        self.lines.more.notify_all();
    }

    /// Many lines.
    pub(crate) fn chat(&self, log: &str, texts: impl Iterator<Item = String>) {
        let mut all = self.lines.all.lock().unwrap();
        let first = all.iter().rev().find(|line| line.log == log).map_or(0, |last| last.number + 1);
        let at_us = u64::try_from(berth_logd::clock::now_us()).unwrap();
        let record = |(text, number)| LogRecord { log: log.to_owned(), number, level: 6, at_us, text };
        all.extend(texts.zip(first..).map(record));
        self.lines.more.notify_all();
    }

    /// The messages of logd.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.root.path().join("stderr")).unwrap()
    }

    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        ["var/log/berth/system", "run/logd/system"].map(|path| self.root.path().join(path)).to_vec()
    }

    /// Numbers and texts of the stored lines of one log.
    pub(crate) fn stored(&self, log: &str) -> Vec<(u64, String)> {
        let mut reader = LogReader::new(self.folders(), Position::default());
        let mut found = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            if let Event::Line(_, line) = event
                && line.log == log
            {
                found.push((line.number, line.text.to_owned()));
            }
        }
        found
    }

    /// Resident memory of logd in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(logd) = &mut self.logd {
            let _ = logd.kill();
            let _ = logd.wait();
        }
        if thread::panicking() {
            let said = self.said();
            let _ = writeln!(std::io::stderr(), "logd said:\n{said}");
        }
    }
}

/// The part of init that answers `all-logs`.
fn serve(stream: &UnixStream, lines: &Lines) {
    let mut text = String::new();
    BufReader::new(stream).read_line(&mut text).unwrap();
    let call: Call = serde_json::from_str(&text).unwrap();
    let Request::AllLogs { from, .. } = call.request else { panic!("{text}") };
    let mut sent = 0;
    loop {
        let mut all = lines.all.lock().unwrap();
        while all.len() == sent {
            all = lines.more.wait(all).unwrap();
        }
        let more: Vec<LogRecord> = all[sent..].to_vec();
        sent = all.len();
        drop(all);
        let mut bytes = Vec::new();
        for record in more.into_iter().filter(|line| line.number >= from.get(&line.log).copied().unwrap_or(0)) {
            bytes.extend(serde_json::to_vec(&Frame { id: call.id, body: Body::Record(record) }).unwrap());
            bytes.push(b'\n');
        }
        if (&mut &*stream).write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Waits until `check` returns a value.
pub(crate) fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not in time");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A program that is ended with the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
