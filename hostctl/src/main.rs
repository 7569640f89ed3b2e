//! `hostctl`: shows the state of a host and controls it. Data goes to stdout, messages go to stderr.

mod command;

use berth_contract::{
    chain::Chain,
    control::{ControlError, JSON_ERRORS},
    version::OsVersion,
};
use berth_control::ClientError;
use clap::{Parser, Subcommand};
use command::{
    bless, config::ConfigVerb, containers::ContainersVerb, engine::Engine, forget, host::HostVerb, logs::Logs, on_host,
    pass_on, print, reset, rollback, slot::SlotVerb, status, support::Support, target::Target, upgrade::Upgrade, wait,
    why,
};
use hostctl::{
    config::ConfigError,
    decoder::{self, Packing},
    desk::DeskError,
    entries::EntriesError,
    exit::Exit,
    file::FileError,
    heal::StillDamaged,
    logs::LogsError,
    show,
    slots::SlotError,
    source::SourceError,
    trust::{Refusal, TrustError},
    var::{Mark, NotSure},
    why::Extent,
};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

#[derive(Debug, Parser)]
#[command(version, about = "Shows the state of a Berth host and controls it")]
struct Arguments {
    /// Socket of the host. Default: this host. `unix:PATH` is the virtio-serial port of a virtual machine
    #[arg(long, global = true, value_name = "unix:PATH", value_parser = socket)]
    connect: Option<PathBuf>,
    /// Name or address of a host that is reached over the network: see `hostctl host`
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "connect")]
    host: Option<String>,
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
    /// Show links, addresses, leases, routes, rules and name servers
    Network {
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
    Logs(Logs),
    #[command(subcommand)]
    Containers(ContainersVerb),
    Docker(Engine),
    #[command(subcommand)]
    Host(HostVerb),
    /// Stop a service, if it runs, and start it again
    Restart {
        /// Name of the service
        service: String,
    },
    /// Wait until the host is running, also across its reboot; fail when it is degraded
    Wait {
        /// Fail after this number of seconds
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    Upgrade(Upgrade),
    /// Show and change the configuration: host.toml
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Manage the memory of updates
    #[command(subcommand)]
    Update(Update),
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
        /// Show all lines, not only what fits on a screen
        #[arg(long)]
        full: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Erase everything in /var at the next boot: a factory reset
    #[command(group = clap::ArgGroup::new("what"))]
    Reset {
        /// Erase all of /var: the default
        #[arg(long, group = "what")]
        var: bool,
        /// Keep the configuration and its generations
        #[arg(long, group = "what")]
        keep_config: bool,
        /// Keep /var after all
        #[arg(long, group = "what", conflicts_with = "yes")]
        cancel: bool,
        /// Do it: all data in /var will be lost
        #[arg(long)]
        yes: bool,
    },
    /// Make a new file system for /var on a marked partition; init runs this
    #[command(hide = true)]
    MakeVar {
        /// The partition
        device: PathBuf,
    },
    /// Check the health of the running version and bless its boot entry; init runs this at every boot
    #[command(hide = true)]
    Bless {
        /// Time limit for the verdict, in seconds since the kernel's start
        #[arg(long, value_name = "SECONDS")]
        until: Option<u32>,
    },
    /// Unpack stdin to stdout without any privileges; `hostctl upgrade` runs this for bytes that are not verified yet
    #[command(hide = true)]
    Decode {
        /// xz or zstd
        packing: Packing,
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
    Support(Support),
    /// Shut down in order, then restart
    Reboot(GoingDown),
    /// Shut down in order, then power off
    Poweroff(GoingDown),
}

#[derive(Clone, Copy, Debug, clap::Args)]
struct GoingDown {
    /// All services and containers together have so many seconds to stop; also shortens a shutdown that has begun. Default: the stop
    /// timeouts of the containers
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Update {
    /// Forget the versions that have failed on this host, so that they can be installed again, and damaged records
    Forget {
        /// Also forget the newest metadata of all repositories: an older copy of a repository is accepted then
        #[arg(long)]
        repositories: bool,
    },
}

fn socket(text: &str) -> Result<PathBuf, String> {
    match text.strip_prefix("unix:") {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err(format!("expected unix:PATH, found {text:?}")),
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && for_init() => {
            let (message, hint) = usage(&error.render().to_string());
            return fail(ControlError { message, hint, code: Some(USAGE) });
        }
        Err(error) => {
            // If stdout or stderr cannot be written, the text has nowhere else to go.
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match run(arguments) {
        // init reports every status but 0 as an error. The client on the other side finds the status itself.
        Ok(Exit::NothingNewer) if for_init() => ExitCode::SUCCESS,
        Ok(exit) => exit.code().into(),
        // The reader of a pipe has closed it, as in `hostctl logs -f kernel | head`. That is not an error.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let message = Chain(error.as_ref()).to_string();
            fail(ControlError { message, hint: hint(&error), code: Some(Exit::code_of(&error)) })
        }
    }
}

/// Exit status for wrong usage, as clap has it.
const USAGE: u8 = 2;

/// Whether init runs this program for a client.
fn for_init() -> bool {
    std::env::var_os(JSON_ERRORS).is_some()
}

/// Prints the error. Returns its exit status.
fn fail(error: ControlError) -> ExitCode {
    // If stderr cannot be written, the error has nowhere else to go.
    let _ = io::stderr().write_all(error_text(&error).as_bytes());
    error.code.unwrap_or(Exit::Failed.code()).into()
}

/// clap's text about wrong usage as message and hint. The text is `error: MESSAGE`, an empty line, and what follows.
fn usage(text: &str) -> (String, Option<String>) {
    let text = text.strip_prefix("error: ").unwrap_or(text).trim_end();
    match text.split_once("\n\n") {
        Some((message, rest)) => (message.to_owned(), Some(rest.trim().to_owned())),
        None => (text.to_owned(), None),
    }
}

/// The text of an error for stderr: for people, or as JSON for init, which sends it to a client.
fn error_text(error: &ControlError) -> String {
    if for_init() {
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
        let desk = || cause.downcast_ref::<DeskError>().and_then(DeskError::hint);
        let var = || cause.downcast_ref::<NotSure>().map(|error| error.hint()).or_else(desk);
        let config = || cause.downcast_ref::<ConfigError>().and_then(ConfigError::hint);
        let logs = || cause.downcast_ref::<LogsError>().and_then(LogsError::hint);
        let file = || file().or_else(config).or_else(damaged).or_else(var).or_else(logs);
        client.or_else(entries).or_else(refusal).or_else(trust).or_else(source).or_else(slots).or_else(file)
    })
}

fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let target = match arguments.verb {
        Verb::Host(verb) => return verb.run().map(|()| Exit::Done),
        _ => Target::of(arguments.connect, arguments.host)?,
    };
    let is_here = target.is_here();
    let client = || target.client();
    match arguments.verb {
        Verb::Host(_) => Ok(()),
        Verb::Docker(engine) => return engine.run(&target),
        Verb::Support(support) if is_here => support.here(&mut client()?),
        Verb::Support(support) => support.there(&mut client()?),
        Verb::Containers(verb) if is_here => verb.here(),
        Verb::Containers(verb) => verb.there(&mut client()?),
        Verb::Upgrade(upgrade) if is_here => return upgrade.here(|| Ok(client()?.reboot()?)),
        Verb::Upgrade(upgrade) => return upgrade.there(&mut client()?),
        Verb::Status { json } => status::status(&mut client()?, is_here, json),
        Verb::Slots { json } if is_here => status::here(json),
        Verb::Slots { json } => status::there(&mut client()?, json),
        Verb::Config(verb) if is_here => verb.here(client),
        Verb::Config(verb) => verb.there(&mut client()?),
        Verb::Slot(verb) if is_here => verb.here(),
        Verb::Slot(verb) => verb.there(&mut client()?),
        Verb::Rollback { version, reboot } => {
            let reboot = || if reboot { Ok(client()?.reboot()?) } else { Ok(()) };
            match is_here {
                true => rollback::here(version.as_ref(), reboot),
                false => rollback::there(client()?, version.as_ref(), reboot),
            }
        }
        Verb::Update(Update::Forget { repositories }) => {
            let also = if repositories { forget::Also::Repositories } else { forget::Also::Nothing };
            if is_here { forget::here(also) } else { forget::there(&mut client()?, also) }
        }
        Verb::Why { full, json } if is_here => why::here(if full { Extent::Full } else { Extent::Screen }, json),
        Verb::Why { full, json } => {
            let options =
                [(full, "--full"), (json, "--json")].into_iter().filter_map(|(set, name)| set.then_some(name));
            on_host(&mut client()?, ["why"].into_iter().chain(options), pass_on)
        }
        Verb::Reset { keep_config, cancel, yes, .. } => {
            let mark = match (cancel, keep_config) {
                (true, _) => Mark::Keep,
                (_, true) => Mark::EraseButConfig,
                _ => Mark::Erase,
            };
            if is_here { reset::here(mark, yes) } else { reset::there(&mut client()?, mark, yes) }
        }
        Verb::MakeVar { device } => reset::make(&device),
        Verb::Decode { packing } => decoder::child::run(packing),
        Verb::Bless { until } => bless::bless(until),
        Verb::Network { json } => {
            let network = client()?.status()?.network.unwrap_or_default();
            print(json, &network, || show::network(&network))
        }
        Verb::Boot { json } => {
            let boot = client()?.boot()?;
            print(json, &boot, || show::boot(&boot))
        }
        Verb::Services { json } => {
            let services = client()?.services()?;
            print(json, &services, || show::services(&services))
        }
        Verb::Logs(logs) if is_here => logs.here(client),
        Verb::Logs(logs) => logs.there(client()?),
        Verb::Wait { timeout } => wait::wait(&target, timeout.map(Duration::from_secs)),
        Verb::Restart { service } => Ok(client()?.restart(&service)?),
        Verb::Reboot(GoingDown { limit: None }) => Ok(client()?.reboot()?),
        Verb::Reboot(GoingDown { limit: Some(seconds) }) => Ok(client()?.reboot_within(seconds)?),
        Verb::Poweroff(GoingDown { limit: None }) => Ok(client()?.poweroff()?),
        Verb::Poweroff(GoingDown { limit: Some(seconds) }) => Ok(client()?.poweroff_within(seconds)?),
    }
    .map(|()| Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_becomes_message_and_hint() {
        let error = Arguments::try_parse_from(["hostctl", "status", "--jsn"]).unwrap_err();
        let (message, hint) = usage(&error.render().to_string());
        assert_eq!(message, "unexpected argument '--jsn' found");
        let hint = hint.unwrap();
        assert!(hint.contains("'--json'") && hint.contains("Usage: hostctl status"), "{hint}");
        assert!(Arguments::try_parse_from(["hostctl", "reset", "--var", "--keep-config"]).is_err());
        assert!(Arguments::try_parse_from(["hostctl", "reset", "--keep-config", "--yes"]).is_ok());
        assert!(Arguments::try_parse_from(["hostctl", "reset", "--var", "--yes"]).is_ok());
    }
}

#[cfg(test)]
#[path = "hints_tests.rs"]
mod hints_tests;
