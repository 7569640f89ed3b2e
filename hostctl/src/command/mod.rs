//! Verbs that are more than a question to init, by their noun.

pub(crate) mod slots;
pub(crate) mod trial;
pub(crate) mod upgrade;

use anyhow::Result;
use berth_contract::control::LogLine;
use berth_control::Client;
use serde::Serialize;
use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

/// Data, for people or for programs.
pub(crate) fn print<T: Serialize>(json: bool, data: &T, text: impl FnOnce() -> String) -> Result<()> {
    write_out(&if json { serde_json::to_string_pretty(data)? + "\n" } else { text() })
}

pub(crate) fn write_out(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Runs the host's own hostctl, whose files are out of reach from here, for as long as it takes.
pub(crate) fn on_host<'a>(
    client: &mut Client,
    words: impl IntoIterator<Item = &'a str>,
    line: impl FnMut(LogLine) -> Result<()>,
) -> Result<()> {
    client.set_timeout(None)?;
    let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
    client.run(&words, line)
}

/// A line of the host's hostctl, passed on.
pub(crate) fn pass_on(line: LogLine) -> Result<()> {
    write_out(&format!("{}\n", line.text))
}

/// Seconds since 1970 by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "signatures and verdicts are judged by the clock of the day")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
