//! `[log]` of host.toml: how logs are stored, and where they are sent.

use crate::{
    config_fault::{ConfigFault, check_items},
    container::ByteSize,
    pem::check_pem,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// `[log]`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Size limit of the stored logs, e.g. `"64MiB"`: [`LogConfig::max_size`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_size: Option<String>,
    /// Age at which stored lines are removed, e.g. `"30d"`: [`LogConfig::max_age`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<String>,
    /// Where lines are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<ForwardConfig>,
}

/// `[[log.forward]]`: a receiver of all lines.
// Values are kept as texts, and `check` finds the wrong ones: PID 1 has a size limit.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardConfig {
    /// `tcp://HOST[:PORT]`, `tls://HOST[:PORT]` or `udp://HOST[:PORT]` for syslog, `http://` or `https://` for Loki.
    pub to: String,
    /// `rfc5424` or `loki`. Default: what fits to `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// PEM: the certificate authorities of the receiver. Default: those of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Labels for Loki, in addition to `host`, `log` and `level`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// User name for HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Bearer token for HTTP, instead of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

// Without secrets: a value may be printed.
impl std::fmt::Debug for ForwardConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ForwardConfig({:?})", self.shown())
    }
}

/// How a receiver is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Syslog over TCP (RFC 6587, octet counting).
    Tcp,
    /// Syslog over TLS (RFC 5425).
    Tls,
    /// Syslog over UDP (RFC 5426).
    Udp,
    /// Loki's push API over HTTP.
    Http,
}

/// Each transport, with its scheme, the port without one in the URL, and its format.
const SCHEMES: [(&str, Transport, u16, &str); 5] = [
    ("tcp://", Transport::Tcp, 514, "rfc5424"),
    ("tls://", Transport::Tls, 6514, "rfc5424"),
    ("udp://", Transport::Udp, 514, "rfc5424"),
    ("http://", Transport::Http, 80, "loki"),
    ("https://", Transport::Http, 443, "loki"),
];

/// Size limit of the stored logs without a setting.
pub const DEFAULT_SIZE: u64 = 64 << 20;
/// Smallest size limit.
const SMALLEST: u64 = 1 << 20;
/// Age limit without a setting.
const DEFAULT_AGE: Duration = Duration::from_secs(30 * 86_400);
/// Labels that logd sets itself.
const OWN_LABELS: [&str; 4] = ["host", "level", "log", "container"];
/// Maximum number of receivers.
const MOST_RECEIVERS: usize = 8;

impl LogConfig {
    /// Size limit of the stored logs in bytes, if the file has one.
    #[must_use]
    pub fn max_size(&self) -> Option<u64> {
        self.max_size.as_deref().and_then(size)
    }

    /// Age at which stored lines are removed.
    #[must_use]
    pub fn max_age(&self) -> Duration {
        self.max_age.as_deref().and_then(age).unwrap_or(DEFAULT_AGE)
    }

    /// Checks the rules that serde cannot express.
    ///
    /// # Errors
    /// The first fault: a size or an age that cannot be used, a receiver with keys that do not fit together.
    pub fn check(&self) -> Result<(), ConfigFault> {
        if let Some(text) = self.max_size.as_ref().filter(|text| size(text).is_none()) {
            let expected = "a size of 1MiB or more, e.g. \"64MiB\"";
            return Err(ConfigFault::of("max_size", expected, format_args!("{text:?}")));
        }
        if let Some(text) = self.max_age.as_ref().filter(|text| age(text).is_none()) {
            let expected = "an age of 1h or more, e.g. \"12h\", \"30d\"";
            return Err(ConfigFault::of("max_age", expected, format_args!("{text:?}")));
        }
        if self.forward.len() > MOST_RECEIVERS {
            let expected = format!("{MOST_RECEIVERS} receivers at most");
            return Err(ConfigFault::of("forward", expected, self.forward.len()));
        }
        check_items("forward", &self.forward, ForwardConfig::check)?;
        for (index, one) in self.forward.iter().enumerate() {
            if self.forward[..index].iter().any(|other| other.to == one.to) {
                let found = format!("{} declared twice", one.shown());
                return Err(ConfigFault::of("to", "each receiver once", found).item("forward", index));
            }
        }
        Ok(())
    }
}

impl ForwardConfig {
    /// The transport, and host and port (for HTTP the whole URL).
    #[must_use]
    pub fn target(&self) -> Option<(Transport, String)> {
        let (scheme, transport, port, _) = SCHEMES.iter().find(|row| self.to.starts_with(row.0))?;
        let rest = &self.to[scheme.len()..];
        if *transport == Transport::Http {
            return Some((*transport, self.to.clone()));
        }
        // A colon after the bracket of an IPv6 address, or the only colon, is before the port.
        let has_port = rest.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
        Some((*transport, if has_port { rest.to_owned() } else { format!("{rest}:{port}") }))
    }

    /// The receiver for messages: its address without a user, password or query in it.
    #[must_use]
    pub fn shown(&self) -> String {
        // A password may have a question mark in it: it is removed first.
        let address = crate::credentials::without_credentials(&self.to);
        address.split(['?', '#']).next().unwrap_or_default().to_owned()
    }

