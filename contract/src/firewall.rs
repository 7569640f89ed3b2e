//! `[network.firewall]` of host.toml: which packets reach the host.

use crate::network_config::Prefix;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[network.firewall]`. Without it, the defaults are in force.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirewallConfig {
    /// What happens to a packet for the host that no rule allows.
    #[serde(default)]
    pub input: Policy,
    /// Ports of the host that can be reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Opening>,
}

/// What happens to a packet.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is dropped, without an answer.
    #[default]
    Drop,
    /// It passes.
    Accept,
}

/// A port that can be reached.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The port, 1 to 65535.
    pub port: u16,
    /// Its protocol.
    #[serde(default)]
    pub proto: Protocol,
    /// Networks that can reach the port. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Prefix>,
}

/// A protocol with ports.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl FirewallConfig {
    /// The index of the first opening without a port.
    #[must_use]
    pub fn without_port(&self) -> Option<usize> {
        self.allow.iter().position(|opening| opening.port == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_is_that_of_the_documentation() {
        let text = "input = 'drop'\nallow = [{ port = 9100, proto = 'tcp', from = ['192.0.2.0/24'] }, { port = 53, proto = 'udp' }]";
        let config: FirewallConfig = toml::from_str(text).unwrap();
        assert_eq!((config.input, config.allow[1].proto, config.without_port()), (Policy::Drop, Protocol::Udp, None));
        assert_eq!(serde_json::from_value::<FirewallConfig>(serde_json::to_value(&config).unwrap()).unwrap(), config);
        assert_eq!(toml::from_str::<FirewallConfig>("").unwrap(), FirewallConfig::default());
        for (wrong, words) in [
            ("input = 'reject'", "unknown variant `reject`, expected `drop` or `accept`"),
            ("allow = [{ port = 70000 }]", "expected u16"),
            ("allow = [{ port = 1, proto = 'sctp' }]", "expected `tcp` or `udp`"),
            ("allow = [{ port = 1, from = ['192.0.2.1/24'] }]", "expected the first address of the network"),
            ("allow = [{ proto = 'tcp' }]", "missing field `port`"),
            ("output = 'drop'", "unknown field `output`"),
        ] {
            let error = toml::from_str::<FirewallConfig>(wrong).unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
