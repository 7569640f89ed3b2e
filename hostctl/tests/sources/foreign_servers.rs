//! Servers of other projects, without and with range requests.

use super::reading::{ROOT, opened, read, whole};
use crate::kit::{
    http_options,
    repo::{Host, Repo, content},
};
use berth_contract::release::Target;
use berth_fetch::{error::FetchError, settings::Patience};
use hostctl::{
    source::{HttpOptions, Source, SourceError},
    trust::TrustError,
};
use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// A program that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that listens on the port. Returns when the program listens.
fn serving(command: &mut Command, port: u16) -> Running {
    let program = command.get_program().to_owned();
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = Running(spawned.unwrap_or_else(|error| panic!("{}: {error}; run ci/setup", program.display())));
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "{} does not listen", program.display());
        thread::sleep(Duration::from_millis(20));
    }
    child
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_server_without_range_requests_is_reported_and_still_sends_whole_files() {
    let repo = Repo::with_release();
    let port = free_port();
    let _python = serving(
        Command::new("python3")
            .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string(), "--directory"])
            .arg(repo.dir.path()),
        port,
    );
    let repository = opened(&repo, &format!("http://127.0.0.1:{port}"));
    whole(&repository);
    let error = repository.open(ROOT, 4096, Some(10)).unwrap_err();
    assert!(error.is_no_ranges(), "{error}");
    // Reading from the first byte on works.
    assert!(read(&repository, 0, Some(10)).unwrap() == content(Target::Root)[..10]);
}

#[test]
fn a_server_with_range_requests_sends_parts_over_tls_with_a_private_authority() {
    let repo = Repo::with_release();
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params.clone(), key).unwrap();
    let server_key = rcgen::KeyPair::generate().unwrap();
    params.is_ca = rcgen::IsCa::NoCa;
    let certificate = params.signed_by(&server_key, &ca).unwrap();
    fs::write(dir.path().join("server.pem"), certificate.pem() + &server_key.serialize_pem()).unwrap();
    let config = format!(
        "server.document-root = \"{}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
         server.modules = (\"mod_openssl\")\nssl.engine = \"enable\"\nssl.pemfile = \"{}\"\n",
        repo.dir.path().display(),
        dir.path().join("server.pem").display()
    );
    fs::write(dir.path().join("lighttpd.conf"), config).unwrap();
    let _lighttpd =
        serving(Command::new("/usr/sbin/lighttpd").arg("-D").arg("-f").arg(dir.path().join("lighttpd.conf")), port);
    let name = format!("https://127.0.0.1:{port}");
    let with_ca = |extra_ca| Arc::new(Source::parse(&name, &HttpOptions { extra_ca, ..http_options() }).unwrap());
    let repository = Host::of(&repo).open(&with_ca(Some(ca.pem()))).unwrap();
    whole(&repository);
    assert!(read(&repository, 2_000_000, Some(5000)).unwrap() == content(Target::Root)[2_000_000..][..5000]);

    let patient = Patience { first: Duration::from_secs(600), ..http_options().patience };
    let stranger = Source::parse(&name, &HttpOptions { patience: patient, ..http_options() }).unwrap();
    let error = Host::of(&repo).open(&Arc::new(stranger)).unwrap_err();
    assert!(error.hint().unwrap().contains("[update] ca"), "without waiting, and with a hint: {error}");
    let error = Host::of(&repo).open(&with_ca(Some("no certificate".to_owned()))).unwrap_err();
    assert!(matches!(error, TrustError::Source(SourceError::Fetch(FetchError::NoExtraCertificate))), "{error}");
}
