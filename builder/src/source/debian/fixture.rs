//! Small archives for tests. The signing keys are made from a seed.

use super::Date;
use liblzma::{read::XzEncoder, stream::Check};
use pgp::{
    composed::{
        ArmorOptions, CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedKeyDetails,
        SignedPublicKey, SignedPublicSubKey, SubkeyParamsBuilder,
    },
    crypto::hash::HashAlgorithm,
    packet::{KeyFlags, SecretKey, SecretSubkey, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId},
    ser::Serialize as _,
    types::{Duration, Password, SignedUser, SigningKey, Tag, Timestamp},
};
use rand::{SeedableRng as _, rngs::StdRng};
use sha2::Digest as _;
use std::{fmt::Write as _, fs, io::Read as _, path::Path, process::Command};
use tempfile::TempDir;

/// 2026-01-01: creation of keys.
pub(crate) const CREATED: u64 = 1_767_225_600;
/// 2026-06-01: time of the archives' signatures.
pub(crate) const SIGNED: u64 = 1_780_272_000;
/// 2026-11-01: the time at which tests check signatures. It is before the real time: gpgv always uses the real clock, and
/// must come to the same result.
pub(crate) const NOW: Date = Date(1_793_491_200);
const DAY: u64 = 86_400;

/// Properties of a test key.
#[derive(Clone, Copy)]
pub(crate) struct KeySpec {
    pub(crate) seed: u64,
    /// Lifetime in days from [`CREATED`].
    pub(crate) life: Option<u64>,
    /// If set, signatures are made with a subkey that has this lifetime in days (0: unlimited).
    pub(crate) subkey: Option<u64>,
    pub(crate) may_sign: bool,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) algorithm: Algorithm,
}

/// A fault that makes a key invalid.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flaw {
    Revoked,
    SubkeyRevoked,
    /// The subkey's own signature of the binding is missing.
    SubkeyUnwilling,
    /// The primary key's signature of the binding is not valid.
    SubkeyUnbound,
    /// The certificate has no user id, hence no self-signature.
    NoUser,
}

/// Key algorithms. Debian's archives use both.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Algorithm {
    Ed25519,
    Rsa,
}

pub(crate) const GOOD: KeySpec =
    KeySpec { seed: 1, life: None, subkey: None, may_sign: true, flaw: None, algorithm: Algorithm::Ed25519 };

pub(crate) struct TestKey {
    primary: SecretKey,
    subkey: Option<SecretSubkey>,
    public: SignedPublicKey,
}

fn config(key: &impl SigningKey, kind: SignatureType, hash: HashAlgorithm, at: u64) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    let at = Timestamp::from_secs(u32::try_from(at).unwrap());
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(at)).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).unwrap()];
    config
}

fn describe(config: &mut SignatureConfig, life: Option<u64>, may_sign: bool) {
    let mut flags = KeyFlags::default();
    flags.set_sign(may_sign);
    flags.set_certify(!may_sign);
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    if let Some(days) = life.filter(|&days| days > 0) {
        let life = Duration::from_secs(u32::try_from(days * DAY).unwrap());
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyExpirationTime(life)).unwrap());
    }
}

impl TestKey {
    pub(crate) fn new(spec: KeySpec) -> Self {
        let created = Timestamp::from_secs(u32::try_from(CREATED).unwrap());
        let kind = || if spec.algorithm == Algorithm::Rsa { KeyType::Rsa(2048) } else { KeyType::Ed25519Legacy };
        let mut params = SecretKeyParamsBuilder::default();
        params.key_type(kind()).can_certify(true).created_at(created).primary_user_id("test".into());
        let mut subkey = SubkeyParamsBuilder::default();
        subkey.key_type(kind()).can_sign(true).can_encrypt(EncryptionCaps::None).created_at(created);
        params.subkeys(vec![subkey.build().unwrap()]);
        let made = params.build().unwrap().generate(StdRng::seed_from_u64(spec.seed)).unwrap();

        // The library dates its own signatures with the real clock. So keep only the keys, and make the signatures here.
        let (primary, password) = (made.primary_key, Password::empty());
        let (public, hash) = (primary.public_key().clone(), HashAlgorithm::Sha256);
        let user = UserId::from_str(Default::default(), "Test <test@example.org>").unwrap();
        let mut own = config(&primary, SignatureType::CertPositive, hash, CREATED);
        describe(&mut own, spec.life, spec.may_sign && spec.subkey.is_none());
        let own = own.sign_certification(&primary, &public, &password, Tag::UserId, &user).unwrap();
        let revocations = (spec.flaw == Some(Flaw::Revoked)).then(|| {
            config(&primary, SignatureType::KeyRevocation, hash, CREATED + DAY).sign_key(&primary, &password, &public)
        });
        let subkey = spec.subkey.and_then(|_| made.secret_subkeys.into_iter().next()).map(|subkey| subkey.key);
        let bound = subkey.as_ref().map(|subkey| {
            let back = config(subkey, SignatureType::KeyBinding, hash, CREATED);
            let back = back.sign_primary_key_binding(subkey, subkey.public_key(), &password, &public).unwrap();
            let mut binding = config(&primary, SignatureType::SubkeyBinding, hash, CREATED);
            describe(&mut binding, spec.subkey, spec.may_sign);
            if spec.flaw != Some(Flaw::SubkeyUnwilling) {
                let back = SubpacketData::EmbeddedSignature(Box::new(back));
                binding.hashed_subpackets.push(Subpacket::regular(back).unwrap());
            }
            let bind = |binding: SignatureConfig| match spec.flaw {
                Some(Flaw::SubkeyUnbound) => binding.sign_subkey_binding(&primary, &public, &password, &public),
                _ => binding.sign_subkey_binding(&primary, &public, &password, subkey.public_key()),
            };
            let mut signatures = vec![bind(binding).unwrap()];
            if spec.flaw == Some(Flaw::SubkeyRevoked) {
                let revocation = config(&primary, SignatureType::SubkeyRevocation, hash, CREATED + DAY);
                signatures.push(bind(revocation).unwrap());
            }
            SignedPublicSubKey::new(subkey.public_key().clone(), signatures)
        });
        let revocations = revocations.into_iter().map(Result::unwrap).collect();
        let users = if spec.flaw == Some(Flaw::NoUser) { vec![] } else { vec![SignedUser::new(user, vec![own])] };
        let details = SignedKeyDetails::new(revocations, vec![], users, vec![]);
        let public = SignedPublicKey::new(public, details, bound.into_iter().collect());
        Self { primary, subkey, public }
    }

