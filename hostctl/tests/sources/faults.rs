//! Servers that close connections, stop answering or send wrong bytes.

use super::{
    foreign_servers::free_port,
    reading::{ROOT, opened, read},
};
use crate::kit::{
    self, http_options,
    repo::{Host, Repo, content},
    server::{Fault, Server},
    source,
};
use berth_contract::release::Target;
use berth_fetch::{error::FetchError, settings::Patience};
use hostctl::{
    source::{HttpOptions, Source, SourceError},
    trust::TrustError,
};
use std::{
    io::{self, Read as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

#[test]
fn a_broken_transfer_continues_where_it_ended() {
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
fn a_server_that_restarts_is_waited_for() {
    let repo = Repo::with_release();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let base = format!("http://{address}");
    let host = Host::of(&repo);
    let source = source(&base);
    let folder = repo.dir.path().to_owned();
    // The first server process serves four metadata files and a part, and then ends.
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
fn waiting_for_a_server_has_a_limit() {
    let repo = Repo::with_release();
    // No server from the start: this is reported soon.
    let day = Patience { total: Duration::from_secs(86_400), ..http_options().patience };
    let nobody =
        Source::parse(&format!("http://127.0.0.1:{}", free_port()), &HttpOptions { patience: day, ..http_options() });
    let error = Host::of(&repo).open(&Arc::new(nobody.unwrap())).unwrap_err();
    assert!(matches!(&error, TrustError::Source(SourceError::Fetch(FetchError::GaveUp { .. }))), "{error}");
    assert!(error.hint().unwrap().contains("check the address"));
    // The server fails for ever in the middle.
    let server = Server::start(repo.dir.path().to_owned(), |request, _| {
        if request.path.ends_with("zst") { Fault::Status(503) } else { Fault::None }
    });
    let short = Patience { total: Duration::from_millis(500), ..http_options().patience };
    let source = Arc::new(Source::parse(&server.base, &HttpOptions { patience: short, ..http_options() }).unwrap());
    let repository = Host::of(&repo).open(&source).unwrap();
    let error = read(&repository, 0, None).unwrap_err();
    assert!(error.contains("found 503 (gave up after 0 s)"), "{error}");
    assert!(server.requests().len() > 6);
}

#[test]
fn a_server_that_sends_too_slowly_is_given_up() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |request, _| {
        if request.path.ends_with("zst") { Fault::Drip(Duration::from_millis(5)) } else { Fault::None }
    });
    let mut http_options = http_options();
    http_options.patience.total = Duration::from_millis(1500);
    http_options.pace = berth_fetch::settings::Pace { floor: 100_000, window: Duration::from_millis(200) };
    let repository = Host::of(&repo).open(&Arc::new(Source::parse(&server.base, &http_options).unwrap())).unwrap();
    let error = read(&repository, 0, None).unwrap_err();
    assert!(error.contains("slower than 100000 bytes per second"), "{error}");
}

#[test]
fn a_server_that_stops_supporting_ranges_is_read_from_the_start_again() {
    let repo = Repo::with_release();
    let server = Server::start(repo.dir.path().to_owned(), |request, _| match &request.range {
        Some(range) if range.starts_with("bytes=0-") => Fault::Cut(200_000),
        _ => Fault::NoRanges,
    });
    let repository = opened(&repo, &server.base);
    assert!(read(&repository, 0, None).unwrap() == content(Target::Root));
}

#[test]
fn a_server_with_broken_range_requests_still_sends_whole_files() {
    let repo = Repo::with_release();
    for fault in [Fault::ContentRange("bytes 0-99/3000000"), Fault::Status(416)] {
        let server = Server::start(repo.dir.path().to_owned(), move |request, before| match &request.range {
            _ if !request.path.ends_with("zst") => Fault::None,
            Some(_) => fault.clone(),
            // The transfer breaks as well.
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
fn an_answer_with_another_range_is_an_error() {
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
    // A server may give the range without the size of the whole file.
    let server = Server::start(repo.dir.path().to_owned(), |request, _| {
        if request.path.ends_with("zst") { Fault::ContentRange("bytes 1000-1099/*") } else { Fault::None }
    });
    assert!(read(&opened(&repo, &server.base), 1000, Some(100)).unwrap() == content(Target::Root)[1000..1100]);
}

#[test]
fn endless_and_wrong_bytes_are_errors() {
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
fn a_root_that_cannot_be_fetched_is_not_taken_for_a_missing_one() {
    let repo = Repo::with_release();
    for (status, good) in [(500, false), (403, true), (404, true)] {
        let server = Server::start(repo.dir.path().to_owned(), move |request, _| {
            if request.path.ends_with("2.root.json") { Fault::Status(status) } else { Fault::None }
        });
        let short = Patience { total: Duration::from_millis(100), ..http_options().patience };
        let source = Arc::new(Source::parse(&server.base, &HttpOptions { patience: short, ..http_options() }).unwrap());
        assert_eq!(Host::of(&repo).open(&source).is_ok(), good, "{status}");
    }
}

#[test]
fn errors_of_readers_contain_their_cause() {
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
