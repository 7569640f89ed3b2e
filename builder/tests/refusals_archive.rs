//! Messages of `berth lock` and `berth build`: faulty archives and mirrors, and dependencies that cannot be met.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::refusal_kit::{
    Deb, Desk,
    fixture::{GOOD, KeySpec, SIGNED, TestKey, hex, paragraph, rfc},
    server::{Reply, page},
};
use berth::{
    report::{Manner, Report, Verbosity},
    source::debian::{
        debs::{DebRef, fetch_debs},
        error::DebianError,
        mirrors::Mirrors,
    },
};
use berth_fetch::{
    blob::Want,
    fetcher::Fetcher,
    progress::Silent,
    settings::{FetchSettings, Network, Pace},
    store::Store,
};
use std::{
    fs,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

const INDEX: &str = "debian/dists/trixie/main/binary-amd64/Packages.xz";
const IN_RELEASE: &str = "debian/dists/trixie/InRelease";

/// Size of the .deb of the package `tool` in bytes.
const SIZE: usize = 4288;

fn desk() -> Desk {
    let desk = Desk::new(vec![Deb::new("tool").file("usr/bin/tool", "text")]);
    assert_eq!(fs::read(desk.archive.path().join("debian/pool/tool.deb")).unwrap().len(), SIZE);
    desk
}

#[test]
fn dependencies_that_cannot_be_met() {
    let desk = Desk::new(vec![
        Deb::new("docker.io").field("Depends: iptables"),
        Deb::new("iptables").field("Depends: libnft (>= 2)"),
        Deb::new("libnft"),
        Deb::new("one").field("Depends: left"),
        Deb::new("left").field("Conflicts: right"),
        Deb::new("other").field("Depends: right"),
        Deb::new("right"),
        Deb::new("exim").field("Provides: mta"),
        Deb::new("postfix").field("Provides: mta"),
    ]);
    let mut said = String::new();
    for packages in ["\"iptbales\"", "\"something-else\"", "\"docker.io\"", "\"one\", \"other\"", "\"mta\""] {
        desk.recipe(packages);
        said += &format!("--- packages = [{packages}]\n{}\n", desk.lock().refusal());
    }
    insta::assert_snapshot!(said);
}

#[test]
fn untrusted_releases() {
    let mut said = String::new();
    let mut refused = |what: &str, spoil: &dyn Fn(&Desk)| {
        let desk = desk();
        desk.lock().success();
        let before = desk.text("r.lock");
        spoil(&desk);
        let mirror = desk.serve(|_| None);
        said += &format!("--- {what}\n{}\n", desk.berth(&mirror.base, &["lock", "r.toml"]).refusal());
        assert_eq!(desk.text("r.lock"), before, "{what}: the old lock file must not change");
    };
    let other = || TestKey::new(KeySpec { seed: 2, ..GOOD });
    refused("signed by another key", &|desk| desk.write("keys.gpg", other().binary()));
    refused("no keyring", &|desk| fs::remove_file(desk.path("keys.gpg")).unwrap());
    refused("an invalid keyring", &|desk| desk.write("keys.gpg", "text"));
    refused("not signed", &|desk| desk.archive.write(IN_RELEASE, "Codename: trixie\n"));
    refused("changed after it was signed", &|desk| {
        let signed = fs::read_to_string(desk.archive.path().join(IN_RELEASE)).unwrap();
        desk.archive.write(IN_RELEASE, signed.replace("Suite: role", "Suite: roll"));
    });
    refused("expired", &|desk| desk.publish("Valid-Until: Tue, 02 Jun 2026 00:00:00 UTC\n", &[]));
    let dated = |desk: &Desk, date: u64| {
        let release = desk.archive.release("trixie", "", "").replace(&rfc(SIGNED), &rfc(date));
        desk.archive.write(IN_RELEASE, desk.key.sign(&release));
    };
    refused("from the future", &|desk| dated(desk, 4_000_000_000));
    refused("older than in the lock file", &|desk| dated(desk, SIGNED - 86_400));
    refused("of another suite", &|desk| {
        let release = desk.archive.release("bookworm", "", "");
        desk.archive.write(IN_RELEASE, desk.key.sign(&release));
    });
    refused("without the component", &|desk| {
        let recipe = desk.text("r.toml");
        desk.write("r.toml", recipe.replace("suite =", "components = [\"contrib\"]\nsuite ="));
    });
    refused("an index with other bytes", &|desk| {
        let path = desk.archive.path().join(INDEX);
        let bytes: Vec<u8> = fs::read(&path).unwrap().iter().map(|byte| byte ^ 1).collect();
        // Remove the cache, so that the index is fetched again.
        fs::remove_dir_all(desk.path("cache")).unwrap();
        fs::write(&path, bytes).unwrap();
    });
    refused("an index of another size", &|desk| {
        fs::remove_dir_all(desk.path("cache")).unwrap();
        desk.archive.write(INDEX, "short");
    });
    refused("a package with an invalid path", &|desk| {
        desk.recipe("\"tool\"");
        let others = paragraph("linux-image-test 1", &[]) + &paragraph("systemd-boot-efi 1", &[]);
        let tool = "Package: tool\nVersion: 1.0\nArchitecture: amd64\nFilename: ../tool\n\n";
        desk.archive.suite(&desk.key, "trixie", "", &(others + tool));
    });
    insta::assert_snapshot!(said);
}

/// The answer of a mirror to a path. `None` stands for the file of that path.
type Answer = fn(&str) -> Option<Reply>;

/// `berth lock` with a faulty mirror, and `berth build` with a faulty mirror after a successful lock.
#[test]
fn faulty_mirrors() {
    let mut said = String::new();
    let answers: [(&str, Answer); 5] = [
        ("404", |_| Some(page("404 Not Found", "text/plain", ""))),
        ("a web page", |_| Some(page("200 OK", "text/html", "<html>log in</html>"))),
        ("500", |_| Some(page("500 Internal Server Error", "text/plain", ""))),
        ("wrong bytes of the right size", |path| path.ends_with(".deb").then(|| Reply::Good(vec![0; SIZE]))),
        ("wrong bytes of the wrong size", |path| path.ends_with(".deb").then(|| Reply::Good(vec![0; 9]))),
    ];
    for (what, answer) in answers {
        let desk = desk();
        desk.recipe("\"tool\"");
        let mirror = desk.serve(answer);
        if answer("/dists/trixie/InRelease").is_some() {
            said += &format!("--- {what}: lock\n{}\n", desk.berth(&mirror.base, &["lock", "r.toml"]).refusal());
        }
        desk.lock().success();
        said += &format!("--- {what}: build\n{}\n", only_tool(&desk, &mirror.base));
    }
    let desk = desk();
    desk.recipe("\"tool\"");
    let (down, empty) = ("http://127.0.0.1:1", desk.serve(|_| Some(page("404 Not Found", "text/plain", ""))));
    said += &format!("--- down: lock\n{}\n", desk.berth(down, &["lock", "r.toml"]).refusal());
    desk.lock().success();
    said += &format!("--- down: build\n{}\n", only_tool(&desk, down));
    let both = desk.berth(down, &["--mirror", &empty.base, "lock", "r.toml"]).refusal();
    said += &format!("--- two mirrors: lock\n{both}\n");
    let cut = desk.serve(|path| path.ends_with("/tool.deb").then(|| Reply::Cut(vec![0; SIZE], 100)));
    said += &format!("--- broken connection: build\n{}\n", only_tool(&desk, &cut.base));
    said += &format!("--- offline: build\n{}\n", desk.berth(down, &["--offline", "build", "r.toml"]).refusal());
    insta::assert_snapshot!(said);
}

/// Builds with all packages except `tool` in the cache. Otherwise several packages would be fetched at once, and the first failure would be
/// random.
fn only_tool(desk: &Desk, mirror: &str) -> String {
    for name in ["linux-image-test", "systemd-boot-efi"] {
        let bytes = fs::read(desk.archive.path().join(format!("debian/pool/{name}.deb"))).unwrap();
        desk.write(&format!("cache/blobs/sha256/{}", hex(&bytes)), bytes);
    }
    desk.berth(mirror, &["build", "r.toml"]).refusal()
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Uses the library with short time limits, because the command gives up only after half a minute.
#[test]
fn slow_and_silent_mirrors() {
    let desk = desk();
    let mut settings = FetchSettings::new(Network::Online, None);
    settings.pace = Pace { floor: 1024, window: Duration::from_secs(1) };
    let fetcher = Fetcher::new(Store::open(&desk.path("cache")).unwrap(), settings);
    let want = Want { sha256: hex(b"x").parse().unwrap(), size: 5000 };
    let deb = DebRef { name: "tool", suite: "trixie", file: "pool/tool.deb", want };
    let talk = Sink::default();
    let manner = Manner { verbosity: Verbosity::Quiet, bars: false, colour: false };
    let report = Report::new(Box::new(std::io::sink()), Box::new(talk.clone()), manner);
    for reply in [
        || Reply::Drip(vec![0; 5000], Duration::from_secs(60)),
        || {
            std::thread::sleep(Duration::from_secs(60));
            Reply::Good(vec![0; 5000])
        },
    ] {
        let mirror = desk.serve(move |_| Some(reply()));
        let mirrors = Mirrors::given(&[&mirror.base]).unwrap();
        let error = fetch_debs(&fetcher, &|suite| mirrors.of_suite(suite), &[deb], &Silent).unwrap_err();
        report.error(&error.into(), |error| error.downcast_ref().and_then(DebianError::hint));
        let port = mirror.base.rsplit(':').next().unwrap().to_owned();
        let mut said = talk.0.lock().unwrap();
        *said = String::from_utf8(said.clone()).unwrap().replace(&port, "PORT").into_bytes();
    }
    let said = String::from_utf8(talk.0.lock().unwrap().clone()).unwrap();
    insta::assert_snapshot!(said);
}
