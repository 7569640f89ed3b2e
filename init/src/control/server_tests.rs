use super::{super::session::tests::host, *};
use crate::timeline::now_us;
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::Duration,
};

fn server(dir: &Path) -> Server {
    let path = |name: &str| dir.join(name);
    let paths = ControlPaths {
        socket: path("sock"),
        group: Some(gid()),
        log_socket: path("logs"),
        ports: path("ports"),
        dev: dir.to_owned(),
        kernel_log: path("kmsg"),
    };
    Server::open(&paths).unwrap()
}

/// A group that the tests may give a file to.
fn gid() -> u32 {
    rustix::process::getgid().as_raw()
}

fn connect(dir: &Path) -> UnixStream {
    let client = UnixStream::connect(dir.join("sock")).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    client.set_nonblocking(false).unwrap();
    client
}

/// Lets the server work until the client has a line.
fn line(server: &mut Server, client: &UnixStream, host: &mut dyn Answers) -> String {
    let (mut reader, mut line) = (BufReader::with_capacity(1, client), String::new());
    for _ in 0..1000 {
        server.work(host, now_us());
        match reader.read_line(&mut line) {
            Ok(_) => return line,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    panic!("no complete answer: {line:?}")
}

const SERVICES: &[u8] = b"{\"id\":8,\"request\":\"services\"}\n";
const FOLLOW: &[u8] = b"{\"id\":9,\"request\":{\"logs\":{\"service\":\"x\",\"follow\":true}}}\n";

#[test]
fn clients_are_served_at_the_same_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, mut host) = (server(dir.path()), host());
    let mode = fs::metadata(dir.path().join("sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let (mut a, mut b) = (connect(dir.path()), connect(dir.path()));
    a.write_all(FOLLOW).unwrap();
    for word in ["one", "two"] {
        assert!(line(&mut server, &a, &mut host).contains(word));
    }
    b.write_all(SERVICES).unwrap();
    assert!(line(&mut server, &b, &mut host).starts_with("{\"id\":8,"));
    host.lines.push("three".into());
    assert!(line(&mut server, &a, &mut host).contains("three"));
    assert_eq!(server.clients.len(), 2);
    drop((a, b));
    server.work(&mut host, now_us());
    assert!(server.clients.is_empty());
    server.work(&mut host, now_us());
    let idle = server.clients.values().filter_map(|client| client.deadline_us(0)).next();
    assert_eq!(idle, None);
}

#[test]
fn a_client_that_closes_its_sending_side_gets_its_answers() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, mut host) = (server(dir.path()), host());
    let mut client = connect(dir.path());
    client.write_all(&SERVICES.repeat(3)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert!(line(&mut server, &client, &mut host).starts_with("{\"id\":8,"));
    }
    assert_eq!(line(&mut server, &client, &mut host), "", "end of file");
    // The request of a client that disconnects at once is still executed.
    let mut client = connect(dir.path());
    client.write_all(b"{\"id\":1,\"request\":\"reboot\"}\n").unwrap();
    drop(client);
    server.work(&mut host, now_us());
    assert!(host.ended.is_some());
}

#[test]
fn garbage_and_clients_that_do_not_read_use_limited_memory_and_others_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, mut host) = (server(dir.path()), host());
    host.lines = (0..100_000).map(|number| format!("{number:0100}")).collect();
    let mut unread = connect(dir.path());
    unread.write_all(FOLLOW).unwrap();
    let mut noisy = connect(dir.path());
    noisy.set_nonblocking(true).unwrap();
    let (garbage, mut at) = (vec![b'x'; 3 << 20], 0);
    while at < garbage.len() {
        server.work(&mut host, now_us());
        match noisy.write(&garbage[at..]) {
            Ok(count) => at += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    let mut asking = connect(dir.path());
    asking.set_nonblocking(true).unwrap();
    while asking.write(&SERVICES.repeat(100)).is_ok() {
        server.work(&mut host, now_us());
    }
    let mut good = connect(dir.path());
    good.write_all(SERVICES).unwrap();
    assert!(line(&mut server, &good, &mut host).starts_with("{\"id\":8,"));
    noisy.set_nonblocking(false).unwrap();
    noisy.write_all(b"\n{\"id\":8,\"request\":\"services\"}\n").unwrap();
    assert!(line(&mut server, &noisy, &mut host).starts_with("{\"id\":8,"));
    assert_eq!(server.clients.len(), 4);
    // The loop does not spin: the only deadlines left are those of the clients that do not read.
    for _ in 0..100 {
        server.work(&mut host, now_us());
    }
    let now = now_us();
    assert!(server.clients.values().filter_map(|client| client.deadline_us(now)).all(|deadline| deadline > now));
    server.work(&mut host, now + 31_000_000);
    assert_eq!(server.clients.len(), 2, "clients that do not read are disconnected");
    let mut rest = Vec::new();
    unread.read_to_end(&mut rest).unwrap();
    assert!(rest.len() < 2 << 20, "{}", rest.len());
}

#[test]
fn the_number_of_clients_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, mut host) = (server(dir.path()), host());
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS + 5 {
        clients.push(connect(dir.path()));
        server.work(&mut host, now_us());
    }
    assert_eq!(server.clients.len(), MAX_CLIENTS);
    drop(clients);
    server.work(&mut host, now_us());
    assert!(server.clients.is_empty());
}
