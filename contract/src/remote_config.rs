//! `[remote]` of host.toml and of the recipe: the API that hostd serves over HTTPS with mutual TLS.

use crate::{
    config_fault::{ConfigFault, check_items},
    pem::check_pem,
};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// Default port of the API.
pub const PORT: u16 = 7443;

/// `[remote]`: without this table nobody can reach the host over the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// Address and port to listen on.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// PEM: the certificate authorities of the clients' certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// PEM: the host's certificate, and those between it and its authority. Without it the host makes a certificate for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<String>,
    /// PEM: the private key of `cert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// PEM: certificate revocation lists of the authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<String>,
    /// Serial numbers of client certificates that are refused, in hexadecimal digits; colons are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
}

/// The address and port when none is given.
#[must_use]
pub fn default_listen() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, PORT).into()
}

impl RemoteConfig {
    /// Checks the rules that serde cannot express.
    ///
    /// # Errors
    /// The first fault: no authority, a value that is not PEM, a certificate without its key, or a serial number that is not hexadecimal.
    pub fn check(&self) -> Result<(), ConfigFault> {
        if self.ca.is_none() {
            return Err(ConfigFault::of("ca", "the PEM of an authority for clients", "none"));
        }
        let pem = [
            ("ca", &self.ca, "CERTIFICATE"),
            ("cert", &self.cert, "CERTIFICATE"),
            ("key", &self.key, "PRIVATE KEY"),
            ("crl", &self.crl, "X509 CRL"),
        ];
        for (key, text, word) in pem {
            if let Some(text) = text {
                check_pem(key, text, word)?;
            }
        }
        match (&self.cert, &self.key) {
            (Some(_), None) => return Err(ConfigFault::of("cert", "also its private key, `key`", "none")),
            (None, Some(_)) => return Err(ConfigFault::of("key", "also its certificate, `cert`", "none")),
            _ => {}
        }
        check_items("revoked", &self.revoked, |text| match serial(text) {
            Some(_) => Ok(()),
            None => Err(ConfigFault::new("hexadecimal digits of a serial number", format_args!("{text:?}"))),
        })
    }

    /// The serial numbers that are refused.
    #[must_use]
    pub fn revoked_serials(&self) -> Vec<Vec<u8>> {
        self.revoked.iter().filter_map(|text| serial(text)).collect()
    }
}

/// The bytes of a serial number, without leading zeros. `None` if the text is not hexadecimal.
#[must_use]
pub fn serial(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|&c| c != ':').collect();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let even = if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") };
    let bytes = (0..even.len()).step_by(2).map(|at| u8::from_str_radix(&even[at..at + 2], 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
    let first = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    Some(bytes[first..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "'''-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----'''";
    const KEY: &str = "'''-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----'''";

    #[test]
    fn each_fault_is_reported() {
        let check = |text: &str| {
            let read = toml::from_str::<RemoteConfig>(text).map_err(|error| error.to_string());
            read.and_then(|config| config.check().map(|()| config).map_err(|fault| fault.to_string()))
        };
        let good = check(&format!("ca = {CERTIFICATE}\nrevoked = ['00:0A:ff', 'abc']")).unwrap();
        assert_eq!(good.listen.to_string(), "0.0.0.0:7443");
        assert_eq!(good.revoked_serials(), [vec![0x0a, 0xff], vec![0x0a, 0xbc]]);
        check(&format!("ca = {CERTIFICATE}\ncert = {CERTIFICATE}\nkey = {KEY}\nlisten = '[::1]:1'")).unwrap();
        for (text, word) in [
            (String::new(), "ca: expected the PEM"),
            ("ca = 'x'".to_owned(), "ca: expected a PEM block of CERTIFICATE, found 1 bytes"),
            (format!("ca = {CERTIFICATE}\ncert = {CERTIFICATE}"), "cert: expected also its private key"),
            (
                format!("ca = {CERTIFICATE}\ncert = {CERTIFICATE}\nkey = {CERTIFICATE}"),
                "key: expected a PEM block of PRIVATE KEY",
            ),
            (format!("ca = {CERTIFICATE}\ncrl = 'x'"), "crl: expected"),
            (format!("ca = {CERTIFICATE}\nrevoked = ['x']"), "revoked[0]: expected"),
            (format!("ca = {CERTIFICATE}\nrevoked = ['']"), "revoked[0]: expected"),
            ("listen = '7443'".to_owned(), "invalid socket address"),
            ("port = 1".to_owned(), "unknown field"),
        ] {
            let fault = check(&text).unwrap_err();
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }
}
