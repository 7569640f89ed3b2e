//! `hostctl`: looks into a host and tells it what to do. Data goes to stdout, talk to stderr.

mod command;

use berth_contract::{
    chain::Chain,
    control::{ControlError, JSON_ERRORS, LogLine},
    paths::CONTROL_SOCKET,
    version::OsVersion,
};
use berth_control::{Client, ClientError, answering};
use clap::{Parser, Subcommand};
use command::{bless, on_host, pass_on, print, rollback, status, upgrade::Upgrade, why, write_out};
use hostctl::{
    entries::EntriesError,
    file::FileError,
    show,
    slots::SlotError,
    source::SourceError,
    trust::{Refusal, TrustError},
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
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
    Upgrade(Upgrade),
    /// Boots the other version next: the older one, or a newer one that was left; or, named, the running one again
    Rollback {
        /// Its version: needed if it has failed before, or its engine may not understand the data in /var
        version: Option<OsVersion>,
        /// Restart at once
        #[arg(long)]
        reboot: bool,
    },
    /// Why a version of the OS failed: its last boot, its kernel's last words, and which versions are not taken again
    Why {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Finds out whether this version is healthy, and blesses its boot entry; init runs it at every boot
    #[command(hide = true)]
    Bless {
        /// Seconds since the kernel's start by which there must be a verdict
        #[arg(long, value_name = "SECONDS")]
        until: Option<u32>,
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
            let error = ControlError { message: Chain(error.as_ref()).to_string(), hint: hint(&error) };
            // Nobody is left to be told when this fails.
            let _ = io::stderr().write_all(complaint(&error).as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// An error as stderr has it: for people, or for init, which passes it on to a client.
fn complaint(error: &ControlError) -> String {
    if std::env::var_os(JSON_ERRORS).is_some() {
        return serde_json::to_string(error).unwrap_or_default() + "\n";
    }
    let hint = error.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    format!("error: {}\n{hint}", error.message)
}

fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let owned = |hint: Option<&str>| hint.map(str::to_owned);
        let client = cause.downcast_ref::<ClientError>().and_then(ClientError::hint);
        let entries = || cause.downcast_ref::<EntriesError>().and_then(EntriesError::hint);
        let refusal = || cause.downcast_ref::<Refusal>().map(Refusal::hint);
        let trust = || cause.downcast_ref::<TrustError>().and_then(TrustError::hint);
        let source = || owned(cause.downcast_ref::<SourceError>().and_then(SourceError::hint));
        let slots = || owned(cause.downcast_ref::<SlotError>().and_then(SlotError::hint));
        let file = || cause.downcast_ref::<FileError>().and_then(FileError::hint);
        client.or_else(entries).or_else(refusal).or_else(trust).or_else(source).or_else(slots).or_else(file)
    })
}

fn connect(path: Option<PathBuf>) -> anyhow::Result<Client> {
    // Unlike the ids of every other client that a serial port may still answer.
    let seed = || RandomState::new().build_hasher().finish();
    let client = match path {
        None => Client::connect(CONTROL_SOCKET.as_ref(), seed())?,
        Some(path) => {
            let end = Instant::now() + PATIENCE;
            answering(&path, seed, |error| match error {
                ClientError::Lost { .. } if Instant::now() < end => Ok(()),
                error => Err(error),
            })?
        }
    };
    client.set_timeout(Some(PATIENCE))?;
    Ok(client)
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let is_here = arguments.connect.is_none();
    let client = || connect(arguments.connect.clone());
    match arguments.verb {
        Verb::Status { json } => status::status(&mut client()?, is_here, json),
        Verb::Slots { json } if is_here => status::here(json),
        Verb::Slots { json } => status::there(&mut client()?, json),
        Verb::Upgrade(upgrade) if is_here => upgrade.here(|| Ok(client()?.reboot()?)),
        Verb::Upgrade(upgrade) => upgrade.there(&mut client()?),
        Verb::Rollback { version, reboot } => {
            let reboot = || if reboot { Ok(client()?.reboot()?) } else { Ok(()) };
            match is_here {
                true => rollback::here(version.as_ref(), reboot),
                false => rollback::there(client()?, version.as_ref(), reboot),
            }
        }
        Verb::Why { json } if is_here => why::here(json),
        Verb::Why { json } => on_host(&mut client()?, ["why"].into_iter().chain(json.then_some("--json")), pass_on),
        Verb::Bless { until } => bless::bless(until),
        Verb::Boot { json } => {
            let boot = client()?.boot()?;
            print(json, &boot, || show::boot(&boot))
        }
        Verb::Services { json } => {
            let services = client()?.services()?;
            print(json, &services, || show::services(&services))
        }
        Verb::Logs { follow, name } => {
            let mut client = client()?;
            client.set_timeout((!follow).then_some(PATIENCE))?;
            client.logs(&name, follow, |line: LogLine| {
                let at = format!("{}.{:06}", line.at_us / 1_000_000, line.at_us % 1_000_000);
                write_out(&format!("[{at:>12}] {}\n", line.text))
            })
        }
        Verb::Wait => {
            let mut client = client()?;
            client.set_timeout(None)?;
            Ok(client.wait_ready()?)
        }
        Verb::Reboot => Ok(client()?.reboot()?),
        Verb::Poweroff => Ok(client()?.poweroff()?),
    }
}
