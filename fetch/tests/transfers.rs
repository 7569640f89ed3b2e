//! Downloads from servers that work, fail, or break the protocol.
#![expect(clippy::unwrap_used, reason = "tests may fail")]

mod server;

use berth_contract::digest::Sha256;
use berth_fetch::{
    blob::Want,
    error::FetchError,
    fetcher::{Fetcher, Job},
    progress::{Event, Progress, Silent},
    settings::{FetchSettings, Network, Pace},
    store::Store,
};
use server::{Reply, Request, Server, page};
use sha2::Digest as _;
use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// 200 000 bytes without a repeated pattern.
fn body() -> Vec<u8> {
    (0u32..50_000).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn want(bytes: &[u8]) -> Want {
    Want { sha256: Sha256(sha2::Sha256::digest(bytes).into()), size: bytes.len() as u64 }
}

fn settings() -> FetchSettings {
    let mut settings = FetchSettings::new(Network::Online, None);
    settings.pace = Pace { floor: 1024, window: Duration::from_millis(400) };
    settings
}

fn fetcher(dir: &TempDir) -> Fetcher {
    Fetcher::new(Store::open(dir.path()).unwrap(), settings())
}

fn job(mirrors: &[&str]) -> Job {
    let mirrors =
        mirrors.iter().map(|base| base.parse::<berth_fetch::url::Url>().unwrap().join("pool/a.deb")).collect();
    Job { name: "a".into(), want: want(&body()), mirrors }
}

fn left_over(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path().join("blobs/sha256")).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Fetches, checks that nothing was published, and returns the error.
fn failure(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> FetchError {
    let (server, dir) = (Server::start(reply), TempDir::new().unwrap());
    let error = fetcher(&dir).fetch_blob(&job(&[&server.base]), &Silent).unwrap_err();
    assert!(left_over(&dir).iter().all(|name| name.ends_with(".part")), "{:?}", left_over(&dir));
    error
}

/// Adds up the reported bytes.
#[derive(Default)]
struct Sum(AtomicI64);

impl Progress for Sum {
    fn event(&self, event: Event<'_>) {
        let change = match event {
            Event::Started { resumed, .. } => i64::try_from(resumed).unwrap(),
            Event::Received { bytes, .. } => i64::try_from(bytes).unwrap(),
            Event::Discarded { bytes, .. } => -i64::try_from(bytes).unwrap(),
            Event::Planned { .. } | Event::Finished { .. } => 0,
        };
        self.0.fetch_add(change, Ordering::Relaxed);
    }
}

#[test]
fn a_blob_is_fetched_once() {
    let (server, dir) = (Server::start(|_| Reply::Good(body())), TempDir::new().unwrap());
    let (fetcher, sum) = (fetcher(&dir), Sum::default());
    let blob = fetcher.fetch_blob(&job(&[&server.base]), &sum).unwrap();
    assert_eq!(fs::read(&blob.path).unwrap(), body());
    assert_eq!(fetcher.fetch_blob(&job(&[&server.base]), &sum).unwrap(), blob);
    assert_eq!(server.requests(), [Request { path: "/pool/a.deb".into(), start: None }]);
    assert_eq!(left_over(&dir), [blob.want.sha256.to_string()]);
    assert_eq!(sum.0.into_inner(), 200_000);
}

#[test]
fn an_interrupted_transfer_is_resumed() {
    let server = Server::start(|request| match request.start {
        None => Reply::Cut(body(), 120_000),
        Some(_) => Reply::Good(body()),
    });
    let dir = TempDir::new().unwrap();
    fetcher(&dir).fetch_blob(&job(&[&server.base]), &Silent).unwrap();
    let starts: Vec<_> = server.requests().into_iter().map(|request| request.start).collect();
    assert_eq!(starts, [None, Some(120_000)]);
}

#[test]
fn bytes_of_an_earlier_run_are_reused_even_with_another_mirror() {
    let cut = Server::start(|_| Reply::Cut(body(), 50_000));
    let good = Server::start(|_| Reply::Good(body()));
    let (dir, sum) = (TempDir::new().unwrap(), Sum::default());
    // Three attempts of 50 000 bytes each, then the fetch fails.
    let error = fetcher(&dir).fetch_blob(&job(&[&cut.base]), &Silent).unwrap_err();
    assert!(matches!(error, FetchError::Interrupted { found: 150_000, .. }), "{error}");
    assert!(error.hint().unwrap().contains("kept"));
    fetcher(&dir).fetch_blob(&job(&[&good.base]), &sum).unwrap();
    assert_eq!(good.requests()[0].start, Some(150_000));
    assert_eq!(sum.0.into_inner(), 200_000);
}

#[test]
fn if_the_server_ignores_the_range_the_download_starts_again() {
    let server = Server::start(|request| match request.start {
        None => Reply::Cut(body(), 1000),
        Some(_) => Reply::IgnoringRange(body()),
    });
    let (dir, sum) = (TempDir::new().unwrap(), Sum::default());
    let blob = fetcher(&dir).fetch_blob(&job(&[&server.base]), &sum).unwrap();
    assert_eq!(fs::read(blob.path).unwrap(), body());
    assert_eq!(sum.0.into_inner(), 200_000);
}

#[test]
fn after_a_refused_or_wrong_range_the_whole_file_is_requested() {
    for answer in [
        "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-9/10\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    ] {
        let server = Server::start(move |request| match request.start {
            None => Reply::Good(body()),
            Some(_) => Reply::Raw(answer.into()),
        });
        let dir = TempDir::new().unwrap();
        let fetcher = fetcher(&dir);
        fs::write(dir.path().join(format!("blobs/sha256/{}.part", want(&body()).sha256)), &body()[..10]).unwrap();
        fetcher.fetch_blob(&job(&[&server.base]), &Silent).unwrap();
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_wrong_part_file_is_discarded_once_and_wrong_content_is_an_error() {
    let server = Server::start(|_| Reply::Good(body()));
    for left in [vec![0; 10], vec![0; 200_000], vec![0; 300_000]] {
        let dir = TempDir::new().unwrap();
        let fetcher = fetcher(&dir);
        fs::write(dir.path().join(format!("blobs/sha256/{}.part", want(&body()).sha256)), left).unwrap();
        fetcher.fetch_blob(&job(&[&server.base]), &Silent).unwrap();
    }
    let error = failure(|_| Reply::Good(vec![1; 200_000]));
    let text = error.to_string();
    assert!(matches!(error, FetchError::Digest { .. }), "{text}");
    for part in ["/pool/a.deb", &want(&body()).sha256.to_string(), &want(&[1; 200_000]).sha256.to_string()] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.hint().is_some());
}

#[test]
fn each_wrong_response_has_its_own_error() {
    let missing = failure(|_| page("404 Not Found", "text/html", "<html>no</html>"));
    assert!(matches!(missing, FetchError::NotFound { .. }), "{missing}");
    assert!(missing.hint().unwrap().contains("run `berth lock RECIPE`"));

    let html = failure(|_| page("200 OK", "text/html; charset=utf-8", "<html>log in</html>"));
    assert!(matches!(html, FetchError::Html { .. }), "{html}");

    let portal = failure(|request| match request.path.as_str() {
        "/portal" => page("200 OK", "text/html", "<html>log in</html>"),
        _ => Reply::Raw(
            "HTTP/1.1 302 Found\r\nLocation: /portal\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
        ),
    });
    assert!(portal.to_string().contains("/portal"), "{portal}");

    let circle = failure(|_| {
        Reply::Raw(
            "HTTP/1.1 302 Found\r\nLocation: /pool/a.deb\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
        )
    });
    assert!(circle.hint().unwrap().contains("loop"), "{circle}");

    let broken = failure(|_| page("503 Service Unavailable", "text/plain", ""));
    assert!(matches!(broken, FetchError::Status { status: 503, .. }), "{broken}");

    for wrong in [199_999, 200_001] {
        let error = failure(move |_| Reply::Good(vec![0; wrong]));
        assert!(matches!(error, FetchError::Size { wanted: 200_000, .. }), "{error}");
    }
    let garbage = failure(|_| Reply::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()));
    assert!(matches!(garbage, FetchError::Exchange { .. }), "{garbage}");
}

#[test]
fn a_wrong_size_is_detected_even_if_the_server_announces_no_length() {
    let chunked = |body: &[u8]| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
        answer.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        answer.extend_from_slice(body);
        answer.extend_from_slice(b"\r\n0\r\n\r\n");
        Reply::Raw(answer)
    };
    let long = failure(move |_| chunked(&[body(), vec![0; 5]].concat()));
    assert!(matches!(long, FetchError::Size { wanted: 200_000, .. }), "{long}");
    let short = failure(move |_| chunked(&body()[..5]));
    assert!(matches!(short, FetchError::Size { wanted: 200_000, found: 5, .. }), "{short}");
}

#[test]
fn a_slow_or_silent_server_is_an_error() {
    let begun = Instant::now();
    let drip = failure(|_| Reply::Drip(body(), Duration::from_millis(20)));
    assert!(matches!(drip, FetchError::Slow { .. }), "{drip}");
    let silent = failure(|_| Reply::Drip(body(), Duration::from_secs(60)));
    assert!(matches!(silent, FetchError::Slow { found: 0, .. }), "{silent}");
    let mute = failure(|_| {
        std::thread::sleep(Duration::from_secs(60));
        Reply::Good(body())
    });
    assert!(matches!(mute, FetchError::Slow { found: 0, .. }), "{mute}");
    // Each byte of the header arrives in time, but the header never ends.
    let head = failure(|_| Reply::DripAll(b"HTTP/1.1 200 OK\r\n".repeat(1000), Duration::from_millis(20)));
    assert!(matches!(head, FetchError::Slow { found: 0, .. }), "{head}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_server_that_never_answers_the_tls_handshake_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let taken = std::thread::spawn(move || listener.accept().unwrap());
    let dir = TempDir::new().unwrap();
    let settings = FetchSettings { connect: Duration::from_millis(400), ..settings() };
    let fetcher = Fetcher::new(Store::open(dir.path()).unwrap(), settings);
    let error = fetcher.fetch_blob(&job(&[&base]), &Silent).unwrap_err();
    assert!(error.hint().unwrap().contains("--mirror"), "{error}");
    taken.join().unwrap();
}

#[test]
fn mirrors_are_tried_in_order_and_the_error_lists_all_failures() {
    let dead = "http://127.0.0.1:1";
    let missing = Server::start(|_| page("404 Not Found", "text/plain", ""));
    let good = Server::start(|_| Reply::Good(body()));
    let dir = TempDir::new().unwrap();
    let error = fetcher(&dir).fetch_blob(&job(&[dead, &missing.base]), &Silent).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(dead) && text.contains(&missing.base) && text.starts_with("a: "), "{text}");
    fetcher(&dir).fetch_blob(&job(&[dead, &missing.base, &good.base]), &Silent).unwrap();
    assert_eq!((missing.requests().len(), good.requests().len()), (2, 1));
    assert!(matches!(
        fetcher(&dir).fetch_blob(&Job { mirrors: vec![], want: want(b"x"), ..job(&[]) }, &Silent),
        Err(FetchError::NoMirror { .. })
    ));
}

#[test]
fn many_blobs_are_downloaded_in_parallel_and_returned_in_order() {
    let (now, most) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let highest = Arc::clone(&most);
    // The server answers no request before four requests have arrived or a time limit is over.
    let server = Server::start(move |request| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let end = Instant::now() + Duration::from_secs(10);
        while most.load(Ordering::SeqCst) < 4 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        Reply::Good(request.path.clone().into_bytes())
    });
    let dir = TempDir::new().unwrap();
    let jobs: Vec<Job> = (0..8)
        .map(|i| {
            let url = format!("{}/{i}", server.base).parse().unwrap();
            Job { name: i.to_string(), want: want(format!("/{i}").as_bytes()), mirrors: vec![url] }
        })
        .collect();
    let sum = Sum::default();
    let blobs = fetcher(&dir).fetch_all(&jobs, &sum).unwrap();
    assert_eq!(highest.load(Ordering::SeqCst), 4);
    for (i, blob) in blobs.iter().enumerate() {
        assert_eq!(fs::read(&blob.path).unwrap(), format!("/{i}").into_bytes());
    }
    assert_eq!(sum.0.into_inner(), 16);

    let mut bad = jobs.clone();
    bad[3].want = want(b"/x");
    let error = fetcher(&TempDir::new().unwrap()).fetch_all(&bad, &Silent).unwrap_err();
    assert!(matches!(error, FetchError::Digest { .. }), "{error}");
}

