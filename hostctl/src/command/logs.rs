//! `hostctl logs`: the newest output of one service from init, stored lines from logd, and the output of a container from the engine.

use super::{PATIENCE, on_host, pass_on, write_out};
use anyhow::{Context, Result, bail};
use berth_contract::{control::LogLine, image_spec::ImageSpec, paths::IMAGE_SPEC};
use berth_control::Client;
use berth_engine::{ContainerLine, Limits, LogRequest};
use clap::Args;
use hostctl::{
    file,
    logs::{Boot, BootChoice, LogPaths, Query, StoredLine, StoredLogs, since},
};
use jiff::Timestamp;
use serde_json::json;
use std::{borrow::Cow, ops::ControlFlow, path::Path, time::Duration};

/// Prefix of a container's name.
const CONTAINER: &str = "container:";

/// Show logs: all stored lines of this boot, or those of one NAME
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Continue with new lines
    #[arg(short, long)]
    follow: bool,
    /// The boot: 0 is this boot, -1 the boot before, or a number of --list-boots
    #[arg(long, value_name = "BOOT", allow_hyphen_values = true)]
    boot: Option<BootChoice>,
    /// No older lines: an age like 10m, 1h or 2d, or a time like 2026-11-30T10:00:00Z
    #[arg(long, value_name = "AGE|TIME")]
    since: Option<String>,
    /// List the boots that have stored lines
    #[arg(long, conflicts_with_all = ["follow", "boot", "since", "name"])]
    list_boots: bool,
    /// Print JSON, one object for each line
    #[arg(long)]
    json: bool,
    /// A service, `init`, `kernel`, `bless` (the verdict about this version), `slots`, or `container:NAME`
    name: Option<String>,
}

impl Logs {
    /// On this host. `client` connects to init.
    pub(crate) fn here(&self, client: impl FnOnce() -> Result<Client>) -> Result<()> {
        if self.list_boots {
            return list_boots(self.json);
        }
        match self.name.as_deref() {
            Some(name) if name.starts_with(CONTAINER) => self.container(&name[CONTAINER.len()..]),
            Some(name) if self.is_plain() => self.newest(&mut client()?, name),
            _ => self.stored(),
        }
    }

    /// On the host that `client` is connected to.
    pub(crate) fn there(&self, mut client: Client) -> Result<()> {
        match self.name.as_deref() {
            // Any version of a host understands this.
            Some(name) if self.is_plain() && !name.starts_with(CONTAINER) => self.newest(&mut client, name),
            _ => on_host(&mut client, self.arguments().iter().map(String::as_str), pass_on),
        }
    }

    /// Whether init alone can answer.
    fn is_plain(&self) -> bool {
        self.boot.is_none() && self.since.is_none() && !self.json && !self.list_boots
    }

    fn arguments(&self) -> Vec<String> {
        let mut words = vec!["logs".to_owned()];
        let flags = [(self.follow, "--follow"), (self.list_boots, "--list-boots"), (self.json, "--json")];
        words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
        words.extend(self.boot.map(|boot| format!("--boot={boot}")));
        words.extend(self.since.as_ref().map(|since| format!("--since={since}")));
        words.extend(self.name.clone());
        words
    }

    fn since_us(&self) -> Result<Option<i64>> {
        let now = i64::try_from(super::now()).ok().and_then(|now| Timestamp::from_second(now).ok()).unwrap_or_default();
        self.since
            .as_ref()
            .map(|text| since::parse(text, now).map_err(|error| anyhow::anyhow!("--since: {error}")))
            .transpose()
    }

    /// The lines that init has in memory.
    fn newest(&self, client: &mut Client, name: &str) -> Result<()> {
        client.set_timeout((!self.follow).then_some(PATIENCE))?;
        client.logs(name, self.follow, |line: LogLine| {
            let at = format!("{}.{:06}", line.at_us / 1_000_000, line.at_us % 1_000_000);
            write_out(&format!("[{at:>12}] {}\n", plain(&line.text)))
        })
    }

