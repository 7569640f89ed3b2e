//! The places where a host looks for host.toml. A recipe may allow only some of them (`[config] sources`).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A kind of place, in order of precedence.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigSource {
    /// The address in the kernel's command line.
    Cmdline,
    /// A file that QEMU passes to the machine.
    FwCfg,
    /// A disk, stick or disc whose file system has one of the labels in [`crate::paths::CONFIG_LABELS`].
    Disk,
    /// The EFI system partition of the boot disk.
    Esp,
}

impl ConfigSource {
    /// All places, in order of precedence.
    pub const ALL: [Self; 4] = [Self::Cmdline, Self::FwCfg, Self::Disk, Self::Esp];

    /// Its name in recipes and in `hostctl status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cmdline => "cmdline",
            Self::FwCfg => "fw_cfg",
            Self::Disk => "disk",
            Self::Esp => "esp",
        }
    }

    /// All places as a list, for images that do not say which they allow.
    #[must_use]
    pub fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_form() {
        for source in ConfigSource::ALL {
            assert_eq!(serde_json::to_string(&source).unwrap(), format!("\"{source}\""));
        }
        assert!(ConfigSource::ALL.is_sorted());
    }
}
