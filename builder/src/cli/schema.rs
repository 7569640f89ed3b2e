//! `berth schema`.

use crate::{recipe, report::Report};
use anyhow::Result;
use berth_contract::{host_config::HostConfig, schema};
use clap::{Args, ValueEnum};

/// Print the JSON Schema of a recipe or of host.toml, with which editors check and complete these files.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The kind of file.
    kind: Kind,
}

/// A kind of TOML file.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Kind {
    /// host.toml: the settings of one host.
    Host,
    /// A recipe: the description of an image.
    Recipe,
}

impl Kind {
    /// Its name in messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Host => "host.toml",
            Self::Recipe => "recipe",
        }
    }
}

impl Arguments {
    /// Prints the schema as JSON.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let schema = match self.kind {
            Kind::Host => schema::of_file::<HostConfig>("host.toml of Berth"),
            Kind::Recipe => recipe::schema(),
        };
        Ok(report.data(serde_json::to_string_pretty(&schema)?)?)
    }
}
