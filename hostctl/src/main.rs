//! `hostctl`: looks into a host and tells it what to do. Data goes to stdout, talk to stderr.

use berth_contract::{control::LogLine, paths::CONTROL_SOCKET};
use clap::{Parser, Subcommand};
use hostctl::{
    client::{Client, ClientError},
    show,
};
use serde::Serialize;
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Write},
    path::PathBuf,
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
            if let Some(hint) = error.downcast_ref::<ClientError>().and_then(ClientError::hint) {
                message += &format!("hint: {hint}\n");
            }
            // Nobody is left to be told when this fails.
            let _ = io::stderr().write_all(message.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let path = arguments.connect.unwrap_or_else(|| CONTROL_SOCKET.into());
    // Unlike the ids of every other client that a serial port may still answer.
    let seed = RandomState::new().build_hasher().finish();
    let mut client = Client::connect(&path, seed)?;
    client.set_timeout(Some(PATIENCE))?;
    match arguments.verb {
        Verb::Status { json } => {
            let status = client.status()?;
            print(json, &status, || show::status(&status))
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

fn print<T: Serialize>(json: bool, data: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    write_out(&if json { serde_json::to_string_pretty(data)? + "\n" } else { text() })
}

fn write_out(text: &str) -> anyhow::Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
