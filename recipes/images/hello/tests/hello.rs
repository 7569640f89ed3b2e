//! Each verb as a container runs it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
};

fn hello(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hello")).args(args).output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = hello(args);
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_says_where_it_runs() {
    let greeting = text(&[]);
    assert!(greeting.starts_with("Hello from Berth.\nhostname: "), "{greeting}");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(greeting.contains(&format!("kernel: {kernel}pid: ")), "{greeting}");
    assert!(text(&["net"]).lines().any(|name| name == "lo"));
    assert!(text(&["limits"]).contains("cpu.max: "));
    assert_eq!(text(&["sleep", "0"]), "");
}

#[test]
fn what_is_written_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/file");
    let path = path.to_str().unwrap();
    assert_eq!(text(&["write", path, "kept"]), "");
    assert_eq!(text(&["cat", path]), "kept");
    let missing = hello(&["cat", "/none"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read /none: No such file"));
    for wrong in [&["dance"][..], &["cat"], &["serve"]] {
        assert_eq!(hello(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(file: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hello"))
            .args(["serve", "0", file])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on 0.0.0.0").unwrap();
        Self { child, address: format!("127.0.0.1{address}") }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn it_answers_http_until_it_is_told_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "from the volume\n").unwrap();
    let mut server = Server::start(file.to_str().unwrap());
    // A client that says nothing keeps nobody else waiting.
    let _silent = TcpStream::connect(&server.address).unwrap();
    let url = format!("http://{}/anything", server.address);
    let curl =
        Command::new("curl").args(["-sSf", "--noproxy", "*", &url]).output().expect("curl is missing: run ci/setup");
    let body = String::from_utf8(curl.stdout).unwrap();
    assert!(body.starts_with("Hello from Berth.\n") && body.ends_with("from the volume\n"), "{body}");
    assert!(server.ask("GET /net HTTP/1.1\r\n\r\n").lines().any(|line| line == "lo"));
    assert!(server.ask("GET /limits HTTP/1.0\r\n\r\n").contains("memory.max: "));
    assert!(server.ask("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert_eq!(server.ask(&format!("GET /{} HTTP/1.1", "x".repeat(10_000))), "");
    fs::remove_file(&file).unwrap();
    assert!(server.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 500 "));

    Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    // Status 0 and not "killed by signal 15": it has a handler, so it ends as PID 1 too.
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}
