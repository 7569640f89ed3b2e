//! `hostctl --host` and `hostctl host`, with a host that is a thread: TLS with certificates on both sides, and the control protocol.

use berth_contract::control::{Body, Call, Frame};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Output},
    sync::Arc,
    thread,
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = params(name, &[], (2000, 4000));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Certificate and key as PEM.
    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose, years: (i32, i32)) -> (String, String) {
        let mut params = params(name, &[name.to_owned()], years);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn params(name: &str, names: &[String], (from, to): (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(names.to_vec()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params
}

/// A host that accepts clients of an authority. It refuses those that ask for the path of the engine.
fn host(clients: &Authority, (cert, key): &(String, String)) -> SocketAddr {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(clients.0.pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            thread::spawn(move || serve(BufReader::new(StreamOwned::new(tls, tcp))));
        }
    });
    address
}

/// Serves one connection, until an error: that of a client that goes, or is refused.
fn serve(mut stream: BufReader<StreamOwned<ServerConnection, std::net::TcpStream>>) -> Option<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (stream.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    if !head.starts_with("GET /v1/control ") || !head.contains("Upgrade: berth-control\r\n") {
        let error = r#"{"message":"this request needs the role admin","hint":"use another certificate"}"#;
        let answer = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{error}", error.len());
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
        return stream.get_mut().flush().ok();
    }
    stream.get_mut().write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: berth-control\r\n\r\n").ok()?;
    loop {
        let mut line = String::new();
        (stream.read_line(&mut line).ok()? > 0).then_some(())?;
        let Ok(Call { id, request }) = serde_json::from_str(&line) else { continue };
        let body = match format!("{request:?}").as_str() {
            "Services" => serde_json::from_str(r#"{"reply":{"services":[]}}"#).unwrap(),
            "Status" => super::verbs::status(berth_contract::control::HostState::Running),
            _ => Body::End,
        };
        let frame = serde_json::to_string(&Frame { id, body }).unwrap();
        writeln!(stream.get_mut(), "{frame}").ok()?;
        stream.get_mut().flush().ok()?;
    }
}

/// Runs hostctl with a home of its own.
fn hostctl(home: &Path, words: &[&str]) -> Output {
    let mut hostctl = Command::new(env!("CARGO_BIN_EXE_hostctl"));
    hostctl.args(words).env("HOME", home).env_remove("XDG_CONFIG_HOME").current_dir(home).output().unwrap()
}

fn good(home: &Path, words: &[&str]) -> String {
    let output = hostctl(home, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn error(home: &Path, words: &[&str]) -> String {
    let output = hostctl(home, words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn put(home: &Path, name: &str, (cert, key): &(String, String)) {
    fs::write(home.join(format!("{name}.pem")), cert).unwrap();
    fs::write(home.join(format!("{name}.key")), key).unwrap();
}

#[test]
fn a_host_is_added_by_its_authority_or_fingerprint_and_all_verbs_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let ca = Authority::new("ours");
    let server = ca.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth, (2000, 4000));
    put(home, "ann", &ca.sign("ann", ExtendedKeyUsagePurpose::ClientAuth, (2000, 4000)));
    fs::write(home.join("ca.pem"), ca.0.pem()).unwrap();
    let address = host(&ca, &server).to_string();
    let add = ["host", "add", "web", &address, "--cert", "ann.pem", "--key", "ann.key"];
    // Without a way to know the host, the fingerprint is shown and nothing is added.
    let said = error(home, &add);
    let fingerprint = said.split("--fingerprint ").last().unwrap().trim().to_owned();
    assert!(said.contains("Compare it with the console") && fingerprint.len() == 95, "{said}");
    assert_eq!(good(home, &["host", "list"]), "");
    assert_eq!(good(home, &[&add[..], &["--fingerprint", &fingerprint.to_lowercase()]].concat()), "h: host 1\n");
    let again = ["host", "add", "db", &address, "--cert", "ann.pem", "--key", "ann.key", "--ca", "ca.pem"];
    good(home, &again);
    assert_eq!(good(home, &["host", "list"]), format!("  db   {address}\n* web  {address}\n"));
    for words in [
        &["services"][..],
        &["--host", "web", "services"],
        &["--host", "db", "services"],
        &["services", "--host", &address],
    ] {
        assert!(good(home, words).starts_with("service"), "{words:?}");
    }
    good(home, &["--host", "db", "reboot"]);
    good(home, &["--host", "db", "wait"]);
    good(home, &["host", "use", "db"]);
    good(home, &["host", "remove", "web"]);
    assert_eq!(good(home, &["host", "list"]), format!("* db  {address}\n"));
    let unknown = error(home, &["--host", "web", "services"]);
    assert!(
        unknown.contains("no host has the name or address \"web\"; known hosts: db") && unknown.contains("hint: "),
        "{unknown}"
    );
    let refused = error(home, &["docker", "ps"]);
    assert!(
        refused.contains("this request needs the role admin") && refused.contains("use another certificate"),
        "{refused}"
    );
}

#[test]
fn refusals_of_tls_are_said_in_plain_words() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = ours.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth, (2000, 4000));
    let other_name = ours.sign("db", ExtendedKeyUsagePurpose::ServerAuth, (2000, 4000));
    let old_server = ours.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth, (2000, 2001));
    let client = ExtendedKeyUsagePurpose::ClientAuth;
    put(home, "ann", &ours.sign("ann", client.clone(), (2000, 4000)));
    put(home, "old", &ours.sign("old", client.clone(), (2000, 2001)));
    put(home, "eve", &theirs.sign("eve", client, (2000, 4000)));
    fs::write(home.join("ours.pem"), ours.0.pem()).unwrap();
    fs::write(home.join("theirs.pem"), theirs.0.pem()).unwrap();
    let address = host(&ours, &server).to_string();
    let named = host(&ours, &other_name).to_string();
    let old = host(&ours, &old_server).to_string();
    let free = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string() };
    for (address, user, identity, words) in [
        (
            &address,
            "old",
            ["--ca", "ours.pem"],
            "the certificate has expired, or is not valid yet, by the host's clock",
        ),
        (&address, "eve", ["--ca", "ours.pem"], "the host does not know the authority that signed the certificate"),
        (&address, "ann", ["--ca", "theirs.pem"], "the host's certificate is not from the expected authority"),
        (&address, "ann", ["--fingerprint", "AB:CD"], "the host's certificate has another fingerprint"),
        (&named, "ann", ["--ca", "ours.pem"], "the host's certificate is for another name or address"),
        (
            &old,
            "ann",
            ["--ca", "ours.pem"],
            "the host's certificate has expired, or is not valid yet, by this computer's clock",
        ),
        (&free, "ann", ["--ca", "ours.pem"], "cannot connect"),
    ] {
        let (cert, key) = (format!("{user}.pem"), format!("{user}.key"));
        let said =
            error(home, &[&["host", "add", "web", address, "--cert", &cert, "--key", &key], &identity[..]].concat());
        assert!(said.contains(words) && said.contains("hint: "), "{words}: {said}");
    }
    assert!(!home.join(".config").exists(), "nothing is added");
    for (key, words) in [
        ("ann.pem", "expected a private key as PEM"),
        ("eve.key", "expected a certificate and its private key"),
        ("none", "cannot read"),
    ] {
        let said =
            error(home, &["host", "add", "web", &address, "--cert", "ann.pem", "--key", key, "--ca", "ours.pem"]);
        assert!(said.contains(words), "{key}: {said}");
    }
}
