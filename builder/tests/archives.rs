//! Archives of third parties, judged by APT: what APT installs from an archive, `berth lock` locks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::refusal_kit::{
    Deb, Desk,
    fixture::{Fixture, GOOD, KeySpec, SIGNED, TestKey, hex, paragraph, rfc},
};
use flate2::{Compression, write::GzEncoder};
use liblzma::write::XzEncoder;
use std::{fs, io::Write, path::Path, process::Command};

/// An archive of its own, with a key of its own.
struct Kit {
    fixture: Fixture,
    key: TestKey,
}

/// What an archive looks like.
struct Shape {
    /// Suite and components, as in APT's sources.
    line: &'static str,
    /// Endings of the index that the InRelease lists.
    listed: &'static [&'static str],
    /// Endings of the index that exist.
    there: &'static [&'static str],
}

const PLAIN: Shape = Shape { line: "trixie main", listed: &["", ".xz"], there: &["", ".xz"] };

impl Kit {
    fn new() -> Self {
        Self { fixture: Fixture::new(), key: TestKey::new(KeySpec { seed: 7, ..GOOD }) }
    }

    fn publish(&self, shape: &Shape, packages: &[u8]) {
        let suite = shape.line.split(' ').next().unwrap();
        let (folder, index) = match suite.strip_suffix('/') {
            Some(path) => (path.to_owned(), "Packages".to_owned()),
            None => (format!("dists/{suite}"), "main/binary-amd64/Packages".to_owned()),
        };
        let mut text = format!("Origin: Kit\nSuite: {suite}\nCodename: {suite}\nDate: {}\nSHA256:\n", rfc(SIGNED));
        for ending in ["", ".xz", ".gz", ".bz2"] {
            let bytes = match ending {
                ".xz" => packed(XzEncoder::new(Vec::new(), 6), packages, |xz| xz.finish().unwrap()),
                ".gz" => packed(GzEncoder::new(Vec::new(), Compression::new(6)), packages, |gz| gz.finish().unwrap()),
                _ => packages.to_owned(),
            };
            if shape.listed.contains(&ending) {
                text += &format!(" {} {} {index}{ending}\n", hex(&bytes), bytes.len());
            }
            if shape.there.contains(&ending) {
                self.fixture.write(&format!("debian/{folder}/{index}{ending}"), &bytes);
            }
        }
        self.fixture.write(&format!("debian/{folder}/InRelease"), self.key.sign(&text));
    }

    /// The file that APT would fetch for kit-hello. `None` if APT cannot use the archive.
    fn apt(&self, shape: &Shape) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for folder in
            ["etc/apt/apt.conf.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/lib/dpkg"]
        {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("var/lib/dpkg/status"), "").unwrap();
        fs::write(at("key.asc"), self.key.armored()).unwrap();
        let line = format!("deb [signed-by={}] {} {}\n", at("key.asc").display(), self.fixture.url(), shape.line);
        fs::write(at("etc/apt/sources.list"), line).unwrap();
        let run = |args: &[&str]| {
            let mut apt = Command::new("apt-get");
            apt.env("LC_ALL", "C").arg("-qq").arg("-o").arg(format!("Dir={}", dir.path().display()));
            let status = format!("Dir::State::status={}", at("var/lib/dpkg/status").display());
            for option in [&*status, "APT::Architecture=amd64", "APT::Architectures::=amd64", "APT::Sandbox::User=root"]
            {
                apt.args(["-o", option]);
            }
            let output = apt.args(["-o", "APT::Update::Error-Mode=any"]).args(args).output().unwrap();
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        run(&["update"])?;
        let told = run(&["install", "--print-uris", "--no-install-recommends", "kit-hello"])?;
        let uri = told.split('\'').nth(1)?.to_owned();
        Some(uri.rsplit_once("/debian/")?.1.to_owned())
    }
}

fn packed<W: Write>(mut writer: W, bytes: &[u8], finish: impl FnOnce(W) -> Vec<u8>) -> Vec<u8> {
    writer.write_all(bytes).unwrap();
    finish(writer)
}

