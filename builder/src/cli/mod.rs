//! The command line: one file per verb. Each turns its arguments into values and calls the module that does the work.

mod access;
mod build;
mod check;
mod disk_image;
mod environment;
mod hint;
mod interrupt;
mod keys;
mod lock;
mod pack;
mod passphrase;
mod release;
mod repo;
mod run;
mod schema;
mod size;
mod why;

use crate::{
    pipeline::Supply,
    report::{OutputError, Report, Verbosity},
    scratch,
};
use anyhow::Result;
use berth_contract::credentials::without_credentials;
use berth_fetch::{roots, settings::Network, url::Url};
use clap::{Args, Parser, Subcommand};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

const EXIT_CODES: &str = "\
Exit status: 0 on success, 1 on failure (stderr says why), 2 for wrong usage,
130 or 143 when interrupted (Ctrl-C, kill).
Data goes to stdout, messages to stderr. NO_COLOR=1 turns colours off.";

/// Immutable container hosts: from a recipe to a bootable, versioned, read-only disk image.
#[derive(Debug, Parser)]
#[command(name = "berth", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Berth {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Global {
    /// Debian mirror, instead of the mirrors of the recipe and of this machine; repeatable, tried in order.
    #[arg(long, value_name = "URL", global = true)]
    mirror: Vec<Url>,
    /// Cache folder [default: $XDG_CACHE_HOME/berth or ~/.cache/berth].
    #[arg(long, value_name = "DIR", global = true)]
    cache: Option<PathBuf>,
    /// Do not use the network: only the cache and file: URLs.
    #[arg(long, global = true)]
    offline: bool,
    /// Print only warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more details.
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Lock(lock::Arguments),
    Build(build::Arguments),
    Pack(pack::Arguments),
    Keys(keys::Arguments),
    Release(release::Arguments),
    Repo(repo::Arguments),
    Run(run::Arguments),
    Check(check::Arguments),
    Schema(schema::Arguments),
    Size(size::Arguments),
    Why(why::Arguments),
}

/// Runs the command and returns the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let Berth { global, verb } = match Berth::try_parse() {
        Ok(berth) => berth,
        Err(error) => return usage(&error),
    };
    let report = Arc::new(Report::stdio(global.verbosity(), environment::no_colour()));
    let done = interrupt::watch(&report).and_then(|()| match verb {
        Verb::Lock(lock) => lock.run(&global, &report).map(|()| ExitCode::SUCCESS),
        Verb::Build(build) => build.run(&global, &report).map(|()| ExitCode::SUCCESS),
        Verb::Pack(pack) => pack.run(&report).map(|()| ExitCode::SUCCESS),
        Verb::Keys(keys) => keys.run(&report).map(|()| ExitCode::SUCCESS),
        Verb::Release(release) => release.run(&report).map(|()| ExitCode::SUCCESS),
        Verb::Repo(repo) => repo.run(&report).map(|()| ExitCode::SUCCESS),
        Verb::Run(run) => run.run(&global, &report),
        Verb::Check(check) => check.run(&report).map(|()| ExitCode::SUCCESS),
        Verb::Schema(schema) => schema.run(&report).map(|()| ExitCode::SUCCESS),
        Verb::Size(size) => size.run(&global, &report).map(|()| ExitCode::SUCCESS),
        Verb::Why(why) => why.run(&global, &report).map(|()| ExitCode::SUCCESS),
    });
    scratch::settle();
    match done {
        Ok(code) => code,
        // The reader of a pipe has closed it, as in `berth size recipe.toml | head`. That is not an error.
        Err(error) if error.downcast_ref::<OutputError>().is_some_and(OutputError::is_closed) => ExitCode::SUCCESS,
        Err(error) => {
            report.error(&error, hint::hint);
            ExitCode::FAILURE
        }
    }
}

/// Prints the help, or what is wrong with the arguments. These may have a password in them, which clap would print.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if without_credentials(&text) == text {
        error.exit();
    }
    Report::stdio(Verbosity::Quiet, true).usage(text.trim_end());
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

impl Global {
    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    fn supply(&self) -> Result<Supply> {
        Ok(Supply {
            mirrors: self.mirror.iter().map(|url| url.as_str().to_owned()).collect(),
            cache: self.cache.clone().map_or_else(environment::cache, Ok)?,
            network: if self.offline { Network::Offline } else { Network::Online },
            etc_apt: Path::new("/etc/apt").to_owned(),
            ca_bundle: roots::bundle(environment::ssl_cert_file().as_deref()),
        })
    }
}
