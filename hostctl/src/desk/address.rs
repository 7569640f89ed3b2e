//! The address of a host: `ADDR[:PORT]`.

use berth_contract::remote_config::PORT;
use std::{
    fmt,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    str::FromStr,
    vec,
};

/// A name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name, or IP address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = inner.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: PORT });
        }
        let (host, port) = match text.split_once(':') {
            None => (text, Some(PORT)),
            Some((host, port)) => (host, port.parse().ok().filter(|&port| port != 0)),
        };
        let is_name = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'.')
            && !host.starts_with(['-', '.']);
        match port.filter(|_| is_name) {
            Some(port) => Ok(Self { host: host.to_ascii_lowercase(), port }),
            None => Err(format!("expected ADDRESS or ADDRESS:PORT, found {text:?}")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl ToSocketAddrs for Address {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> std::io::Result<Self::Iter> {
        (self.host.as_str(), self.port).to_socket_addrs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for (text, printed) in [
            ("192.0.2.10", "192.0.2.10:7443"),
            ("192.0.2.10:1", "192.0.2.10:1"),
            ("2001:db8::10", "[2001:db8::10]:7443"),
            ("[2001:db8::10]", "[2001:db8::10]:7443"),
            ("[2001:db8::10]:1", "[2001:db8::10]:1"),
            ("Web-1.example.org", "web-1.example.org:7443"),
            ("web:65535", "web:65535"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(printed.parse::<Address>().unwrap(), address);
        }
        for bad in ["", ":1", "web:", "web:0", "web:65536", "web:x", "https://web", "we b", "-web", "1:2:x"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