/// A desk whose recipe takes kit-hello from the archive of `kit`.
fn desk(kit: &Kit, suite: &str, more: &str) -> Desk {
    let desk = Desk::new(vec![]);
    desk.recipe("\"kit-hello\"");
    desk.write("kit.asc", kit.key.armored());
    let entry = format!(
        "archives = [{{ name = \"kit\", suite = \"{suite}\", mirror = [\"{}\"], keyring = \"kit.asc\"{more} }}]\nsuite = \"trixie\"",
        kit.fixture.url()
    );
    desk.write("r.toml", desk.text("r.toml").replace("suite = \"trixie\"", &entry));
    desk
}

fn locked_file(desk: &Desk) -> String {
    let lock: toml::Table = desk.text("r.lock").parse().unwrap();
    let packages = lock["package"].as_array().unwrap();
    let hello = packages.iter().find(|package| package["name"].as_str() == Some("kit-hello")).unwrap();
    assert_eq!(hello["suite"].as_str(), Some("kit"));
    hello["file"].as_str().unwrap().to_owned()
}

#[test]
fn what_apt_installs_from_an_archive_is_locked() {
    berth_judge::needs!("apt-get", "gpgv");
    let hello = paragraph("kit-hello 1", &[]);
    let other = |line: &str| hello.clone() + &paragraph("kit-other 1", &[line]);
    let shape = |line, listed, there| Shape { line, listed, there };
    let latin = [hello.as_bytes(), b"Package: kit-other\nMaintainer: J\xf6rg <j@example.org>\n\n"].concat();
    for (what, shape, packages) in [
        ("as Debian has it", PLAIN, hello.clone().into_bytes()),
        // reprepro's default.
        (
            "gz, and a plain index that is only listed",
            shape("trixie main", &["", ".gz"], &[".gz"]),
            hello.clone().into(),
        ),
        ("gz, though xz is listed", shape("trixie main", &["", ".xz", ".gz"], &[".gz"]), hello.clone().into()),
        ("plain only", shape("trixie main", &[""], &[""]), hello.clone().into()),
        ("flat", shape("./", &["", ".gz"], &["", ".gz"]), hello.clone().into()),
        ("flat in a folder", shape("some/folder/", &["", ".xz"], &[".xz"]), hello.clone().into()),
        ("Installed-Size with a unit", PLAIN, other("Installed-Size: 65M").into()),
        ("Installed-Size with a point", PLAIN, hello.replace("Priority:", "Installed-Size: 706.0\nPriority:").into()),
        ("empty Installed-Size", PLAIN, other("Installed-Size:").into()),
        (
            "a package without digest and file",
            PLAIN,
            (hello.clone() + "Package: kit-odd\nVersion: 1\nArchitecture: amd64\n\n").into(),
        ),
        ("relations that cannot be parsed", PLAIN, other("Provides: a (=, b)").into()),
        (
            "names in another case",
            PLAIN,
            hello.replace("Filename:", "FileName:").replace("Version:", "version:").into(),
        ),
        ("a text that is not UTF-8", PLAIN, latin),
    ] {
        let kit = Kit::new();
        kit.publish(&shape, &packages);
        let desk = desk(&kit, shape.line.split(' ').next().unwrap(), "");
        let said = desk.lock();
        assert_eq!(said.code, Some(0), "{what}: {}", said.text);
        assert_eq!(kit.apt(&shape).as_deref(), Some(&*locked_file(&desk)), "{what}");
    }
}

#[test]
fn a_package_that_cannot_be_used_is_an_error_only_if_it_is_needed() {
    let kit = Kit::new();
    let odd = paragraph("kit-odd 1", &[]).replace("SHA256: ", "SHA256: x");
    kit.publish(&PLAIN, (paragraph("kit-hello 1", &[]) + &odd).as_bytes());
    let desk = desk(&kit, "trixie", "");
    let said = desk.lock();
    assert_eq!(said.code, Some(0), "{}", said.text);
    let wanted = "warning: kit: main/binary-amd64/Packages.xz: package kit-odd: SHA256: expected 64 hex digits";
    assert!(said.text.contains(wanted) && said.text.contains("passed over"), "{}", said.text);
    desk.write("r.toml", desk.text("r.toml").replace("\"kit-hello\"", "\"kit-odd\""));
    let said = desk.lock().refusal();
    assert!(said.contains("error: kit: main/binary-amd64/Packages.xz: package kit-odd: SHA256:"), "{said}");

    // A form that is not read is named.
    kit.publish(&Shape { line: "trixie main", listed: &[".bz2"], there: &[".bz2"] }, b"");
    let said = desk.lock().refusal();
    assert!(said.contains("Packages as .xz, as .gz or plain, found main/binary-amd64/Packages.bz2"), "{said}");
}

