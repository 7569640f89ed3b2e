//! Clients that mean harm: all are refused, hostd lives, and uses little memory.

use crate::kit::{
    Host,
    client::Client,
    pki::{Certificate, Pki},
};
use berth_judge::needs;
use serde_json::json;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Why a client with this certificate gets no answer.
fn refusal(host: &Host, certificate: Option<&Certificate>) -> io::Error {
    match Client::connect(host.address, &host.pki, certificate) {
        Err(error) => error,
        Ok(mut client) => client.try_ask("GET", "/v1/status", "").unwrap_err(),
    }
}

#[test]
fn a_client_without_a_good_certificate_gets_no_answer() {
    let mut host = Host::start(json!({}));
    let (stranger, impostor) = (Pki::new("a stranger"), Pki::new("the authority"));
    let good = |years, serial| host.pki.client_of("ann", &["admin"], years, serial);
    let (expired, early) = (good((2001, 2002), 5), good((3000, 3001), 6));
    let (listed, revoked) = (good((2000, 4000), 0xab_cdef), good((2000, 4000), 77));
    host.configure(json!({ "revoked": ["00:AB:CD:EF"], "crl": host.pki.crl(77) }));
    for (certificate, alert) in [
        (None, "CertificateRequired"),
        (Some(stranger.client("ann", &["admin"])), "UnknownCA"),
        (Some(impostor.client("ann", &["admin"])), "DecryptError"),
        (Some(expired), "CertificateExpired"),
        (Some(early), "CertificateExpired"),
        (Some(listed), "CertificateRevoked"),
        (Some(revoked), "CertificateRevoked"),
        (Some(host.pki.no_client()), "UnsupportedCertificate"),
    ] {
        let error = refusal(&host, certificate.as_ref()).to_string();
        assert!(error.contains(alert) || error.contains("CertificateUnknown"), "expected {alert}, found {error}");
        assert!(
            !error.contains("CertificateUnknown") || ["CertificateExpired", "UnsupportedCertificate"].contains(&alert)
        );
    }
    assert!(host.log().contains("refused 127.0.0.1: "), "{}", host.log());
    host.is_well();
}

#[test]
fn old_versions_of_tls_are_refused() {
    needs!("openssl");
    let mut host = Host::start(json!({}));
    let (cert, key) = (host.path("client.pem"), host.path("client.key"));
    std::fs::write(&cert, &host.admin.chain).unwrap();
    std::fs::write(&key, &host.admin.key).unwrap();
    for (version, works) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", false), ("-tls1_3", true)] {
        let mut client = Command::new("openssl");
        client.args([
            "s_client",
            "-brief",
            "-cipher",
            "ALL:@SECLEVEL=0",
            version,
            "-connect",
            &host.address.to_string(),
        ]);
        client.arg("-cert").arg(&cert).arg("-key").arg(&key).stdin(Stdio::null());
        let said = client.output().unwrap();
        assert_eq!(said.status.success(), works, "{version}: {}", String::from_utf8_lossy(&said.stderr));
    }
    host.is_well();
}

/// Reads until the server closes the connection. Returns what it has sent, and the time it took.
fn until_closed(mut stream: impl Read) -> (Vec<u8>, Duration) {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    (bytes, begin.elapsed())
}

#[test]
fn slow_clients_are_disconnected() {
    let mut host = Host::start(json!({}));
    let connect = || {
        let client = host.connect(&host.admin);
        client.0.get_ref().sock.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client
    };
    let silent = TcpStream::connect(host.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (idle, mut head, mut body) = (connect(), connect(), connect());
    head.send("GET /v1/status HTTP/1.1\r\nHost: ").unwrap();
    body.send("POST /v1/rollback HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    let said: Vec<(Vec<u8>, Duration)> = thread::scope(|scope| {
        let silent = scope.spawn(|| until_closed(silent));
        let others = [idle, head].map(|client| scope.spawn(|| until_closed(client.0)));
        let body = scope.spawn(move || {
            let begin = Instant::now();
            let answer = body.answer().map_or(0, |answer| answer.status);
            (answer.to_string().into_bytes(), begin.elapsed())
        });
        [silent].into_iter().chain(others).chain([body]).map(|one| one.join().unwrap()).collect()
    });
    for (bytes, took) in &said[..3] {
        let text = String::from_utf8_lossy(bytes);
        assert!(*took < Duration::from_secs(40), "{took:?}");
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    }
    assert_eq!(said[3].0, b"408", "{:?}", said[3].1);
    host.is_well();
}

#[test]
fn endless_requests_are_cut_off() {
    let mut host = Host::start(json!({}));
    // A gibibyte of header fields, in one line and in many.
    for field in ["x".repeat(64 << 10), "a: b\r\n".repeat(10_000)] {
        let mut client = host.connect(&host.admin);
        client.send("GET /v1/status HTTP/1.1\r\nHost: x\r\na: ").unwrap();
        let sent = (0..16_384).take_while(|_| client.send(&field).is_ok()).count();
        assert!(sent < 1000, "{sent}");
    }
    // A body that never ends, with and without a length.
    let mut client = host.connect(&host.admin);
    client.send("POST /v1/rollback HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let sent = (0..16_384).take_while(|_| client.send(&chunk).is_ok()).count();
    assert!(sent < 1000, "{sent}");
    let mut client = host.connect(&host.admin);
    client
        .send("POST /v1/rollback HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000000000\r\n\r\n")
        .unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (413, Some("expected a body of 1048576 bytes at most, found more"))
    );
    // A body for a request that takes none is not read.
    let mut client = host.connect(&host.reader);
    client.send("GET /v1/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let _ = (0..16_384).take_while(|_| client.send(&chunk).is_ok()).count();
    host.is_well();
}

#[test]
fn garbage_is_refused() {
    let mut host = Host::start(json!({}));
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 70_000], &[22, 3, 1, 0xff, 0xff], b""] {
        let mut stream = TcpStream::connect(host.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let (said, _) = until_closed(stream);
        assert!(said.len() < 100, "{said:?}");
    }
    for garbage in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v1/status HTTP/9.9\r\n\r\n",
        "\0\u{1}\u{2}\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/reboot",
    ] {
        let mut client = host.connect(&host.admin);
        let _ = client.send(garbage);
        client.0.get_mut().sock.shutdown(std::net::Shutdown::Write).unwrap();
        until_closed(client.0);
    }
    assert_eq!(host.init.changes(), [] as [String; 0]);
    host.is_well();
}