    fn check(&self) -> Result<(), ConfigFault> {
        let to = |expected: String| Err(ConfigFault::of("to", expected, self.shown()));
        let Some((scheme, transport, _, format)) = SCHEMES.iter().find(|row| self.to.starts_with(row.0)) else {
            return to("tcp://, tls://, udp://, http:// or https:// and a host".to_owned());
        };
        let rest = &self.to[scheme.len()..];
        let authority = rest.split('/').next().unwrap_or_default();
        let port = authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let bad_port = port.is_some_and(|(_, port)| port.parse::<u16>().ok().is_none_or(|port| port == 0));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]%".contains(c);
        if authority.is_empty() || bad_port || !authority.chars().all(plain) {
            return to(format!("{scheme}HOST:PORT without a user"));
        }
        if *transport != Transport::Http && rest != authority {
            return to("nothing after the port".to_owned());
        }
        if let Some(found) = self.format.as_ref().filter(|found| *found != format) {
            let expected = format!("{format:?} for {scheme}");
            return Err(ConfigFault::of("format", expected, format_args!("{found:?}")));
        }
        let secure = matches!(*scheme, "tls://" | "https://");
        match &self.ca {
            Some(_) if !secure => return Err(ConfigFault::of("ca", "a receiver with tls:// or https://", scheme)),
            Some(ca) => check_pem("ca", ca, "CERTIFICATE")?,
            None => {}
        }
        let has_secret = self.username.is_some() || self.password.is_some() || self.token.is_some();
        if *transport != Transport::Http && (has_secret || !self.labels.is_empty()) {
            let expected = "a receiver with http:// or https:// for labels, username, password and token";
            return Err(ConfigFault::new(expected, scheme));
        }
        if self.username.is_some() != self.password.is_some() || self.token.is_some() && self.username.is_some() {
            return Err(ConfigFault::new("username and password, or token, or none of them", "another combination"));
        }
        if let Some(own) = OWN_LABELS.into_iter().find(|own| self.labels.contains_key(*own)) {
            let expected = "names other than host, level, log and container";
            return Err(ConfigFault::of("labels", expected, format_args!("{own:?}")));
        }
        let label = |name: &str| {
            !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
        };
        match self.labels.keys().find(|name| !label(name)) {
            Some(name) => Err(ConfigFault::of("labels", "letters, digits and _", format_args!("{name:?}"))),
            None => Ok(()),
        }
    }
}

fn size(text: &str) -> Option<u64> {
    text.parse::<ByteSize>().ok().map(|size| size.0).filter(|&bytes| bytes >= SMALLEST)
}

/// A number with `h` or `d`.
fn age(text: &str) -> Option<Duration> {
    let hours = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(hours), _) => hours.parse::<u64>().ok()?,
        (_, Some(days)) => days.parse::<u64>().ok()?.checked_mul(24)?,
        _ => return None,
    };
    (1..=24 * 36_500).contains(&hours).then(|| Duration::from_secs(hours * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LogConfig, String> {
        let config: LogConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|fault| fault.within("log").to_string())?;
        Ok(config)
    }

    #[test]
    fn sizes_ages_and_receivers_are_read() {
        let config = parse(
            "max_size = '2MiB'\nmax_age = '36h'\nforward = [{ to = 'tcp://logs.example' }, { to = 'tls://[2001:db8::1]:7000' }, \
             { to = 'udp://[2001:db8::1]' }, { to = 'https://loki.example/loki/api/v1/push', format = 'loki', token = 'x' }]",
        )
        .unwrap();
        assert_eq!((config.max_size(), config.max_age()), (Some(2 << 20), Duration::from_secs(36 * 3600)));
        let targets: Vec<_> = config.forward.iter().map(|one| one.target().unwrap()).collect();
        assert_eq!(
            targets,
            [
                (Transport::Tcp, "logs.example:514".to_owned()),
                (Transport::Tls, "[2001:db8::1]:7000".to_owned()),
                (Transport::Udp, "[2001:db8::1]:514".to_owned()),
                (Transport::Http, "https://loki.example/loki/api/v1/push".to_owned()),
            ]
        );
        assert_eq!(parse("").unwrap().max_age(), DEFAULT_AGE);
    }

    #[test]
    fn each_fault_is_reported_without_secrets() {
        for (text, words) in [
            ("max_size = '5'", "log.max_size: expected a size of 1MiB or more"),
            ("max_age = '10m'", "log.max_age: expected an age"),
            ("forward = [{ to = 'ftp://x' }]", "expected tcp://"),
            ("forward = [{ to = 'tcp://' }]", "expected tcp://HOST:PORT"),
            ("forward = [{ to = 'tcp://x:0' }]", "expected tcp://HOST:PORT"),
            ("forward = [{ to = 'tcp://x:1/y' }]", "nothing after the port"),
            ("forward = [{ to = 'https://a:secret@x/' }]", "without a user"),
            ("forward = [{ to = 'tcp://x', format = 'loki' }]", "format: expected \"rfc5424\""),
            ("forward = [{ to = 'tcp://x', ca = 'y' }]", "ca: expected a receiver"),
            ("forward = [{ to = 'tls://x', ca = 'y' }]", "ca: expected a PEM"),
            ("forward = [{ to = 'udp://x', token = 'secret' }]", "expected a receiver with http://"),
            ("forward = [{ to = 'http://x', username = 'secret' }]", "expected username and password"),
            ("forward = [{ to = 'http://x', labels = { 'a-b' = '1' } }]", "labels: expected"),
            ("forward = [{ to = 'http://x', labels = { level = '1' } }]", "labels: expected names other than"),
            ("forward = [{ to = 'tcp://x' }, { to = 'tcp://x' }]", "declared twice"),
            ("forwards = []", "unknown field"),
        ] {
            let fault = parse(text).unwrap_err();
            assert!(fault.contains(words) && !fault.contains("secret"), "{text}: {fault}");
        }
        let one = ForwardConfig { to: "https://u:secret@x/p?key=secret#secret".into(), ..ForwardConfig::default() };
        assert!(!format!("{one:?}").contains("secret"));
    }
}
