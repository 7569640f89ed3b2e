//! `hostctl config`: shows and changes the configuration of the host.

use super::{now, on_host_with, pass_on, print, write_out};
use anyhow::{Context, Result, bail};
use berth_contract::{
    cmdline,
    control::ConfigChange,
    generation::{Generation, Origin},
    host_config::MAX_SIZE,
};
use berth_control::{Client, ClientError};
use berth_generations::Store;
use clap::{Args, Subcommand};
use hostctl::{
    config::{self, Taken, fetch, watch},
    file_lock::FileLock,
    health::monotonic_us,
    show,
};
use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    thread,
    time::Duration,
};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print the host.toml that is in force, or that of a generation
    Show {
        /// The generation
        number: Option<u32>,
        /// Print secrets too
        #[arg(long)]
        secrets: bool,
    },
    /// Print what a file would change. `-` is standard input
    Diff {
        /// The file
        file: PathBuf,
    },
    /// Take a host.toml and keep it. `-` is standard input
    Apply {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Take a host.toml until it is confirmed. Without `config confirm`, or if the host loses its default route or name service, it ends by itself
    Try {
        /// The file
        file: PathBuf,
        /// Time for the confirmation: a number with s, m or h
        #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
        confirm_within: Duration,
        #[command(flatten)]
        how: How,
    },
    /// Keep the configuration that is being tried
    Confirm,
    /// List the generations
    History {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a try; or take an earlier generation again
    Revert {
        /// The generation. Default: the one before the current one
        number: Option<u32>,
        #[command(flatten)]
        how: How,
    },
    /// End a try that nobody confirms; init runs this
    #[command(hide = true)]
    Watch,
    /// Fetch the host.toml that the kernel's command line names; init runs this
    #[command(hide = true)]
    Fetch,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct How {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Who asks for it, for the history
    #[arg(long, hide = true, default_value = "root")]
    by: String,
}

/// A number with a unit, from 10 s to a day.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time from 10s to 24h, e.g. 90s, 5m or 1h, found {text:?}");
    let unit = [("s", 1), ("m", 60), ("h", 3600)].into_iter().find(|(unit, _)| text.ends_with(unit));
    let (unit, seconds) = unit.ok_or_else(wrong)?;
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    let all = number.checked_mul(seconds).filter(|all| (10..=24 * 3600).contains(all)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(all))
}

impl ConfigVerb {
    /// Does it on this host. `client` connects to init.
    pub(crate) fn here(self, client: impl FnOnce() -> Result<Client>) -> Result<()> {
        let store = Store::default();
        match self {
            Self::Show { number, secrets } => show_text(&store, number, secrets),
            Self::Diff { file } => {
                let new = read(&file)?;
                berth_settings::host_config(&new).map_err(config::ConfigError::from)?;
                let old = store.current_text(&store.state()?)?;
                let hidden = berth_settings::without_secrets;
                let text = show::diff(&hidden(&old), &hidden(&new));
                let note = if text.is_empty() && old != new { "only secrets or white space differ\n" } else { "" };
                write_out(&(text + note))
            }
            Self::Apply { file, how: How { json, by } } => {
                let text = read(&file)?;
                let _lock = FileLock::of_config(PATIENCE)?;
                let taken = config::apply(&store, &text, Origin::Apply { by }, now(), &mut asking(client)?)?;
                report(json, &taken, "in force")
            }
            Self::Try { file, confirm_within, how: How { json, by } } => {
                let text = read(&file)?;
                let _lock = FileLock::of_config(PATIENCE)?;
                let until =
                    monotonic_us().saturating_add(u64::try_from(confirm_within.as_micros()).unwrap_or(u64::MAX));
                let trying = watch::trying(until, watch::Works::now());
                let taken = config::start_try(&store, &text, (by, now()), trying, &mut asking(client)?)?;
                report(json, &taken, "in force until it is confirmed: `hostctl config confirm`")
            }
            Self::Confirm => {
                let _lock = FileLock::of_config(PATIENCE)?;
                let number = config::confirm(&store)?;
                write_out(&format!("generation {number} is kept\n"))
            }
            Self::History { json } => history(&store, json),
            Self::Revert { number, how: How { json, by } } => {
                let _lock = FileLock::of_config(PATIENCE)?;
                let taken = config::revert(&store, number, by, now(), &mut asking(client)?)?;
                report(json, &taken, "in force")
            }
            Self::Watch => end_unconfirmed(&store, client),
            Self::Fetch => fetch_from_cmdline(&store, client),
        }
    }

    /// Does it on the host that `client` is connected to. Files are read here.
    pub(crate) fn there(self, client: &mut Client) -> Result<()> {
        let how = |How { json, by }: How| {
            let mut words = vec!["--by".to_owned(), by];
            words.extend(json.then(|| "--json".to_owned()));
            words
        };
        let word = |text: &str| text.to_owned();
        let (mut words, input) = match self {
            Self::Show { number, secrets } => {
                let number = number.map(|number| number.to_string());
                (
                    ["show".to_owned()].into_iter().chain(number).chain(secrets.then(|| word("--secrets"))).collect(),
                    None,
                )
            }
            Self::Diff { file } => (vec![word("diff"), word("-")], Some(read(&file)?)),
            Self::Apply { file, how: more } => {
                ([vec![word("apply"), word("-")], how(more)].concat(), Some(read(&file)?))
            }
            Self::Try { file, confirm_within, how: more } => {
                let time = format!("{}s", confirm_within.as_secs());
                let words = vec![word("try"), word("-"), word("--confirm-within"), time];
                ([words, how(more)].concat(), Some(read(&file)?))
            }
            Self::Confirm => (vec![word("confirm")], None),
            Self::History { json } => {
                ([word("history")].into_iter().chain(json.then(|| word("--json"))).collect(), None)
            }
            Self::Revert { number, how: more } => {
                let number = number.map(|number| number.to_string());
                ([word("revert")].into_iter().chain(number).chain(how(more)).collect(), None)
            }
            Self::Watch | Self::Fetch => bail!("only init runs this"),
        };
        words.insert(0, word("config"));
        on_host_with(client, &words, input, pass_on)
    }
}

/// Reads a host.toml, and shows its path in the message if it has a fault.
fn read(file: &PathBuf) -> Result<String> {
    let mut text = String::new();
    let limit = MAX_SIZE + 1;
    let read = match file.as_os_str() == "-" {
        true => io::stdin().take(limit).read_to_string(&mut text),
        false => File::open(file).and_then(|file| file.take(limit).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    if text.len() as u64 > MAX_SIZE {
        bail!("{}: expected {MAX_SIZE} bytes at most, found more", file.display());
    }
    Ok(text)
}

fn asking(
    client: impl FnOnce() -> Result<Client>,
) -> Result<impl FnMut(&str, bool) -> Result<ConfigChange, ClientError>> {
    let mut client = client()?;
    Ok(move |place: &str, watch: bool| client.configure(place, watch))
}

fn report(json: bool, taken: &Taken, state: &str) -> Result<()> {
    print(json, taken, || show::taken(taken, state))
}

fn show_text(store: &Store, number: Option<u32>, secrets: bool) -> Result<()> {
    let state = store.state()?;
    let text = match number {
        Some(number) => {
            store.generation(number).ok_or(config::ConfigError::NoGeneration { number })?;
            store.text(number)?
        }
        None => match &state.trying {
            Some(trying) => store.text(trying.generation)?,
            None => store.current_text(&state)?,
        },
    };
    write_out(&if secrets { text } else { berth_settings::without_secrets(&text) })
}

fn history(store: &Store, json: bool) -> Result<()> {
    #[derive(serde::Serialize)]
    struct History {
        #[serde(flatten)]
        state: berth_contract::generation::ConfigState,
        generations: Vec<Generation>,
    }
    let history = History { state: store.state()?, generations: store.list() };
    print(json, &history, || show::generations(&history.state, &history.generations))
}

/// This host, for the end of a try.
struct ThisHost;

impl watch::Host for ThisHost {
    fn now_us(&self) -> u64 {
        monotonic_us()
    }
    fn works(&self) -> watch::Works {
        watch::Works::now()
    }
    fn pause(&mut self) {
        thread::sleep(Duration::from_secs(1));
    }
}

fn end_unconfirmed(store: &Store, client: impl FnOnce() -> Result<Client>) -> Result<()> {
    let Some(why) = watch::wait(store, &mut ThisHost) else { return Ok(()) };
    let _lock = FileLock::of_config(LOCK_PATIENCE)?;
    match config::end_try(store, why.clone(), &mut asking(client)?) {
        // A user was faster.
        Err(config::ConfigError::NotTrying) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(taken) => report(false, &taken, &format!("in force again: {why}")),
    }
}

/// How long a user waits for another hostctl.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a program of init waits for another hostctl.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two attempts to fetch host.toml.
const PAUSE: Duration = Duration::from_secs(15);

fn fetch_from_cmdline(store: &Store, client: impl FnOnce() -> Result<Client>) -> Result<()> {
    let line = std::fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?;
    let Some(wanted) = fetch::wanted(&cmdline::parse(&line))? else { return Ok(()) };
    let last = store.list().into_iter().rfind(|found| found.origin.is_fetched());
    let last = last.and_then(|found| store.text(found.number).ok());
    if last.as_deref().is_some_and(|text| wanted.is(text)) {
        return Ok(config::refresh(store, &mut asking(client)?)?);
    }
    let text = loop {
        let ca = hostctl::host::Host::read().ok().map(|host| host.config.ca.concat()).filter(|ca| !ca.is_empty());
        match wanted.fetch(ca) {
            Ok(text) => break text,
            Err(error) => write_out(&format!("{:#}; trying again\n", anyhow::Error::from(error)))?,
        }
        thread::sleep(PAUSE);
    };
    let _lock = FileLock::of_config(LOCK_PATIENCE)?;
    if last.as_deref() == Some(text.as_str()) {
        return Ok(config::refresh(store, &mut asking(client)?)?);
    }
    let taken = config::apply(store, &text, wanted.origin(), now(), &mut asking(client)?)?;
    report(false, &taken, "in force")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["", "5", "m", "9s", "25h", "-1m", "1d", "99999999999999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