    fn stored(&self) -> Result<()> {
        let query = Query { boot: self.boot, since_us: self.since_us()?, log: self.name.clone(), follow: self.follow };
        StoredLogs::open(LogPaths::default())?
            .lines(&query, |line| write_out(&if self.json { line_as_json(&line) } else { line_as_text(&line) }))
    }

    fn container(&self, name: &str) -> Result<()> {
        if self.boot.is_some() {
            bail!(
                "--boot: expected a log of the host, found a container: the engine keeps its lines over boots, --since limits them"
            );
        }
        let image: ImageSpec = file::json(Path::new(IMAGE_SPEC))?;
        let engine = image.engine.context("this image has no container engine")?;
        // A container may be silent for any time.
        let limits = Limits { body: 16 << 20, silence: Duration::from_secs(365 * 86_400) };
        let client = berth_engine::client(engine.kind, Path::new(engine.kind.row().socket), limits);
        let since_ns = self.since_us()?.map(|since| since.saturating_mul(1000));
        let mut failed = None;
        client.logs(
            name,
            &LogRequest { follow: self.follow, since_ns },
            &mut |line| match write_out(&container_line(name, &line, self.json)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        failed.map_or(Ok(()), Err)
    }
}

fn list_boots(json: bool) -> Result<()> {
    let boots = StoredLogs::open(LogPaths::default())?.boots()?;
    super::print(json, &boots, || boots.iter().map(boot_as_text).collect())
}

fn boot_as_text(boot: &Boot) -> String {
    let started = boot.started_us.map_or_else(|| "-".to_owned(), time);
    format!("{:>4}  {:>6}  {}  {started}  {} lines\n", boot.relative, boot.number, boot.boot_id, boot.lines)
}

fn line_as_text(line: &StoredLine) -> String {
    // Without a wall clock: seconds since kernel start, as `hostctl logs NAME` prints them.
    let at = line.wall_us.map_or_else(|| format!("[{}.{:06}]", line.at_us / 1_000_000, line.at_us % 1_000_000), time);
    format!("{at} {}: {}\n", plain(&line.log), plain(&line.text))
}

fn line_as_json(line: &StoredLine) -> String {
    let time = line.wall_us.map(time);
    let object = json!({
        "time": time, "boot": line.boot, "boot_id": line.boot_id, "line": line.line, "at_us": line.at_us, "log": line.log,
        "level": line.level, "text": line.text,
    });
    format!("{object}\n")
}

fn container_line(name: &str, line: &ContainerLine, json: bool) -> String {
    let at = line.time_ns.map(|ns| time(ns / 1000));
    if json {
        let stream = if line.is_error { "stderr" } else { "stdout" };
        let log = format!("{CONTAINER}{name}");
        return format!("{}\n", json!({ "time": at, "log": log, "stream": stream, "text": line.text }));
    }
    format!("{} {}\n", at.unwrap_or_else(|| "-".to_owned()), plain(&line.text))
}

/// The text of a service or container for a terminal: its control characters could change what the terminal shows, and what it does.
fn plain(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && c != '\t';
    if text.contains(is_control) { text.replace(is_control, "\u{fffd}").into() } else { text.into() }
}

/// RFC 3339 with microseconds, in UTC.
fn time(us: i64) -> String {
    let time = Timestamp::from_microsecond(us).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let line = |text: &str| ContainerLine { time_ns: None, is_error: false, text: text.to_owned() };
        assert_eq!(container_line("x", &line("a\t\u{e4}"), false), "- a\t\u{e4}\n");
        let hostile = line("\u{1b}]0;title\u{7}\rb\u{9b}2J");
        assert_eq!(container_line("x", &hostile, false), "- \u{fffd}]0;title\u{fffd}\u{fffd}b\u{fffd}2J\n");
        let stored = StoredLine { log: "x".into(), text: "\u{1b}[2J".into(), ..StoredLine::default() };
        assert_eq!(line_as_text(&stored), "[0.000000] x: \u{fffd}[2J\n");
    }
}
