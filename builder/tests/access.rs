//! `berth keys host-ca`, `client` and `host`: certificates for the remote API. openssl is the judge.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// Runs `berth keys` in a folder.
fn keys(folder: &Path, words: &[&str]) -> Output {
    let mut berth = Command::new(env!("CARGO_BIN_EXE_berth"));
    berth.arg("keys").args(words).current_dir(folder).env_remove("BERTH_KEY_PASSPHRASE").output().unwrap()
}

fn good(folder: &Path, words: &[&str]) -> String {
    let output = keys(folder, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn error(folder: &Path, words: &[&str]) -> String {
    let output = keys(folder, words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The output of openssl. `None` if it fails.
fn openssl(folder: &Path, words: &[&str]) -> Option<String> {
    let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn openssl_accepts_each_certificate_for_its_purpose_only() {
    berth_judge::needs!("openssl");
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(good(folder, &["host-ca", "ca"]), "ca/ca.pem\nca/ca.key\n");
    assert_eq!(good(folder, &["client", "ca", "ann", "--role", "admin"]), "ca/ann.pem\nca/ann.key\n");
    good(folder, &["client", "ca", "bob"]);
    good(
        folder,
        &["host", "ca", "web", "--address", "192.0.2.10", "--address", "web.example.org", "--address", "2001:db8::1"],
    );
    let verify = |purpose: &str, file: &str| {
        openssl(folder, &["verify", "-CAfile", "ca/ca.pem", "-purpose", purpose, file]).is_some()
    };
    assert!(
        verify("sslclient", "ca/ann.pem") && verify("sslclient", "ca/bob.pem") && verify("sslserver", "ca/web.pem")
    );
    assert!(!verify("sslserver", "ca/ann.pem") && !verify("sslclient", "ca/web.pem"));
    let text = |file: &str| openssl(folder, &["x509", "-noout", "-text", "-in", file]).unwrap();
    assert!(text("ca/ann.pem").contains("DNS:admin.berth.internal, DNS:ann.user.berth.internal"));
    assert!(text("ca/bob.pem").contains("DNS:read.berth.internal, DNS:bob.user.berth.internal"));
    let web = text("ca/web.pem");
    assert!(
        web.contains("DNS:web, IP Address:192.0.2.10, DNS:web.example.org, IP Address:2001:DB8:0:0:0:0:0:1"),
        "{web}"
    );
    assert!(text("ca/ca.pem").contains("CA:TRUE, pathlen:0"));
    for key in ["ca/ca.key", "ca/ann.key", "ca/web.key"] {
        assert_eq!(fs::metadata(folder.join(key)).unwrap().permissions().mode() & 0o777, 0o600, "{key}");
        assert!(openssl(folder, &["pkey", "-noout", "-check", "-in", key]).is_some(), "{key}");
    }
    // The serial number is that of the certificate, for `[remote] revoked`.
    let renewed = keys(folder, &["client", "ca", "ann", "--replace", "--expires", "2d"]);
    let said = String::from_utf8(renewed.stderr).unwrap();
    let serial = openssl(folder, &["x509", "-noout", "-serial", "-in", "ca/ann.pem"]).unwrap().to_lowercase();
    let serial = serial.trim().strip_prefix("serial=").unwrap();
    assert!(said.contains(serial), "{said}: {serial}");
    assert!(openssl(folder, &["x509", "-noout", "-checkend", "86400", "-in", "ca/ann.pem"]).is_some());
    assert!(openssl(folder, &["x509", "-noout", "-checkend", "259200", "-in", "ca/ann.pem"]).is_none());
}

#[test]
fn nothing_is_replaced_by_accident_and_wrong_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    good(folder, &["host-ca", "ca"]);
    good(folder, &["client", "ca", "ann"]);
    let before = fs::read(folder.join("ca/ann.pem")).unwrap();
    for (words, text) in [
        (&["host-ca", "ca"][..], "ca exists already"),
        (&["client", "ca", "ann"], "ca/ann.pem exists already"),
        (&["client", "ca", "ca"], "other than ca"),
        (&["client", "ca", "../x"], "expected a name of a-z"),
        (&["client", "ca", "Ann"], "expected a name of a-z"),
        (&["host", "ca", "web", "--address", "*.example.org"], "expected a DNS name in lower case"),
        (&["client", "none", "ann"], "cannot read none/ca.key"),
        (&["host-ca", "x", "--passphrase-file", "y"], "add --encrypt"),
    ] {
        let said = error(folder, words);
        assert!(said.contains(text), "{words:?}: {said}");
    }
    assert_eq!(fs::read(folder.join("ca/ann.pem")).unwrap(), before);
    fs::write(folder.join("ca/ca.key"), "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n").unwrap();
    assert!(error(folder, &["client", "ca", "bob"]).contains("found a block of CERTIFICATE"));
    assert!(!folder.join("ca/bob.key").exists());
}

#[test]
fn the_key_of_an_authority_can_be_encrypted() {
    berth_judge::needs!("openssl");
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    fs::write(folder.join("pass"), "a secret\n").unwrap();
    fs::write(folder.join("wrong"), "another\n").unwrap();
    good(folder, &["host-ca", "ca", "--encrypt", "--passphrase-file", "pass"]);
    assert!(fs::read_to_string(folder.join("ca/ca.key")).unwrap().contains("BEGIN ENCRYPTED PRIVATE KEY"));
    good(folder, &["client", "ca", "ann", "--passphrase-file", "pass"]);
    assert!(openssl(folder, &["verify", "-CAfile", "ca/ca.pem", "ca/ann.pem"]).is_some());
    let said = error(folder, &["client", "ca", "bob", "--passphrase-file", "wrong"]);
    assert!(said.contains("no passphrase opens this key") && !said.contains("another"), "{said}");
    assert!(openssl(folder, &["pkey", "-noout", "-check", "-in", "ca/ca.key", "-passin", "file:pass"]).is_some());
}