/// Debian, Docker, Tailscale and others all have a suite named trixie.
#[test]
fn two_archives_may_have_suites_of_one_name() {
    let kit = Kit::new();
    kit.publish(&PLAIN, (paragraph("kit-hello 2", &[]) + &paragraph("tool 2", &[])).as_bytes());
    let desk = desk(&kit, "trixie", "");
    desk.publish("", &["linux-image-test", "systemd-boot-efi", "tool"].map(Deb::new));
    let entry = desk.text("r.toml").replace("\"kit-hello\"", "\"kit-hello\", \"tool\"");
    desk.write("r.toml", &entry);
    desk.lock().success();
    let versions = |desk: &Desk| {
        let lock: toml::Table = desk.text("r.lock").parse().unwrap();
        let package = |package: &toml::Value| {
            format!(
                "{} {} {}",
                package["name"].as_str().unwrap(),
                package["version"].as_str().unwrap(),
                package["suite"].as_str().unwrap()
            )
        };
        lock["package"].as_array().unwrap().iter().map(package).collect::<Vec<_>>().join(", ")
    };
    let base = "linux-image-test 1.0 trixie, systemd-boot-efi 1.0 trixie";
    assert_eq!(versions(&desk), format!("kit-hello 2 kit, {base}, tool 2 kit"));
    // Priorities and pins name the archive.
    desk.write("r.toml", entry.replace("keyring = \"kit.asc\"", "keyring = \"kit.asc\", priority = 100"));
    desk.berth(&desk.archive.url(), &["lock", "r.toml", "--update"]).success();
    assert_eq!(versions(&desk), format!("kit-hello 2 kit, {base}, tool 1.0 trixie"));
    desk.write("r.toml", entry.replace("[kernel]", "[debian.versions]\ntool = { suite = \"kit\" }\n[kernel]"));
    desk.lock().success();
    assert!(versions(&desk).ends_with("tool 2 kit"));
    // Each archive is verified with its own keys.
    desk.write("kit.asc", desk.key.armored());
    assert!(desk.lock().refusal().contains("found a signature by the unknown key"));

    // Without an entry: a package that the first archive lacks is looked up in the other archives among the mirrors.
    desk.recipe("\"kit-hello\", \"tool\"");
    fs::remove_file(desk.path("r.lock")).unwrap();
    desk.write("keys.gpg", [desk.key.binary(), kit.key.binary()].concat());
    let (first, second) = (desk.archive.url(), kit.fixture.url());
    let mut lock = desk.command(&first, &["--mirror", &second, "lock", "r.toml"]);
    assert!(lock.output().unwrap().status.success());
    assert_eq!(versions(&desk), format!("kit-hello 2 trixie, {base}, tool 2 trixie"));
    desk.recipe("\"tool\"");
    assert!(desk.command(&first, &["--mirror", &second, "lock", "r.toml"]).output().unwrap().status.success());
    assert!(versions(&desk).ends_with("tool 1.0 trixie"), "the first archive has everything: {}", versions(&desk));

    let two = "archives = [{ suite = \"trixie\", mirror = [\"http://a.example\"] }]\nsuite = \"trixie\"";
    desk.write("r.toml", desk.text("r.toml").replace("suite = \"trixie\"", two));
    assert!(desk.lock().text.contains("two archives have the name \"trixie\""));
}

#[test]
fn an_expired_archive_is_used_only_on_purpose_and_the_lock_says_so() {
    let desk = Desk::new(vec![]);
    desk.publish(
        "Valid-Until: Tue, 02 Jun 2026 00:00:00 UTC\n",
        &["linux-image-test", "systemd-boot-efi"].map(Deb::new),
    );
    // The hint is that of the mirror that got furthest, not of the first one.
    let empty = format!("file:{}", desk.path("empty").display());
    for mirrors in [[&*desk.archive.url(), &*empty], [&*empty, &*desk.archive.url()]] {
        let said = desk.berth(mirrors[0], &["--mirror", mirrors[1], "lock", "r.toml"]).refusal();
        assert!(said.contains("hint: the mirror is no longer updated") && said.contains("valid_until"), "{said}");
    }
    desk.write("r.toml", desk.text("r.toml").replace("suite =", "valid_until = \"ignore\"\nsuite ="));
    let said = desk.lock();
    assert_eq!(said.code, Some(0), "{}", said.text);
    assert!(
        said.text.contains("warning: archive trixie was valid until 2026-06-02T00:00:00Z: valid_until accepts it"),
        "{}",
        said.text
    );
    assert!(desk.text("r.lock").contains("expired = \"2026-06-02T00:00:00Z\""));
    assert!(Path::new(&desk.path("r.lock")).exists());
}

