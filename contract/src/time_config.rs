//! `[time]` of host.toml and of a recipe: the time servers; and the report about the clock.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

/// UDP port of NTP (RFC 5905).
pub const NTP_PORT: u16 = 123;
/// TCP port of the key exchange of NTS (RFC 8915).
pub const NTS_PORT: u16 = 4460;

/// `[time]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TimeConfig {
    /// Time servers: a name or address with an optional port, or a table with `address` and `nts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<TimeServer>,
}

/// A time server. In a file it is a text, or a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeServer {
    /// Host name or IP address, and a port if it is not the usual one.
    pub address: String,
    /// Whether the server is asked with Network Time Security: `address` is then the server of the key exchange.
    pub nts: bool,
}

/// The table form of a [`TimeServer`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerTable {
    /// Host name or IP address, and a port if it is not the usual one: 123, with NTS 4460.
    address: String,
    /// Whether the server is asked with Network Time Security.
    #[serde(default)]
    nts: bool,
}

impl<'de> Deserialize<'de> for TimeServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TimeServer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time server: a text, or a table with `address` and `nts`")
            }

            fn visit_str<E>(self, text: &str) -> Result<TimeServer, E> {
                Ok(TimeServer { address: text.to_owned(), nts: false })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TimeServer, A::Error> {
                let ServerTable { address, nts } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(TimeServer { address, nts })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Serialize for TimeServer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self { address, nts: false } => serializer.serialize_str(address),
            Self { address, nts: true } => ServerTable { address: address.clone(), nts: true }.serialize(serializer),
        }
    }
}

impl TimeServer {
    /// A server that is asked without NTS.
    #[must_use]
    pub fn plain(address: impl fmt::Display) -> Self {
        Self { address: address.to_string(), nts: false }
    }

    /// The address with its port. An IPv6 address is in brackets.
    #[must_use]
    pub fn with_port(&self) -> String {
        let port = if self.nts { NTS_PORT } else { NTP_PORT };
        match self.address.parse::<Ipv6Addr>() {
            Ok(ip) => format!("[{ip}]:{port}"),
            Err(_) if self.address.contains(':') => self.address.clone(),
            Err(_) => format!("{}:{port}", self.address),
        }
    }

    /// Whether `address` can be a name or an IP address, with or without a port.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let address = self.with_port();
        if address.parse::<SocketAddr>().is_ok_and(|one| one.port() != 0) {
            return true;
        }
        let Some((name, port)) = address.rsplit_once(':') else { return false };
        // Digits and dots only would be an IPv4 address, and it is none.
        let has_letter = name.bytes().any(|c| c.is_ascii_alphabetic());
        has_letter && is_name(name) && port.parse::<u16>().is_ok_and(|port| port != 0)
    }
}

/// Whether a text can be the name of a host: RFC 1123.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.trim_end_matches('.').split('.').all(is_label)
}

/// Where the time servers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ServerOrigin {
    /// host.toml.
    Config,
    /// DHCP.
    Dhcp,
    /// The recipe of the image.
    Image,
}

impl fmt::Display for ServerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "host.toml",
            Self::Dhcp => "DHCP",
            Self::Image => "the image",
        })
    }
}

/// The report about the clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimeStatus {
    /// Whether the clock follows a time server.
    pub synchronised: bool,
    /// Where the servers come from. `None`: there is no time server.
    pub origin: Option<ServerOrigin>,
    /// The servers.
    pub servers: Vec<String>,
    /// The server that the clock follows: its address.
    pub source: Option<String>,
    /// Seconds that the server's clock is ahead of this host's.
    pub offset: Option<f64>,
    /// Number of servers between this host and a reference clock, and one.
    pub stratum: Option<u8>,
    /// Why the clock does not follow a server.
    pub problem: Option<String>,
    /// When this was found, in microseconds since kernel start.
    pub checked_us: u64,
}

/// A report that is older is not believed: timed renews it every 30 s.
const STALE: Duration = Duration::from_secs(300);

impl TimeStatus {
    /// Whether the clock follows a server. `now` is the time since kernel start.
    #[must_use]
    pub fn is_followed(&self, now: Duration) -> bool {
        self.synchronised && now.saturating_sub(Duration::from_micros(self.checked_us)) < STALE
    }

    /// The report as it counts at `now`: an old one does not say that the clock follows a server.
    #[must_use]
    pub fn at(mut self, now: Duration) -> Self {
        if self.synchronised && !self.is_followed(now) {
            self.synchronised = false;
            self.problem = Some("timed has not reported for some minutes".to_owned());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_text_or_a_table() {
        let text = "servers = ['ntp.example.org', { address = 'nts.example.org', nts = true }, '2001:db8::1']";
        let config: TimeConfig = toml::from_str(text).unwrap();
        let ports: Vec<String> = config.servers.iter().map(TimeServer::with_port).collect();
        assert_eq!(ports, ["ntp.example.org:123", "nts.example.org:4460", "[2001:db8::1]:123"]);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(json, r#"{"servers":["ntp.example.org",{"address":"nts.example.org","nts":true},"2001:db8::1"]}"#);
        assert_eq!(serde_json::from_str::<TimeConfig>(&json).unwrap(), config);
        for (wrong, words) in [
            ("servers = [1]", "invalid type: integer `1`, expected a time server"),
            ("servers = [{ address = 'x', key = 'y' }]", "unknown field `key`, expected `address` or `nts`"),
            ("servers = [{ nts = true }]", "missing field `address`"),
            ("server = []", "unknown field `server`"),
        ] {
            let error = toml::from_str::<TimeConfig>(wrong).unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_old_report_does_not_say_that_the_clock_follows_a_server() {
        let report = TimeStatus { synchronised: true, checked_us: 10_000_000, ..TimeStatus::default() };
        assert_eq!(report.clone().at(Duration::from_secs(309)), report);
        let old = report.at(Duration::from_secs(310));
        assert!(!old.synchronised && old.problem.is_some());
    }

    #[test]
    fn an_address_is_a_name_or_an_ip_address_with_or_without_a_port() {
        for good in [
            "a",
            "ntp.example.org",
            "ntp.example.org.",
            "ntp.example.org:1123",
            "192.0.2.1",
            "192.0.2.1:5",
            "::1",
            "[::1]:5",
        ] {
            assert!(TimeServer::plain(good).is_valid(), "{good}");
        }
        for bad in [
            "",
            ":",
            "a:",
            "a:0",
            "a:b",
            "192.0.2",
            "192.0.2.1.5",
            "-a",
            "a..b",
            "a b",
            "a\"",
            "http://a",
            "[::1]",
            "a:99999",
        ] {
            assert!(!TimeServer::plain(bad).is_valid(), "{bad}");
        }
    }
}
