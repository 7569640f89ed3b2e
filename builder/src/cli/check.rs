//! `berth check`.

use super::schema::Kind;
use crate::{
    recipe,
    report::{Advised, Report},
};
use anyhow::Result;
use berth_contract::host_config::MAX_SIZE;
use clap::Args;
use std::{fs::File, io::Read, path::PathBuf};

/// Check a host.toml, or a recipe with the files that it extends, without a host and without a build.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file. `-` is a host.toml on standard input.
    file: PathBuf,
    /// The kind of file [default: a recipe if it has a key that only recipes have].
    #[arg(long)]
    kind: Option<Kind>,
}

impl Arguments {
    /// Prints nothing but what is wrong: with the code that a host runs.
    pub(super) fn run(self, report: &Report) -> Result<()> {
        let place = self.file.display().to_string();
        let mut text = String::new();
        let read = match place.as_str() {
            "-" => std::io::stdin().take(MAX_SIZE + 1).read_to_string(&mut text),
            _ => File::open(&self.file).and_then(|file| file.take(MAX_SIZE + 1).read_to_string(&mut text)),
        };
        read.map_err(|error| Advised::new(format!("cannot read {place}: {error}"), None))?;
        if text.len() as u64 > MAX_SIZE {
            let message = format!("{place}: expected {MAX_SIZE} bytes at most, found more");
            return Err(Advised::new(message, Some("name a host.toml or a recipe".to_owned())).into());
        }
        let kind = self.kind.unwrap_or_else(|| if recipe::is_recipe(&text) { Kind::Recipe } else { Kind::Host });
        match kind {
            Kind::Recipe => drop(recipe::read(&self.file)?),
            Kind::Host => drop(berth_settings::host_config(&text).map_err(|fault| {
                let hint = fault.hint.clone();
                Advised::new(format!("{place}: {fault}"), hint.or(Some("docs/config.md lists every key".to_owned())))
            })?),
        }
        report.step("check", format_args!("{place} is a valid {}", kind.noun()));
        Ok(())
    }
}
