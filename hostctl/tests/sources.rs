//! The same repository by every way it can come, and what servers do to those who read from them.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod kit;

use berth_contract::release::Target;
use berth_fetch::{error::FetchError, settings::Patience};
use hostctl::{
    source::{Manners, Source, SourceError},
    trust::{Repository, TrustError},
};
use kit::{
    manners,
    repo::{Host, Repo, content},
    server::{Fault, Server},
    source,
};
use std::{
    fs,
    io::{self, Read as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const ROOT: &str = "host_2_x86_64.root.zst";

fn read(repository: &Repository, start: u64, len: Option<u64>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut opened = repository.open(ROOT, start, len).map_err(|error| error.to_string())?;
    opened.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Opens the repository at `base`, whose faults begin after the metadata.
fn opened(repo: &Repo, base: &str) -> Repository {
    Host::of(repo).open(&source(base)).unwrap()
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that listens on the port it is given, once it does.
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn tar(repo: &Path, format: &str, bundle: &Path) {
    let status = Command::new("tar")
        .args(["--format", format, "-cf"])
        .arg(bundle)
        .arg("-C")
        .arg(repo)
        .args(["./metadata", "targets"])
        .status()
        .unwrap();
    assert!(status.success());
}

fn whole(repository: &Repository) {
    let release = &repository.releases().known[0];
    repository.record(release).unwrap();
    assert!(read(repository, 0, None).unwrap() == content(Target::Root));
}

#[test]
fn url_folder_and_bundle_are_the_same_repository() {
    let mut repo = Repo::new();
    repo.add_release("2");
    // Beyond what a plain tar header has room for.
    let long = "long-name-".repeat(6);
    repo.add_target(&long, b"long".to_vec(), None);
    repo.publish();
    let path = repo.dir.path();
    let server = Server::good(path.to_owned());
    let dir = tempfile::tempdir().unwrap();
    let mut names = vec![path.to_str().unwrap().to_owned(), format!("file://{}", path.display())];
    names.extend([server.base.clone(), format!("{}/", server.base)]);
    for format in ["pax", "gnu"] {
        let bundle = dir.path().join(format);
        tar(path, format, &bundle);
        names.push(bundle.to_str().unwrap().to_owned());
    }
    for name in names {
        let (host, source) = (Host::of(&repo), source(&name));
        let repository = host.open(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
        whole(&repository);
        let middle = read(&repository, 1_234_567, Some(89)).unwrap();
        assert!(middle == content(Target::Root)[1_234_567..][..89], "{name}");
        assert_eq!(repository.read_whole(&long, 4).unwrap(), b"long", "{name}");
        assert!(source.received() > 3_000_000, "{name}: {}", source.received());
    }
    // Each URL took two connections: that of the missing 2.root.json is not used again.
    assert_eq!(server.connections(), 4, "{:?}", server.requests());
}

#[test]
fn what_is_no_source_is_told_from_what_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let said = |name: &str| Source::parse(name, &manners()).map(|_| ()).unwrap_err().to_string();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    assert!(said("ftp://example.org/x").contains("expected http:, https: or file:"));
    assert!(said("https://example.org/x?token=1").contains("without `?`"));
    assert!(said("https://example.org/x#1").contains("fragment"));
    assert!(said("https://me:secret@example.org/").contains("no user name"));
    assert!(said(&at("nothing")).contains("expected a folder or a bundle file, found nothing"));
    assert!(said(&at("")).contains("found no metadata/ in it"));
    fs::write(at("text"), "x".repeat(2000)).unwrap();
    assert!(said(&at("text")).contains("expected a tar header"));
    fs::write(at("empty"), "").unwrap();
    assert!(said(&at("empty")).contains("found no metadata/ in it"));

    let repo = Repo::with_release();
    tar(repo.dir.path(), "pax", Path::new(&at("bundle")));
    let bytes = fs::read(at("bundle")).unwrap();
    for (len, word) in [(1100, "cut short"), (bytes.len() / 2, "cut short"), (0, "found no metadata/")] {
        fs::write(at("cut"), &bytes[..len]).unwrap();
        assert!(said(&at("cut")).contains(word), "{len}: {}", said(&at("cut")));
    }
    let long = format!("metadata/{}", "folder-name/".repeat(86));
    fs::create_dir_all(repo.path(&long)).unwrap();
    fs::write(repo.path(&long).join("file"), "").unwrap();
    for format in ["pax", "gnu"] {
        tar(repo.dir.path(), format, Path::new(&at("long")));
        assert!(said(&at("long")).contains("a file name of more than 1024 bytes"), "{}", said(&at("long")));
    }
    // Damage in any header must not be the end of the program.
    for at_byte in (0..bytes.len().min(20_000)).step_by(29) {
        let mut damaged = bytes.clone();
        damaged[at_byte] ^= 0x21;
        fs::write(at("damaged"), &damaged[..20_480.min(damaged.len())]).unwrap();
        let _ = Source::parse(&at("damaged"), &manners());
    }
}

#[test]
fn a_server_without_ranges_is_told_and_still_gives_whole_files() {
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
    // From the first byte on nothing is lost.
    assert!(read(&repository, 0, Some(10)).unwrap() == content(Target::Root)[..10]);
}

#[test]
fn a_foreign_server_with_ranges_gives_parts_over_tls_by_an_authority_of_our_own() {
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
    let with_ca = |extra_ca| Arc::new(Source::parse(&name, &Manners { extra_ca, ..manners() }).unwrap());
    let repository = Host::of(&repo).open(&with_ca(Some(ca.pem()))).unwrap();
    whole(&repository);
    assert!(read(&repository, 2_000_000, Some(5000)).unwrap() == content(Target::Root)[2_000_000..][..5000]);

    let patient = Patience { first: Duration::from_secs(600), ..manners().patience };
    let stranger = Source::parse(&name, &Manners { patience: patient, ..manners() }).unwrap();
    let error = Host::of(&repo).open(&Arc::new(stranger)).unwrap_err();
    assert!(error.hint().unwrap().contains("[update] ca"), "at once, and with a hint: {error}");
    let error = Host::of(&repo).open(&with_ca(Some("no certificate".to_owned()))).unwrap_err();
    assert!(matches!(error, TrustError::Source(SourceError::Fetch(FetchError::NoExtraCertificate))), "{error}");
}

#[test]
fn a_transfer_that_breaks_is_taken_up_where_it_ended() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |request, before| match before {
        _ if request.path.contains("metadata") || request.path.contains("json") => Fault::None,
        n if n % 2 == 0 => Fault::Cut(500_000),
        _ => Fault::Hangup,
    });
    let repository = opened(&repo, &server.base);
    assert!(read(&repository, 0, None).unwrap() == content(Target::Root));
    let starts: Vec<_> = server.requests().into_iter().filter_map(|request| request.range).collect();
    assert!(starts.contains(&"bytes=500000-2999999".to_owned()), "{starts:?}");
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    let repo = Repo::with_release();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let base = format!("http://{address}");
    let host = Host::of(&repo);
    let source = source(&base);
    let folder = repo.dir.path().to_owned();
    // The first process serves four metadata files and a piece, and dies.
    let first = thread::spawn({
        let folder = folder.clone();
        move || {
            let gone = Arc::new(AtomicBool::new(false));
            for stream in listener.incoming() {
                let seen = Arc::clone(&gone);
                kit::server::serve_once(&stream.unwrap(), &folder, &move |request, _| {
                    if request.path.ends_with("zst") {
                        seen.store(true, Ordering::Relaxed);
                        Fault::Cut(100_000)
                    } else {
                        Fault::None
                    }
                });
                if gone.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    });
    let repository = host.open(&source).unwrap();
    let reader = thread::spawn(move || read(&repository, 0, None));
    first.join().unwrap();
    thread::sleep(Duration::from_millis(700));
    let again = Server::on(TcpListener::bind(address).unwrap(), folder, |_, _| Fault::None);
    assert!(reader.join().unwrap().unwrap() == content(Target::Root));
    assert_eq!(again.requests()[0].range.as_deref(), Some("bytes=100000-2999999"));
}

#[test]
fn patience_has_an_end() {
    let repo = Repo::with_release();
    // Nobody there from the start: told soon.
    let day = Patience { total: Duration::from_secs(86_400), ..manners().patience };
    let nobody = Source::parse(&format!("http://127.0.0.1:{}", free_port()), &Manners { patience: day, ..manners() });
    let error = Host::of(&repo).open(&Arc::new(nobody.unwrap())).unwrap_err();
    assert!(matches!(&error, TrustError::Source(SourceError::Fetch(FetchError::GaveUp { .. }))), "{error}");
    assert!(error.hint().unwrap().contains("check the address"));
    // It fails for good in the middle.
    let server = Server::start(repo.dir.path().to_owned(), |request, _| {
        if request.path.ends_with("zst") { Fault::Status(503) } else { Fault::None }
    });
    let short = Patience { total: Duration::from_millis(500), ..manners().patience };
    let source = Arc::new(Source::parse(&server.base, &Manners { patience: short, ..manners() }).unwrap());
    let repository = Host::of(&repo).open(&source).unwrap();
    let error = read(&repository, 0, None).unwrap_err();
    assert!(error.contains("found 503 (waited for it for 0 s)"), "{error}");
    assert!(server.requests().len() > 6);
}

#[test]
fn a_slow_loris_is_given_up_however_long_it_goes_on() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |request, _| {
        if request.path.ends_with("zst") { Fault::Drip(Duration::from_millis(5)) } else { Fault::None }
    });
    let mut manners = manners();
    manners.patience.total = Duration::from_millis(1500);
    manners.pace = berth_fetch::settings::Pace { floor: 100_000, window: Duration::from_millis(200) };
    let repository = Host::of(&repo).open(&Arc::new(Source::parse(&server.base, &manners).unwrap())).unwrap();
    let error = read(&repository, 0, None).unwrap_err();
    assert!(error.contains("slower than 100000 bytes per second"), "{error}");
}

#[test]
fn a_server_that_goes_on_without_ranges_is_read_from_the_start_again() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |request, _| match &request.range {
        Some(range) if range.starts_with("bytes=0-") => Fault::Cut(200_000),
        _ => Fault::NoRanges,
    });
    let repository = opened(&repo, &server.base);
    assert!(read(&repository, 0, None).unwrap() == content(Target::Root));
}

