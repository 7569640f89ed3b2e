//! `hostctl`: shows the state of a host and controls it. Data goes to stdout, messages go to stderr.

mod command;

use berth_contract::{
    chain::Chain,
    control::{ControlError, JSON_ERRORS, LogLine},
    paths::CONTROL_SOCKET,
    version::OsVersion,
};
use berth_control::{Client, ClientError, answering};
use clap::{Parser, Subcommand};
use command::{bless, on_host, pass_on, print, rollback, slot::SlotVerb, status, upgrade::Upgrade, why, write_out};
use hostctl::{
    entries::EntriesError,
    file::FileError,
    heal::StillDamaged,
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
#[command(version, about = "Shows the state of a Berth host and controls it")]
struct Arguments {
    /// Socket of the host. Default: this host. `unix:PATH` is the virtio-serial port of a virtual machine
    #[arg(long, global = true, value_name = "unix:PATH", value_parser = socket)]
    connect: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the state of the host
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the timeline of the boot
    Boot {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all services
    Services {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the output of a service, of `init` or of the `kernel`
    Logs {
        /// Continue with new lines
        #[arg(short, long)]
        follow: bool,
        /// Name of the service, `init` or `kernel`
        name: String,
    },
    /// Wait until the host is running; fail when it is degraded
    Wait,
    Upgrade(Upgrade),
    /// Make the other installed version boot next. With the running version's name: cancel an upgrade or rollback
    Rollback {
        /// The version; required if it has failed before, or if its engine may not be able to read the data in /var
        version: Option<OsVersion>,
        /// Reboot when done
        #[arg(long)]
        reboot: bool,
    },
    /// Show why a version failed: its last boot, its kernel panic, and the versions that are not installed again
    Why {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the health of the running version and bless its boot entry; init runs this at every boot
    #[command(hide = true)]
    Bless {
        /// Time limit for the verdict, in seconds since the kernel's start
        #[arg(long, value_name = "SECONDS")]
        until: Option<u32>,
    },
    /// Check the content of both slots, and repair it
    #[command(subcommand)]
    Slot(SlotVerb),
    /// Show both slots and their boot entries
    #[command(hide = true)]
    Slots {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shut down in order, then restart
    Reboot,
    /// Shut down in order, then power off
    Poweroff,
}

fn socket(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err(format!("expected unix:PATH, found {text:?}")),
    }
}

/// Time limit for an answer of the host, except where a command waits.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has closed it, as in `hostctl logs -f kernel | head`. That is not an error.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let error = ControlError { message: Chain(error.as_ref()).to_string(), hint: hint(&error) };
            // If stderr cannot be written, the error has nowhere else to go.
            let _ = io::stderr().write_all(error_text(&error).as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// The text of an error for stderr: for people, or as JSON for init, which sends it to a client.
fn error_text(error: &ControlError) -> String {
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
        let damaged = || owned(cause.downcast_ref::<StillDamaged>().map(StillDamaged::hint));
        let file = || cause.downcast_ref::<FileError>().and_then(FileError::hint);
        client
            .or_else(entries)
            .or_else(refusal)
            .or_else(trust)
            .or_else(source)
            .or_else(slots)
            .or_else(damaged)
            .or_else(file)
    })
}

fn connect(path: Option<PathBuf>) -> anyhow::Result<Client> {
    // Random call ids: the serial port may still deliver answers to an earlier client, whose ids must be different.
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
        Verb::Slot(verb) if is_here => verb.here(),
        Verb::Slot(verb) => verb.there(&mut client()?),
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
