//! Tests of the chain of trust: keyrings, signatures, InRelease files, indices and packages.

use super::{
    archive::{Archive, Asked},
    debs::{DebRef, fetch_debs},
    error::{DebianError, Refusal},
    fixture::{Algorithm, CREATED, Fixture, Flaw, GOOD, KeySpec, NOW, SIGNED, TestKey, gpgv, paragraph, rfc},
    keyring::Keyring,
    mirrors::Mirrors,
    packages,
    suite::Expiry,
};
use crate::date::Date;
use berth_fetch::{
    blob::Want,
    error::FetchError,
    fetcher::Fetcher,
    progress::Silent,
    settings::{FetchSettings, Network},
    store::Store,
};
use pgp::{crypto::hash::HashAlgorithm, packet::SignatureType};
use std::path::Path;

const TEXT: &str = "Origin: Test\n- dashed\na line\nlast";

fn verify(keyring: &[u8], signed: &str, now: Date) -> Result<String, DebianError> {
    let keyring = Keyring::parse(keyring, Path::new("keys.gpg"))?;
    keyring.verify("x/InRelease", signed.as_bytes(), now).map(|text| text.as_str().to_owned())
}

fn refusal(keyring: &[u8], signed: &str) -> Refusal {
    match verify(keyring, signed, NOW).unwrap_err() {
        DebianError::Untrusted { mut refusals, .. } => refusals.pop().unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn valid_signatures_of_primary_keys_and_subkeys_are_accepted_as_by_gpgv() {
    berth_judge::needs!("gpgv");
    for spec in [
        GOOD,
        KeySpec { subkey: Some(0), ..GOOD },
        KeySpec { subkey: Some(3650), ..GOOD },
        KeySpec { life: Some(3650), ..GOOD },
    ] {
        let key = TestKey::new(spec);
        // White space at the end of a line is not signed, so it must not be part of the text.
        let signed = key.sign(TEXT).replace("a line\n", "a line \t\n");
        let other = TestKey::new(KeySpec { seed: 2, ..GOOD });
        let words = gpgv(&key.binary(), &signed);
        assert!(words.iter().any(|word| word == "GOODSIG"), "{words:?}");
        for keyring in [
            key.binary(),
            key.armored().into_bytes(),
            [other.binary(), key.binary()].concat(),
            format!("a comment\n{}\n{}", other.armored(), key.armored()).into_bytes(),
        ] {
            assert_eq!(verify(&keyring, &signed, NOW).unwrap(), TEXT);
        }
        // Check the test itself: the same seed must give the same key and the same signature.
        assert_eq!(key.sign(TEXT), TestKey::new(spec).sign(TEXT));
    }
}

#[test]
fn invalid_signatures_are_refused_for_the_same_reason_as_by_gpgv() {
    berth_judge::needs!("gpgv");
    let (good, key) = (TestKey::new(GOOD), TestKey::new(KeySpec { seed: 2, ..GOOD }));
    let signed = good.sign(TEXT);
    let judged = |keyring: &[u8], signed: &str, word: &str| {
        let words = gpgv(keyring, signed);
        assert!(words.iter().any(|found| found == word), "wanted {word}: {words:?}");
        refusal(keyring, signed)
    };
    assert!(matches!(judged(&key.binary(), &signed, "NO_PUBKEY"), Refusal::NoKey { .. }));
    let tampered = signed.replace("Origin: Test", "Origin: Tost");
    assert!(matches!(judged(&good.binary(), &tampered, "BADSIG"), Refusal::Bad { .. }));

    for spec in [
        KeySpec { life: Some(180), ..GOOD },
        KeySpec { life: Some(100), ..GOOD },
        KeySpec { subkey: Some(180), ..GOOD },
        KeySpec { subkey: Some(0), life: Some(180), ..GOOD },
    ] {
        let key = TestKey::new(spec);
        let reason = judged(&key.binary(), &key.sign(TEXT), "EXPKEYSIG");
        assert!(matches!(reason, Refusal::Expired { .. }), "{reason}");
    }
    for (flaw, subkey) in [(Flaw::Revoked, None), (Flaw::Revoked, Some(0)), (Flaw::SubkeyRevoked, Some(0))] {
        let key = TestKey::new(KeySpec { flaw: Some(flaw), subkey, ..GOOD });
        assert!(matches!(judged(&key.binary(), &key.sign(TEXT), "REVKEYSIG"), Refusal::Revoked { .. }));
    }
    for flaw in [Flaw::SubkeyUnwilling, Flaw::SubkeyUnbound, Flaw::NoUser] {
        let key = TestKey::new(KeySpec { flaw: Some(flaw), subkey: Some(0), ..GOOD });
        assert!(!gpgv(&key.binary(), &key.sign(TEXT)).contains(&"GOODSIG".to_owned()) || flaw == Flaw::NoUser);
        assert!(matches!(refusal(&key.binary(), &key.sign(TEXT)), Refusal::Unbound { .. }));
    }

    // Checks that gpgv leaves to its caller.
    for subkey in [None, Some(0)] {
        let key = TestKey::new(KeySpec { may_sign: false, subkey, ..GOOD });
        assert!(matches!(refusal(&key.binary(), &key.sign(TEXT)), Refusal::NotForSigning { .. }));
    }
    let rsa = TestKey::new(KeySpec { algorithm: Algorithm::Rsa, ..GOOD });
    verify(&rsa.binary(), &rsa.sign(TEXT), NOW).unwrap();
    let weak = rsa.sign_as(TEXT, SignatureType::Text, HashAlgorithm::Sha1, SIGNED);
    assert!(matches!(refusal(&rsa.binary(), &weak), Refusal::Hash { .. }));
    let sign = |kind, hash, at| refusal(&good.binary(), &good.sign_as(TEXT, kind, hash, at));
    assert!(matches!(sign(SignatureType::Binary, HashAlgorithm::Sha512, SIGNED), Refusal::Type));
    assert!(matches!(sign(SignatureType::Text, HashAlgorithm::Sha512, NOW.0 + 60), Refusal::Future { .. }));
    assert!(matches!(sign(SignatureType::Text, HashAlgorithm::Sha512, CREATED - 60), Refusal::SignedBeforeKey { .. }));
    assert!(verify(&good.binary(), &signed, Date(SIGNED - 60)).is_err(), "signature from the future");
}

#[test]
fn text_outside_of_the_signed_message_is_refused() {
    let key = TestKey::new(GOOD);
    let signed = key.sign(TEXT);
    for mixed in [
        format!("Origin: Evil\n{signed}"),
        format!("{signed}Origin: Evil\n"),
        signed.replace("SIGNED MESSAGE-----\n", "SIGNED MESSAGE-----\nOrigin: Evil\n"),
        signed.replace("-----BEGIN PGP SIGNATURE", "-----BEGIN PGP SIGNATURE-----\n\nx\n-----BEGIN PGP SIGNATURE"),
        format!("{signed}{signed}"),
        TEXT.to_owned(),
        String::new(),
    ] {
        let error = verify(&key.binary(), &mixed, NOW).unwrap_err();
        assert!(matches!(error, DebianError::NotSigned { .. }), "{mixed}\n{error}");
    }
}

#[test]
fn the_error_names_a_file_that_is_not_a_keyring() {
    for bytes in [&b""[..], b"no key", b"\0\0\0 \x01\x01\0\x02KBXf\0\0\0\0", &[0xff; 100], &[0x99, 0, 3, 1, 2]] {
        assert!(matches!(verify(bytes, "", NOW), Err(DebianError::Keyring { .. })), "{bytes:?}");
    }
    let missing = Keyring::load(Path::new("/nonexistent/keys.gpg")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/keys.gpg") && missing.hint().is_some());
}

fn main() -> Vec<String> {
    vec!["main".to_owned()]
}

struct Bench {
    fixture: Fixture,
    key: TestKey,
    fetcher: Fetcher,
}

impl Bench {
    fn new() -> Self {
        let fixture = Fixture::new();
        let store = Store::open(&fixture.path().join("cache")).unwrap();
        Self {
            key: TestKey::new(GOOD),
            fetcher: Fetcher::new(store, FetchSettings::new(Network::Offline, None)),
            fixture,
        }
    }

    fn open(&self, suite: &str) -> Result<Archive, DebianError> {
        let keyring = Keyring::parse(&self.key.binary(), Path::new("keys.gpg"))?;
        let mirrors = Mirrors::given(&[self.fixture.url()])?.of_suite(suite)?;
        let asked = Asked {
            name: suite.to_owned(),
            suite: suite.parse().map_err(|_| DebianError::NoMirror { suite: suite.into(), reason: "bad".into() })?,
            expiry: Expiry::Refuse,
        };
        Archive::open(&self.fetcher, &mirrors, &asked, &keyring, NOW)
    }

    fn index(&self, fields: &str, packages: &str) -> Result<String, DebianError> {
        self.fixture.suite(&self.key, "trixie", fields, packages);
        let mut texts = self.open("trixie")?.packages(&self.fetcher, &main(), "amd64", &Silent)?;
        Ok(texts.remove(0).text)
    }
}

#[test]
fn an_in_release_must_be_current_and_of_the_requested_suite() {
    let bench = Bench::new();
    let opened = |fields: &str| {
        bench.fixture.suite(&bench.key, "trixie", fields, &paragraph("a 1", &[]));
        bench.open("trixie")
    };
    let archive = opened("Acquire-By-Hash: yes\n").unwrap();
    assert_eq!((archive.in_release.date, archive.in_release.priority), (Date(SIGNED), 500));
    assert_eq!(opened("NotAutomatic: yes\nButAutomaticUpgrades: yes\n").unwrap().in_release.priority, 100);
    opened(&format!("Valid-Until: {}\n", rfc(NOW.0))).unwrap();

    let expired = opened(&format!("Valid-Until: {}\n", rfc(NOW.0 - 1))).unwrap_err();
    assert!(matches!(expired, DebianError::Expired { .. }), "{expired}");
    assert!(expired.to_string().contains("dists/trixie/InRelease: valid until 2026-10-31T"), "{expired}");
    assert!(matches!(opened("Valid-Until: tomorrow\n"), Err(DebianError::InRelease { field: "Valid-Until", .. })));

    // A suite under the name of another suite, and a suite with a date in the future.
    let signed = bench.key.sign(&bench.fixture.release("bookworm", "", ""));
    bench.fixture.write("debian/dists/trixie/InRelease", signed);
    assert!(matches!(bench.open("trixie"), Err(DebianError::InRelease { field: "Suite and Codename", .. })));
    let text = bench.fixture.release("trixie", "", "").replace(&rfc(SIGNED), &rfc(NOW.0 + 60));
    bench.fixture.write("debian/dists/trixie/InRelease", bench.key.sign(&text));
    assert!(matches!(bench.open("trixie"), Err(DebianError::NotYet { .. })));
    let role = bench.key.sign(&bench.fixture.release("trixie", "", ""));
    bench.fixture.write("debian/dists/role-of-trixie/InRelease", role);
    bench.open("role-of-trixie").unwrap();

    let missing = bench.open("forky").unwrap_err();
    assert!(missing.hint().unwrap().contains("/dists"), "{missing}");
    assert!(bench.open("../x").is_err());
    for text in ["Codename: trixie\nDate: x\n", "\n", "A: 1\n\nB: 2\n", "Codename: trixie\nSHA256:\n x y z\n"] {
        bench.fixture.write("debian/dists/trixie/InRelease", bench.key.sign(text));
        assert!(matches!(bench.open("trixie"), Err(DebianError::InRelease { .. })), "{text}");
    }
}

#[test]
fn an_index_must_match_the_in_release() {
    let text = paragraph("a 1", &["Depends: b"]) + &paragraph("b 2", &[]);
    for fields in ["", "Acquire-By-Hash: yes\n"] {
        assert_eq!(Bench::new().index(fields, &text).unwrap(), text);
    }
    // Without the by-hash file, the index is read by its plain name.
    let bench = Bench::new();
    bench.fixture.suite(&bench.key, "trixie", "Acquire-By-Hash: yes\n", &text);
    let folder = bench.fixture.path().join("debian/dists/trixie/main/binary-amd64");
    std::fs::remove_dir_all(folder.join("by-hash")).unwrap();
    let archive = bench.open("trixie").unwrap();
    archive.packages(&bench.fetcher, &main(), "amd64", &Silent).unwrap();
    let missing = archive.packages(&bench.fetcher, &["contrib".to_owned()], "amd64", &Silent).unwrap_err();
    assert!(missing.to_string().contains("expected an index contrib/binary-amd64/Packages as .xz"), "{missing}");

    type Damage = fn(&[u8]) -> Vec<u8>;
    type Expected = fn(&FetchError) -> bool;
    let damages: [(Damage, Expected); 3] = [
        (|bytes| bytes[1..].to_vec(), |error| matches!(error, FetchError::Size { .. })),
        (|bytes| [bytes, &[0]].concat(), |error| matches!(error, FetchError::Size { .. })),
        (|bytes| bytes.iter().map(|byte| byte ^ 1).collect(), |error| matches!(error, FetchError::Digest { .. })),
    ];
    for (damage, expected) in damages {
        let bench = Bench::new();
        bench.fixture.suite(&bench.key, "trixie", "", &text);
        let path = bench.fixture.path().join("debian/dists/trixie/main/binary-amd64/Packages.xz");
        std::fs::write(&path, damage(&std::fs::read(&path).unwrap())).unwrap();
        match bench.open("trixie").unwrap().packages(&bench.fetcher, &main(), "amd64", &Silent).unwrap_err() {
            DebianError::Fetch(error) => assert!(expected(&error), "{error}"),
            other => panic!("{other}"),
        }
    }

    // An index whose unpacked size differs from the signed size.
    for (from, to) in [(text.len(), text.len() - 1), (text.len(), text.len() + 1)] {
        let bench = Bench::new();
        let release = bench.fixture.release("trixie", "", &text);
        let lie = release.replace(
            &format!(" {from:>8} main/binary-amd64/Packages\n"),
            &format!(" {to} main/binary-amd64/Packages\n"),
        );
        assert_ne!(release, lie);
        bench.fixture.write("debian/dists/trixie/InRelease", bench.key.sign(&lie));
        let error = bench.open("trixie").unwrap().packages(&bench.fetcher, &main(), "amd64", &Silent).unwrap_err();
        assert!(matches!(error, DebianError::Index { .. }), "{error}");
    }
}

#[test]
fn invalid_packages_are_refused_and_the_error_names_package_and_field() {
    let index = |text: String| super::archive::IndexText { place: "trixie: Packages".into(), text };
    let good = paragraph("a 1", &["Provides: x (= 1)", "Multi-Arch: foreign", "Essential: yes", "Installed-Size: 9"]);
    let foreign = paragraph("c 1", &[]).replace("amd64", "i386");
    let read = index(good.clone() + &foreign);
    let packages = packages::parse(&read, "amd64").good;
    assert_eq!(packages.iter().map(|p| p.name).collect::<Vec<_>>(), ["a"]);
    assert!(packages[0].essential && packages[0].installed_size == Some(9 << 10) && packages[0].provides == "x (= 1)");
    for (from, to, wanted) in [
        ("pool/a.deb", "../a.deb", "trixie: Packages: package a: Filename: expected a relative path"),
        ("Filename: pool/a.deb", "X: y", "package a: Filename:"),
        ("Size: 1\n", "Size: -1\n", "package a: Size:"),
        ("Size: 1\n", "Size: 18446744073709551615\n", "package a: Size:"),
        ("SHA256: ", "SHA256: 0", "package a: SHA256:"),
        ("Version: 1", "Version: 1 2", "package a: Version:"),
        ("Package: a", "Package: ", "package (after the start): Package:"),
        ("Package: a", "Package: a/b", "Package:"),
    ] {
        let broken = index(good.replace(from, to));
        assert_ne!(broken.text, good);
        let other = paragraph("b 1", &[]);
        let broken = index(broken.text + &other);
        let packages::Packages { good, odd } = packages::parse(&broken, "amd64");
        assert_eq!(good.iter().map(|package| package.name).collect::<Vec<_>>(), ["b"], "the others stay usable");
        assert_eq!(odd.len(), 1);
        assert!(odd[0].error.to_string().contains(wanted), "{}", odd[0].error);
    }
    // APT takes these sizes too. deb822(5): names of fields have no case.
    for size in ["much", "65M", "706.0", "", "4294967296"] {
        let text = index(good.replace("Installed-Size: 9", &format!("Installed-Size: {size}")));
        assert_eq!(packages::parse(&text, "amd64").good[0].installed_size, None, "{size}");
    }
    let shout =
        index(good.replace("SHA256:", "Sha256:").replace("Package:", "PACKAGE:").replace("Size: 1\n", "SIZE: 1\n"));
    assert_eq!(packages::parse(&shout, "amd64").good[0].want.size, 1);
}

#[test]
fn only_packages_that_match_the_lock_are_fetched() {
    let bench = Bench::new();
    bench.fixture.write("debian/pool/a.deb", "a");
    let mirrors = Mirrors::given(&[bench.fixture.url()]).unwrap();
    let want = Want { sha256: super::fixture::hex(b"a").parse().unwrap(), size: 1 };
    let deb = DebRef { name: "a", suite: "trixie", file: "pool/a.deb", want };
    let fetch = |mirrors: &Mirrors, deb: DebRef<'_>| {
        fetch_debs(&bench.fetcher, &|suite| mirrors.of_suite(suite), &[deb], &Silent)
    };
    bench.fixture.write("debian/pool/a.deb", "b");
    assert!(matches!(fetch(&mirrors, deb), Err(DebianError::Fetch(FetchError::Digest { .. }))));
    bench.fixture.write("debian/pool/a.deb", "aa");
    assert!(matches!(fetch(&mirrors, deb), Err(DebianError::Fetch(FetchError::Size { wanted: 1, .. }))));
    bench.fixture.write("debian/pool/a.deb", "a");
    assert_eq!(std::fs::read(&fetch(&mirrors, deb).unwrap()[0].path).unwrap(), b"a");
    // A package in the store needs no mirror.
    fetch(&Mirrors::Host(vec![]), deb).unwrap();
    let other = DebRef { want: Want { size: 2, sha256: super::fixture::hex(b"bb").parse().unwrap() }, ..deb };
    let offline = fetch(&Mirrors::Host(vec![]), other).unwrap_err();
    assert!(offline.to_string().contains("not in the cache: a"), "{offline}");
    let online = Fetcher::new(bench.fetcher.store().clone(), FetchSettings::new(Network::Online, None));
    let error = fetch_debs(&online, &|suite| Mirrors::Host(vec![]).of_suite(suite), &[other], &Silent).unwrap_err();
    assert!(matches!(error, DebianError::NoMirror { .. }), "{error}");
}