/// What is gone is named at once, what can be fetched is fetched, and `berth lock` replaces only what is gone.
#[test]
fn all_files_that_an_archive_no_longer_has_are_named_at_once() {
    let names = ["linux-image-test", "systemd-boot-efi", "one", "two", "three"];
    let debs = |version: &str| {
        names.map(|name| Deb::new(name).field(&format!("Comment: {version}")).file(&format!("usr/{name}"), version))
    };
    let desk = Desk::new(vec![]);
    desk.publish("", &debs("old"));
    desk.recipe("\"one\", \"two\", \"three\"");
    desk.lock().success();
    let pool = desk.path("pool");
    fs::create_dir_all(pool.join("pool")).unwrap();
    for name in names {
        let file = desk.archive.path().join(format!("debian/pool/{name}.deb"));
        fs::copy(&file, pool.join(format!("pool/{name}.deb"))).unwrap();
        if name == "one" || name == "three" {
            fs::remove_file(file).unwrap();
        }
    }
    let said = desk.build().refusal();
    assert!(said.contains("error: no mirror has one, three\n"), "{said}");
    assert!(
        said.contains(
            "hint: the archive no longer has them: run `berth lock RECIPE`, which replaces only what is gone"
        ),
        "{said}"
    );
    // A copy of the files, with the paths of the archive, keeps the lock alive.
    let pool = format!("file:{}", pool.display());
    assert!(!desk.berth(&pool, &["--cache", "other", "build", "r.toml"]).text.contains("no mirror has"));
}

fn index(packages: &[&str]) -> String {
    let all = ["linux-image-test 1", "systemd-boot-efi 1"].iter().chain(packages);
    all.map(|head| paragraph(head, &[])).collect()
}

/// Two images of one base have the same versions of what the base has.
#[test]
fn the_lock_of_a_child_follows_the_lock_of_its_base() {
    let desk = Desk::new(vec![]);
    let publish = |packages: &[&str]| desk.archive.suite(&desk.key, "trixie", "", &index(packages));
    desk.recipe("\"tool\"");
    desk.write("child.toml", "id = \"child\"\nextends = \"r.toml\"\n[debian]\npackages = [\"more\"]\n");
    let lock = |arguments: &[&str]| desk.berth(&desk.archive.url(), &[&["lock"], arguments].concat()).success();
    let has = |name: &str, version: &str| {
        let lock: toml::Table = desk.text("child.lock").parse().unwrap();
        let packages = lock["package"].as_array().unwrap().clone();
        let package = packages.iter().find(|package| package["name"].as_str() == Some(name)).unwrap();
        assert_eq!(package["version"].as_str(), Some(version), "{name}");
    };
    publish(&["tool 1", "more 1"]);
    lock(&["r.toml"]);
    publish(&["tool 1", "more 1", "tool 2", "more 2"]);
    lock(&["child.toml"]);
    has("tool", "1");
    has("more", "2");
    // The base's lock decides, also over the child's own older lock.
    lock(&["r.toml", "--update"]);
    publish(&["tool 1", "tool 2", "tool 3", "more 2", "more 3"]);
    lock(&["child.toml"]);
    has("tool", "2");
    has("more", "2");
    lock(&["child.toml", "--update"]);
    has("tool", "3");
    has("more", "3");
}

#[test]
fn an_engine_without_its_package_is_refused_by_lock_too() {
    let desk = Desk::new(vec![]);
    desk.archive.suite(&desk.key, "trixie", "", &index(&[]));
    desk.write("r.toml", desk.text("r.toml") + "[engine]\nkind = \"docker\"\n");
    let said = desk.lock().refusal();
    assert!(said.contains("r.toml:10:8: the lock file has no package docker.io"), "{said}");
    assert!(!desk.path("r.lock").exists());
}
