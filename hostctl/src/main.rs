//! `hostctl`: looks into a host and tells it what to do. Data goes to stdout, talk to stderr.

use anyhow::Context;
use berth_contract::{
    control::{LogLine, StatusReport},
    paths::CONTROL_SOCKET,
    update::SlotsReport,
    version::OsVersion,
};
use clap::{Parser, Subcommand};
use hostctl::{
    client::{Client, ClientError},
    entries::{self, EntriesError, Host, Target},
    show,
};
use serde::Serialize;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

#[derive(Debug, Parser)]
#[command(version, about = "Looks into a Berth host and tells it what to do")]
struct Arguments {
    /// Socket of the host: its own by default; `unix:PATH` for the virtio-serial port of a virtual machine
    #[arg(long, global = true, value_name = "unix:PATH", value_parser = socket)]
    connect: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The host at a glance
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The boot's timeline
    Boot {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All services
    Services {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The output of a service, of `init` or of the `kernel`
    Logs {
        /// Go on with new lines
        #[arg(short, long)]
        follow: bool,
        /// Which
        name: String,
    },
    /// Returns when the host is running, fails when it is degraded
    Wait,
    /// Boots the other version next: the older one, or a newer one that was left
    Rollback {
        /// Its version: needed if it has failed before, or its engine may not understand the data in /var
        version: Option<OsVersion>,
        /// Restart at once
        #[arg(long)]
        reboot: bool,
    },
    /// Both slots and their boot entries
    #[command(hide = true)]
    Slots {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ordered shutdown, then restart
    Reboot,
    /// Ordered shutdown, then power off
    Poweroff,
}

fn socket(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err(format!("expected unix:PATH, found {text:?}")),
    }
}

/// How long a plain answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has seen enough (`hostctl logs -f kernel | head`).
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let mut message = format!("error: {error:#}\n");
            let hint = error.downcast_ref::<ClientError>().and_then(ClientError::hint);
            if let Some(hint) = hint.or_else(|| error.downcast_ref::<EntriesError>().and_then(EntriesError::hint)) {
                message += &format!("hint: {hint}\n");
            }
            // Nobody is left to be told when this fails.
            let _ = io::stderr().write_all(message.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let is_here = arguments.connect.is_none();
    match &arguments.verb {
        Verb::Slots { json } if is_here => return slots(*json),
        Verb::Rollback { version, reboot: false } if is_here => return rollback(version.as_ref()),
        _ => {}
    }
    let path = arguments.connect.unwrap_or_else(|| CONTROL_SOCKET.into());
    // Unlike the ids of every other client that a serial port may still answer.
    let seed = RandomState::new().build_hasher().finish();
    let mut client = Client::connect(&path, seed)?;
    client.set_timeout(Some(PATIENCE))?;
    match arguments.verb {
        Verb::Status { json } => {
            let status = client.status()?;
            // The host is worth a look also where its disk is not.
            let slots = if is_here { local_slots() } else { remote_slots(&mut client) };
            let rows = match &slots {
                Ok(slots) => entries::show(slots),
                Err(error) => vec![("slots", format!("unknown: {error:#}"))],
            };
            let both = Status { status: &status, update: slots.as_ref().ok() };
            print(json, &both, || show::status(&status, rows))
        }
        Verb::Rollback { version, reboot } => {
            if is_here {
                rollback(version.as_ref())?;
            } else {
                on_host(
                    &mut client,
                    ["rollback"].into_iter().chain(version.as_ref().map(OsVersion::as_str)),
                    |line| write_out(&format!("{}\n", line.text)),
                )?;
            }
            if reboot { Ok(client.reboot()?) } else { Ok(()) }
        }
        Verb::Slots { json } => {
            let slots = remote_slots(&mut client)?;
            print(json, &slots, || show_slots(&slots))
        }
        Verb::Boot { json } => {
            let boot = client.boot()?;
            print(json, &boot, || show::boot(&boot))
        }
        Verb::Services { json } => {
            let services = client.services()?;
            print(json, &services, || show::services(&services))
        }
        Verb::Logs { follow, name } => {
            client.set_timeout((!follow).then_some(PATIENCE))?;
            client.logs(&name, follow, |line: LogLine| {
                let at = format!("{}.{:06}", line.at_us / 1_000_000, line.at_us % 1_000_000);
                write_out(&format!("[{at:>12}] {}\n", line.text))
            })
        }
        Verb::Wait => {
            client.set_timeout(None)?;
            Ok(client.wait_ready()?)
        }
        Verb::Reboot => Ok(client.reboot()?),
        Verb::Poweroff => Ok(client.poweroff()?),
    }
}

/// `hostctl status --json`.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    status: &'a StatusReport,
    /// Nothing where slots or boot entries cannot be read.
    update: Option<&'a SlotsReport>,
}

fn local_slots() -> anyhow::Result<SlotsReport> {
    Ok(Host::find(Path::new("/"))?.report()?)
}

/// The slots of a host that is not this one: by its own hostctl.
fn remote_slots(client: &mut Client) -> anyhow::Result<SlotsReport> {
    let mut text = String::new();
    on_host(client, ["slots", "--json"], |line| {
        text.push_str(&line.text);
        Ok(())
    })?;
    serde_json::from_str(&text).context("the host's hostctl says something else than slots: it is of another version")
}

fn on_host<'a>(
    client: &mut Client,
    words: impl IntoIterator<Item = &'a str>,
    line: impl FnMut(LogLine) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
    client.run(&words, line)
}

fn slots(json: bool) -> anyhow::Result<()> {
    let slots = local_slots()?;
    print(json, &slots, || show_slots(&slots))
}

fn show_slots(slots: &SlotsReport) -> String {
    entries::show(slots).iter().map(|(name, text)| format!("{name:<12}  {text}\n")).collect()
}

fn rollback(version: Option<&OsVersion>) -> anyhow::Result<()> {
    let entry = Host::find(Path::new("/"))?.rollback(version.map_or(Target::Other, Target::Named))?;
    write_out(&format!("version {} boots next\n", entry.version))
}

fn print<T: Serialize>(json: bool, data: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    write_out(&if json { serde_json::to_string_pretty(data)? + "\n" } else { text() })
}

fn write_out(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
