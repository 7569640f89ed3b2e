//! Passphrases, and the encryption of private keys with them: PBES2 (RFC 8018) with scrypt and AES-256 in PKCS#8, as openssl has it.

use super::error::ReleaseError;
use aws_lc_rs::rand;
use pkcs8::{
    EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument,
    pkcs5::{pbes2, scrypt},
};
use std::{fmt, io, path::Path};

/// Cost of scrypt: 16 MiB of memory, five times. openssl refuses parameters that need more than 32 MiB.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 5;
/// How often a user may type a passphrase for one file.
const TRIES: usize = 3;

/// A passphrase. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// `None` if the text is empty: that would be no protection.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What a user is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// The passphrase of an existing key file.
    Existing(&'a Path),
    /// A passphrase for new keys.
    New,
}

/// Asks the user at the terminal. `None`: there is no terminal, or the user gave up.
pub type Ask = dyn FnMut(Question<'_>) -> io::Result<Option<Passphrase>>;

/// The passphrases that are known, and the way to get more.
pub struct Passphrases {
    known: Vec<Passphrase>,
    ask: Box<Ask>,
}

impl fmt::Debug for Passphrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrases").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

impl Passphrases {
    /// With these passphrases to start with.
    #[must_use]
    pub fn new(known: Vec<Passphrase>, ask: Box<Ask>) -> Self {
        Self { known, ask }
    }

    /// The passphrase for new keys: the first that is known, else one that the user types.
    ///
    /// # Errors
    /// There is none.
    pub fn for_new_keys(&mut self) -> Result<Passphrase, ReleaseError> {
        if let Some(first) = self.known.first() {
            return Ok(first.clone());
        }
        let asked =
            (self.ask)(Question::New).map_err(ReleaseError::io("read a passphrase from", Path::new("/dev/tty")))?;
        asked.ok_or(ReleaseError::NoPassphrase)
    }

    /// Decrypts a key file, with a known passphrase or, if `may_ask`, one that the user types. Returns the key and its passphrase; `None` if
    /// no passphrase is right.
    pub(crate) fn open(
        &mut self,
        path: &Path,
        encrypted: &[u8],
        may_ask: bool,
    ) -> Result<Option<(SecretDocument, Passphrase)>, ReleaseError> {
        let info = EncryptedPrivateKeyInfo::try_from(encrypted).map_err(|error| ReleaseError::Key {
            path: path.to_owned(),
            wanted: "an encrypted key, PEM of PKCS#8",
            found: error.to_string(),
        })?;
        let open = |passphrase: &Passphrase| info.decrypt(&passphrase.0).ok().map(|key| (key, passphrase.clone()));
        if let Some(opened) = self.known.iter().find_map(open) {
            return Ok(Some(opened));
        }
        for _ in 0..if may_ask { TRIES } else { 0 } {
            let asked = (self.ask)(Question::Existing(path));
            let asked = asked.map_err(ReleaseError::io("read a passphrase from", Path::new("/dev/tty")))?;
            let Some(passphrase) = asked else { return Ok(None) };
            if let Some(opened) = open(&passphrase) {
                // The other keys usually have the same one.
                self.known.insert(0, passphrase);
                return Ok(Some(opened));
            }
        }
        Ok(None)
    }
}

/// Encrypts a private key, given as DER of PKCS#8. `None` if the key cannot be read, or there are no random numbers.
pub(crate) fn encrypt(key: &[u8], passphrase: &Passphrase) -> Option<SecretDocument> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    rand::fill(&mut salt).ok()?;
    rand::fill(&mut iv).ok()?;
    let cost = scrypt::Params::new(LOG_N, R, P, 32).ok()?;
    let parameters = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).ok()?;
    PrivateKeyInfo::try_from(key).ok()?.encrypt_with_params(parameters, &passphrase.0).ok()
}
