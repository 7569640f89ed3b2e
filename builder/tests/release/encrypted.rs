//! Encrypted keys: openssl reads ours, berth reads those of openssl, and a passphrase is never printed.

use crate::{
    assemble_kit::tool,
    build_kit::{done, talk},
    release::site::Site,
};
use std::{
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

const SECRET: &str = "correct horse battery";

fn key_files(site: &Site, folder: &str) -> Vec<PathBuf> {
    let listed = fs::read_dir(site.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    listed.filter(|path| path.extension().is_some_and(|ending| ending == "pem")).collect()
}

/// Runs berth with the passphrase in the environment.
fn with_secret(site: &Site, secret: &str, arguments: &[&str]) -> Output {
    site.berth(arguments).env("BERTH_KEY_PASSPHRASE", secret).output().unwrap()
}

/// Runs berth at a terminal, where each line is typed when the next question appears. Returns what the terminal shows.
fn at_terminal(site: &Site, arguments: &str, lines: &[&str]) -> String {
    let command = format!("{} {arguments}", site.path("bin/berth").display());
    let mut script = Command::new("script");
    script.args(["-qefc", &command, "/dev/null"]).current_dir(site.small.dir.path());
    script.env_remove("BERTH_KEY_PASSPHRASE").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take().unwrap());
    let (mut shown, mut lines, mut byte) = (String::new(), lines.iter(), [0]);
    while stdout.read(&mut byte).unwrap() == 1 {
        shown.push(char::from(byte[0]));
        let asked = shown.rsplit('\n').next().is_some_and(|line| line.contains("passphrase") && line.ends_with(": "));
        if let (true, Some(open)) = (asked, &mut stdin) {
            match lines.next() {
                Some(line) => writeln!(open, "{line}").unwrap(),
                // The end of input answers all other questions.
                None => stdin = None,
            }
        }
    }
    child.wait().unwrap();
    shown
}

#[test]
fn keys_are_encrypted_as_openssl_does_it_and_no_passphrase_is_printed() {
    berth_judge::needs!("openssl", "script");
    let site = Site::new();
    let good = with_secret(&site, SECRET, &["keys", "new", "safe", "--encrypt"]);
    assert!(good.status.success(), "{}", talk(&good));
    let files = key_files(&site, "safe");
    // Two root keys, and one for each other role.
    assert_eq!(files.len(), 5);
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
        let path = path.to_str().unwrap();
        let shown = tool("openssl", &["pkey", "-noout", "-text", "-in", path, "-passin", &format!("pass:{SECRET}")]);
        assert!(shown.starts_with("ED25519 Private-Key"), "{shown}");
        let wrong = Command::new("openssl").args(["pkey", "-noout", "-in", path, "-passin", "pass:wrong"]).output();
        assert!(!wrong.unwrap().status.success(), "{path}");
    }
    let root = fs::read_to_string(site.path("safe/root.json")).unwrap();
    let root: serde_json::Value = serde_json::from_str(&root).unwrap();
    assert_eq!(root["signed"]["roles"]["root"]["keyids"].as_array().unwrap().len(), 2);
    assert_eq!(root["signed"]["roles"]["root"]["threshold"], 1);

    // Without the passphrase nothing is signed, and nothing is asked without a terminal.
    let release = ["release", "out", "--repo", "repo", "--keys", "safe", "--level", "1"];
    let bare = site.bad(&release);
    assert!(
        bare.starts_with("error: targets: expected 1 private keys, found 0, and no right passphrase for "),
        "{bare}"
    );
    assert!(bare.contains("--passphrase-file"), "{bare}");
    let wrong = with_secret(&site, "not the secret", &release);
    assert!(!wrong.status.success() && !talk(&wrong).contains("not the secret"), "{}", talk(&wrong));
    assert!(!site.path("repo/metadata/timestamp.json").exists());
    fs::write(site.path("secret"), format!("another\n{SECRET}\n")).unwrap();
    let talk = site.says(&[&release[..], &["--passphrase-file", "secret", "-v"]].concat());
    assert!(!talk.contains(SECRET) && !talk.contains("another"), "{talk}");
    // Nobody needs a passphrase to look.
    site.good(&["repo", "check", "--repo", "repo", "--keys", "safe"]);
    // New keys of an encrypted folder are encrypted with the same passphrase.
    site.good(&["keys", "rotate", "safe", "targets", "--repo", "repo", "--passphrase-file", "secret"]);
    assert_eq!(key_files(&site, "safe").len(), 6);
    for path in key_files(&site, "safe") {
        assert!(fs::read_to_string(path).unwrap().contains("ENCRYPTED"));
    }
    site.good(&["repo", "refresh", "--repo", "repo", "--keys", "safe", "--passphrase-file", "secret"]);

    let plain = site.bad(&["keys", "new", "more", "--passphrase-file", "secret"]);
    assert!(
        plain.starts_with("error: --passphrase-file without --encrypt: ") && !site.path("more").exists(),
        "{plain}"
    );
    fs::write(site.path("empty"), "\n").unwrap();
    let empty = site.bad(&["keys", "new", "more", "--encrypt", "--passphrase-file", "empty"]);
    assert!(empty.contains("expected a line of text") && !site.path("more").exists(), "{empty}");
    let none = site.bad(&["keys", "new", "more", "--encrypt"]);
    assert!(none.starts_with("error: no passphrase to encrypt the keys with\nhint: "), "{none}");
}