#[test]
fn a_server_whose_ranges_are_broken_still_gives_whole_files() {
    let repo = Repo::with_release();
    for fault in [Fault::ContentRange("bytes 0-99/3000000"), Fault::Status(416)] {
        let server = Server::start(repo.dir.path().to_owned(), move |request, before| match &request.range {
            _ if !request.path.ends_with("zst") => Fault::None,
            Some(_) => fault.clone(),
            // It breaks off as well.
            None if before < 6 => Fault::Cut(200_000),
            None => Fault::None,
        });
        let repository = opened(&repo, &server.base);
        assert!(read(&repository, 0, None).unwrap() == content(Target::Root));
        assert!(read(&repository, 0, Some(10)).unwrap() == content(Target::Root)[..10]);
        let error = repository.open(ROOT, 1000, Some(100)).unwrap_err();
        assert!(error.is_no_ranges(), "{error}");
    }
}

#[test]
fn answers_to_other_questions_are_errors() {
    let repo = Repo::with_release();
    for wrong in [
        "bytes 0-99/3000000",
        "bytes 999-1099/3000000",
        "bytes 1000-1098/3000000",
        "bytes 1000-1100/3000000",
        "bytes 1000-1099/2999999",
        "bytes 1000-1099/1050",
        "bytes 1099-1000/3000000",
        "bytes */3000000",
        "bytes 1000-18446744073709551615/*",
        "bytes=1000-1099/3000000",
        "",
    ] {
        let server = Server::start(repo.dir.path().to_owned(), move |request, _| {
            if request.path.ends_with("zst") { Fault::ContentRange(wrong) } else { Fault::None }
        });
        let repository = opened(&repo, &server.base);
        let error = read(&repository, 1000, Some(100)).unwrap_err();
        assert!(error.contains("expected bytes=1000-1099") || error.contains("expected 3000000"), "{wrong}: {error}");
        assert_eq!(server.requests().iter().filter(|request| request.path.ends_with("zst")).count(), 1, "not again");
    }
    // A server that knows the part, but not the whole, may say so.
    let server = Server::start(repo.dir.path().to_owned(), |request, _| {
        if request.path.ends_with("zst") { Fault::ContentRange("bytes 1000-1099/*") } else { Fault::None }
    });
    assert!(read(&opened(&repo, &server.base), 1000, Some(100)).unwrap() == content(Target::Root)[1000..1100]);
}

