//! Unified kernel images, judged by systemd's ukify and by the tools that sign and check for Secure Boot.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod judge;

use berth_formats::{data::Data, pe};
use judge::judge;
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

fn parts() -> Vec<(&'static str, Data)> {
    vec![
        (".linux", vec![0x90; 1_000_001].into()),
        (".osrel", b"ID=berth\nVERSION=1\n".to_vec().into()),
        (".uname", b"6.12.0".to_vec().into()),
        (".cmdline", b"roothash=00 quiet".to_vec().into()),
        (".initrd", vec![7; 300_000].into()),
    ]
}

fn uki(path: &Path) {
    let stub = fs::read(STUB).unwrap_or_else(|error| panic!("{STUB}: {error}; run ci/setup"));
    fs::write(path, pe::append_sections(&stub, &parts()).unwrap()).unwrap();
}

#[test]
fn ukify_finds_every_section_with_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uki.efi");
    uki(&path);
    let judges = judge(concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/judges"), &[]);
    let ukify = format!("{}/bin/ukify", judges.trim_end());
    let told: serde_json::Value =
        serde_json::from_str(&judge(&ukify, &["inspect", path.to_str().unwrap(), "--all", "--json=short"])).unwrap();
    for (name, data) in parts() {
        let bytes = data.to_bytes().unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(told[name]["size"], bytes.len(), "{name}: {told}");
        assert_eq!(told[name]["sha256"], digest, "{name}: {told}");
    }
    assert_eq!(told[".cmdline"]["text"], "roothash=00 quiet");
    assert!(told[".sbat"]["text"].as_str().unwrap().starts_with("sbat,1,"), "{told}");
}

#[test]
fn signatures_for_secure_boot_are_added_and_valid() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (plain, signed, key, certificate) = (file("plain.efi"), file("signed.efi"), file("key"), file("certificate"));
    uki(plain.as_ref());
    let subject = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=berth test"];
    judge("openssl", &[&["req", "-keyout", &key, "-out", &certificate][..], &subject].concat());
    let said = judge("sbsign", &["--key", &key, "--cert", &certificate, "--output", &signed, &plain]);
    // The tools warn ("gaps between PE/COFF sections", "data remaining") if firmware would hash other bytes than the signer.
    assert!(!said.contains("warning"), "{said}");
    assert!(judge("sbverify", &["--cert", &certificate, &signed]).contains("Signature verification OK"));

    let image = fs::read(&signed).unwrap();
    for (name, data) in parts() {
        let section = pe::sections(&image).unwrap().into_iter().find(|it| it.name == name).unwrap();
        assert!(section.content(&image) == &*data.to_bytes().unwrap(), "{name}");
        // With one changed bit the signature is invalid.
        let mut bad = image.clone();
        bad[section.raw.start] ^= 1;
        let path = file("bad.efi");
        fs::write(&path, bad).unwrap();
        let run = std::process::Command::new("sbverify").args(["--cert", &certificate, &path]).output().unwrap();
        assert!(!run.status.success(), "{name}");
    }
}
