//! The commands that do more than send a request to init, one file per command.

pub(crate) mod bless;
pub(crate) mod config;
pub(crate) mod containers;
pub(crate) mod engine;
mod event_printer;
pub(crate) mod forget;
pub(crate) mod host;
pub(crate) mod logs;
pub(crate) mod reset;
pub(crate) mod rollback;
pub(crate) mod slot;
pub(crate) mod status;
pub(crate) mod support;
pub(crate) mod target;
pub(crate) mod upgrade;
pub(crate) mod wait;
pub(crate) mod why;

use anyhow::Result;
use berth_contract::control::LogLine;
use berth_control::Client;
use serde::Serialize;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Time limit for an answer of the host, except where a command waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Prints data as JSON or as text.
pub(crate) fn print<T: Serialize>(json: bool, data: &T, text: impl FnOnce() -> String) -> Result<()> {
    write_out(&if json { serde_json::to_string_pretty(data)? + "\n" } else { text() })
}

pub(crate) fn write_out(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Runs hostctl on the host that `client` is connected to, for commands that need files of that host. There is no time limit.
pub(crate) fn on_host<'a>(
    client: &mut Client,
    arguments: impl IntoIterator<Item = &'a str>,
    line: impl FnMut(LogLine) -> Result<()>,
) -> Result<()> {
    let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
    on_host_with(client, &arguments, None, line)
}

/// The same, with a text on its standard input.
pub(crate) fn on_host_with(
    client: &mut Client,
    arguments: &[String],
    input: Option<String>,
    line: impl FnMut(LogLine) -> Result<()>,
) -> Result<()> {
    client.set_timeout(None)?;
    client.run_with(arguments, input, line)
}

/// Prints a line of output of the hostctl on the host.
pub(crate) fn pass_on(line: LogLine) -> Result<()> {
    write_out(&format!("{}\n", line.text))
}

/// A random number for call ids: a serial port may still deliver answers to an earlier client, whose ids must be different.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Seconds since 1970 by the clock of this system.
#[expect(
    clippy::disallowed_methods,
    reason = "the expiry of signatures and the times of verdicts are wall-clock times"
)]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