#[test]
fn endless_and_false_bytes_end_in_an_error() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |_, _| Fault::Endless);
    let error = Host::of(&repo).open(&source(&server.base)).unwrap_err().to_string();
    assert!(error.contains("timestamp.json: expected at most 262144 bytes"), "{error}");
    let server = Server::start(repo.dir.path().to_owned(), |request, _| match () {
        () if request.path.ends_with("zst") => Fault::Endless,
        () if request.path.ends_with("efi") => Fault::Lie,
        () => Fault::None,
    });
    let repository = opened(&repo, &server.base);
    assert!(matches!(repository.read_whole(ROOT, 3_000_000), Err(TrustError::Digest { .. })));
    assert!(repository.source().received() < 8_000_000);
    assert!(matches!(repository.read_whole("host_2_x86_64.efi", 1 << 20), Err(TrustError::Digest { .. })));
}

#[test]
fn a_root_that_cannot_be_fetched_is_not_taken_for_none() {
    let repo = Repo::with_release();
    for (status, good) in [(500, false), (403, true), (404, true)] {
        let server = Server::start(repo.dir.path().to_owned(), move |request, _| {
            if request.path.ends_with("2.root.json") { Fault::Status(status) } else { Fault::None }
        });
        let short = Patience { total: Duration::from_millis(100), ..manners().patience };
        let source = Arc::new(Source::parse(&server.base, &Manners { patience: short, ..manners() }).unwrap());
        assert_eq!(Host::of(&repo).open(&source).is_ok(), good, "{status}");
    }
}

#[test]
fn errors_of_readers_have_their_cause_inside() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |request, before| match before {
        _ if !request.path.ends_with("zst") => Fault::None,
        n if n < 5 => Fault::Cut(1000),
        _ => Fault::Status(404),
    });
    let repository = opened(&repo, &server.base);
    let error: io::Error = repository.open(ROOT, 0, None).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert!(matches!(error.downcast::<FetchError>(), Ok(FetchError::NotFound { .. })));
}
