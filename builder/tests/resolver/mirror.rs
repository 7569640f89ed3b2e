//! Copies suites of a Debian mirror to a local archive, and reads the same indices with Berth.

use berth::{
    date::Date,
    source::debian::{
        apt_sources,
        archive::{Archive, Asked, IndexText},
        keyring::{DEBIAN_KEYRING, Keyring},
        mirrors::Mirrors,
        packages::{self, Package},
        suite::Expiry,
    },
};
use berth_fetch::{
    fetcher::{Fetcher, Job},
    progress::Silent,
    roots,
    settings::{FetchSettings, Network},
    store::Store,
    url::Url,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

pub(crate) const INDEX: &str = "main/binary-amd64/Packages.xz";

/// Suites, as files and as parsed indices.
pub(crate) struct Mirror {
    _dir: TempDir,
    /// Root of the local archive, for a `file:` URL.
    pub(crate) folder: PathBuf,
    suites: BTreeMap<String, Parsed>,
}

struct Parsed {
    priority: i16,
    packages: Vec<Package<'static>>,
}

impl Mirror {
    /// Fetches each suite from the mirror in this computer's APT configuration, and verifies it.
    pub(crate) fn fetch(suites: &BTreeSet<&String>) -> Self {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join("debian");
        // Indices are cached by their digests, so the index of a stable release is fetched only once.
        let store = Store::open(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("indices")).unwrap();
        let fetcher = Fetcher::new(store, FetchSettings::new(Network::Online, roots::bundle(None)));
        let keyring = Keyring::load(Path::new(DEBIAN_KEYRING)).unwrap();
        let mirrors = Mirrors::Host(apt_sources::read(Path::new("/etc/apt")).unwrap());
        let local = Mirrors::given(&[format!("file:{}", folder.display())]).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a real archive is only valid at the current time")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = Date(now.as_secs());
        let parsed = suites.iter().map(|&suite| {
            let urls = mirrors.of_suite(suite).unwrap();
            copy(&fetcher, &urls, suite, &keyring, now, &folder.join("dists").join(suite));
            let archive =
                Archive::open(&fetcher, &local.of_suite(suite).unwrap(), &asked(suite), &keyring, now).unwrap();
            let texts = archive.packages(&fetcher, &["main".to_owned()], "amd64", &Silent).unwrap();
            let texts: &'static [IndexText] = Vec::leak(texts);
            let packages = texts.iter().flat_map(|text| packages::parse(text, "amd64").good).collect();
            (suite.clone(), Parsed { priority: archive.in_release.priority, packages })
        });
        Self { suites: parsed.collect(), folder, _dir: dir }
    }

    /// The default priority of a suite, from its InRelease file.
    pub(crate) fn priority(&self, suite: &str) -> i16 {
        self.suites[suite].priority
    }

    pub(crate) fn packages(&self, suite: &str) -> &[Package<'static>] {
        &self.suites[suite].packages
    }
}

fn copy(fetcher: &Fetcher, urls: &[Url], suite: &str, keyring: &Keyring, now: Date, to: &Path) {
    let archive = Archive::open(fetcher, urls, &asked(suite), keyring, now).unwrap();
    let want = archive.in_release.file(INDEX).unwrap();
    // While a mirror is updated, its index may not match its InRelease file. The path with the digest always has the right index.
    let hashed = Path::new(INDEX).parent().unwrap().join(format!("by-hash/SHA256/{}", want.sha256));
    let mirrors = urls.iter().map(|url| url.join(&format!("dists/{suite}/{}", hashed.display()))).collect();
    let job = Job { name: suite.to_owned(), want, mirrors };
    let blobs = fetcher.fetch_all(&[job], &Silent).unwrap();
    let index = to.join(INDEX);
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::copy(&blobs[0].path, index).unwrap();
    let place: Url = archive.in_release.place.parse().unwrap();
    let signed = fetcher.fetch_index(&place, 16 << 20).unwrap();
    fs::write(to.join("InRelease"), signed).unwrap();
}

fn asked(suite: &str) -> Asked {
    Asked { name: suite.to_owned(), suite: suite.parse().unwrap(), expiry: Expiry::Refuse }
}