    pub(crate) fn binary(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.public.to_writer(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn armored(&self) -> String {
        self.public.to_armored_string(ArmorOptions::default()).unwrap()
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        self.sign_as(text, SignatureType::Text, HashAlgorithm::Sha512, SIGNED)
    }

    pub(crate) fn sign_as(&self, text: &str, kind: SignatureType, hash: HashAlgorithm, at: u64) -> String {
        let password = Password::empty();
        let message = match &self.subkey {
            Some(key) => CleartextSignedMessage::new(text, config(key, kind, hash, at), key, &password),
            None => CleartextSignedMessage::new(text, config(&self.primary, kind, hash, at), &self.primary, &password),
        };
        message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
    }
}

/// Runs gpgv on a signed text and returns its status words, e.g. `GOODSIG`.
pub(crate) fn gpgv(keys: &[u8], signed: &str) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let (keyring, file) = (dir.path().join("keys.gpg"), dir.path().join("InRelease"));
    fs::write(&keyring, keys).unwrap();
    fs::write(&file, signed).unwrap();
    let mut gpgv = Command::new("gpgv");
    gpgv.args(["--status-fd", "1", "--keyring"]).arg(keyring).arg(file).env("GNUPGHOME", dir.path());
    let output = gpgv.output().expect("gpgv: run ci/setup");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split(' ').nth(1)).map(String::from).collect()
}

/// An archive on disk. Tests add suites and read them through a `file:` URL.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("file:{}", self.path().join("debian").display())
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes the suite's index for amd64, and its InRelease signed by `key`. `fields` are additional lines of the InRelease.
    pub(crate) fn suite(&self, key: &TestKey, suite: &str, fields: &str, packages: &str) {
        let signed = key.sign(&self.release(suite, fields, packages));
        self.write(&format!("debian/dists/{suite}/InRelease"), signed);
    }

    /// Writes the suite's index and returns the text of the InRelease, not yet signed.
    pub(crate) fn release(&self, suite: &str, fields: &str, packages: &str) -> String {
        let mut packed = Vec::new();
        let stream = liblzma::stream::Stream::new_easy_encoder(0, Check::Crc32).unwrap();
        XzEncoder::new_stream(packages.as_bytes(), stream).read_to_end(&mut packed).unwrap();
        let mut text = format!("Suite: role-of-{suite}\nCodename: {suite}\nDate: {}\n", rfc(SIGNED));
        text.push_str(fields);
        text.push_str("SHA256:\n");
        for (file, bytes) in [("Packages", packages.as_bytes()), ("Packages.xz", &packed)] {
            let digest = hex(bytes);
            writeln!(text, " {digest} {:>8} main/binary-amd64/{file}", bytes.len()).unwrap();
        }
        let folder = format!("debian/dists/{suite}/main/binary-amd64");
        self.write(&format!("{folder}/by-hash/SHA256/{}", hex(&packed)), &packed);
        self.write(&format!("{folder}/Packages.xz"), &packed);
        text
    }
}

/// Formats a time as in an InRelease: `Sat, 12 Sep 2026 07:55:41 UTC`.
pub(crate) fn rfc(seconds: u64) -> String {
    let mut date = Command::new("date");
    let out = date.env("LC_ALL", "C").args(["-u", "-d", &format!("@{seconds}"), "+%a, %d %b %Y %H:%M:%S UTC"]).output();
    String::from_utf8(out.unwrap().stdout).unwrap().trim().to_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    berth_contract::digest::Sha256(sha2::Sha256::digest(bytes).into()).to_string()
}

/// A paragraph of an index for a .deb whose content is the package's name. `head` is `NAME VERSION`.
pub(crate) fn paragraph(head: &str, fields: &[&str]) -> String {
    let (name, version) = head.split_once(' ').unwrap();
    let mut text = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nPriority: optional\nFilename: pool/{name}.deb\nSize: {}\nSHA256: {}\n",
        name.len(),
        hex(name.as_bytes())
    );
    for field in fields {
        text.push_str(field);
        text.push('\n');
    }
    text + "\n"
}