#[test]
fn offline_lists_missing_blobs_and_still_reads_file_urls() {
    let server = Server::start(|_| Reply::Good(body()));
    let dir = TempDir::new().unwrap();
    let offline = Fetcher::new(Store::open(dir.path()).unwrap(), FetchSettings::new(Network::Offline, None));
    let jobs = [job(&[&server.base]), Job { name: "b".into(), want: want(b"b"), ..job(&[&server.base]) }];
    let error = offline.fetch_all(&jobs, &Silent).unwrap_err();
    assert_eq!(error.to_string(), "offline, and not in the cache: a, b");
    assert!(error.hint().unwrap().contains("--offline"));
    assert!(offline.fetch_index(&server.base.parse().unwrap(), 10).is_err());
    assert!(server.requests().is_empty());

    fetcher(&dir).fetch_blob(&jobs[0], &Silent).unwrap();
    offline.fetch_blob(&jobs[0], &Silent).unwrap();

    let files = TempDir::new().unwrap();
    fs::create_dir(files.path().join("pool")).unwrap();
    fs::write(files.path().join("pool/a.deb"), b"b").unwrap();
    let base = format!("file:{}", files.path().display());
    let local = Job { want: want(b"b"), ..job(&[&server.base, &base]) };
    offline.fetch_all(std::slice::from_ref(&local), &Silent).unwrap();
    let missing = Job { mirrors: vec![format!("{base}/none").parse().unwrap()], want: want(b"c"), ..local };
    assert!(matches!(offline.fetch_blob(&missing, &Silent), Err(FetchError::NotFound { .. })));
}

#[test]
fn an_index_larger_than_its_limit_is_refused() {
    let server = Server::start(|_| Reply::Good(body()));
    let dir = TempDir::new().unwrap();
    let url = server.base.parse().unwrap();
    assert_eq!(fetcher(&dir).fetch_index(&url, 200_000).unwrap(), body());
    assert!(matches!(fetcher(&dir).fetch_index(&url, 199_999), Err(FetchError::TooLarge { limit: 199_999, .. })));
    let endless = Server::start(|_| {
        Reply::Raw([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec(), vec![0; 1 << 20]].concat())
    });
    let error = fetcher(&dir).fetch_index(&endless.base.parse().unwrap(), 1000).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
}