#[test]
fn keys_that_openssl_has_encrypted_are_read_and_a_terminal_is_asked() {
    berth_judge::needs!("openssl", "script");
    let site = Site::new();
    // openssl's default is PBKDF2; its scrypt has other costs than ours.
    for (path, kind) in key_files(&site, "keys").iter().zip([&["-v2", "aes-256-cbc"][..], &["-scrypt"]].iter().cycle())
    {
        let (old, new) = (path.to_str().unwrap(), path.with_extension("new"));
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs8", "-topk8", "-in", old, "-passout", &format!("pass:{SECRET}"), "-out"]).arg(&new);
        done(openssl.args(*kind));
        fs::rename(new, path).unwrap();
    }
    let release = "release out --repo repo --keys keys --level 1";
    let shown = at_terminal(&site, release, &["wrong", SECRET]);
    assert!(site.path("repo/metadata/timestamp.json").exists(), "{shown}");
    // The first file is asked for twice, the others have the same passphrase. Root keys are not needed.
    assert_eq!(shown.matches("passphrase of keys/").count(), 2, "{shown}");
    assert!(!shown.contains("root-") && !shown.contains(SECRET) && !shown.contains("wrong"), "{shown}");
    let shown = at_terminal(&site, "keys new typed --encrypt", &[SECRET, "other", SECRET, SECRET]);
    assert!(shown.contains("the two differ") && !shown.contains(SECRET), "{shown}");
    assert_eq!(key_files(&site, "typed").len(), 5, "{shown}");
}

/// Encrypts the key files whose name has this start with a passphrase.
fn encrypt(site: &Site, start: &str, passphrase: &str) {
    for path in key_files(site, "keys") {
        if path.file_name().is_some_and(|name| name.to_str().unwrap().starts_with(start)) {
            let new = path.with_extension("new");
            let mut openssl = Command::new("openssl");
            openssl.args(["pkcs8", "-topk8", "-passout", &format!("pass:{passphrase}"), "-in"]).arg(&path);
            done(openssl.arg("-out").arg(&new));
            fs::rename(new, path).unwrap();
        }
    }
}

#[test]
fn new_keys_get_the_passphrase_of_their_role() {
    berth_judge::needs!("openssl");
    let site = Site::new();
    site.released("out");
    let rotate = ["keys", "rotate", "keys", "timestamp", "--repo", "repo"];
    let rotated = |more: &[&str]| {
        let output = done(&mut site.berth(&[&rotate[..], more].concat()));
        let path = site.path(String::from_utf8(output.stdout.clone()).unwrap().trim());
        (path, talk(&output))
    };
    // Another key stays locked: the new key is not encrypted, with a warning.
    encrypt(&site, "targets-", SECRET);
    let (path, warned) = rotated(&[]);
    assert!(fs::read_to_string(&path).unwrap().contains("BEGIN PRIVATE KEY"));
    assert!(warned.contains(" is not encrypted, unlike other keys: no passphrase opened them"), "{warned}");
    // Each role has a passphrase of its own.
    encrypt(&site, "root-", "for root");
    encrypt(&site, "timestamp-", "for timestamp");
    fs::write(site.path("secrets"), "for root\nfor timestamp\n").unwrap();
    let (path, warned) = rotated(&["--passphrase-file", "secrets"]);
    assert!(!warned.contains("not encrypted"), "{warned}");
    tool("openssl", &["pkey", "-noout", "-in", path.to_str().unwrap(), "-passin", "pass:for timestamp"]);
}
