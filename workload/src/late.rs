//! A network that comes after the engine. Containers that an engine starts without name servers keep that state, and a container whose port
//! is published on an address of the host is not started before the address exists. Both are repaired when the network comes.

use super::network::Moment;
use berth_contract::{
    container::{ContainerRestart, ContainerSpec},
    control::NetworkStatus,
};
use berth_engine::{Container, EngineClient, EngineError, Listing};
use std::{collections::BTreeSet, fs, time::Duration};

/// An engine reads the name servers some time before the container's process starts.
const SLACK: Duration = Duration::from_secs(5);
/// `USER_HZ`, the unit of times in /proc, is the same on every architecture.
const TICKS: u64 = 100;
/// The address that netd writes into resolv.conf while there is no name server with an IPv4 address.
const NO_SERVER: &str = "0.0.0.0";

/// A change that may need a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// Containers that were started in this time had no name server. Start and end.
    pub(crate) without_servers: Option<(Moment, Moment)>,
    /// Whether an address is new.
    pub(crate) has_address: bool,
}

/// The history of the network since the host's start.
#[derive(Debug)]
pub(crate) struct History {
    /// Since when there has been no name server.
    without_any: Option<Moment>,
    /// Since when there has been no name server with an IPv4 address, which a container without IPv6 needs.
    without_4: Option<Moment>,
    addresses: BTreeSet<String>,
}

impl History {
    /// Before the first report: no network since the host's start.
    pub(crate) fn new() -> Self {
        Self { without_any: Some(Moment::ZERO), without_4: Some(Moment::ZERO), addresses: BTreeSet::new() }
    }

    /// Takes a report. Returns what may need a repair.
    pub(crate) fn learn(&mut self, status: &NetworkStatus, now: Moment) -> Option<News> {
        let any = follow(&mut self.without_any, !status.dns.is_empty(), now);
        let four = follow(&mut self.without_4, status.dns.iter().any(std::net::IpAddr::is_ipv4), now);
        let addresses: BTreeSet<String> = status.interfaces.iter().flat_map(|one| one.addresses.clone()).collect();
        let has_address = addresses.difference(&self.addresses).next().is_some();
        self.addresses = addresses;
        let without_servers = any.or(four).map(|since| (four.unwrap_or(since).min(since), now));
        (has_address || without_servers.is_some()).then_some(News { without_servers, has_address })
    }
}

/// Updates the start of a time without something. Returns that start when the time ends.
fn follow(without: &mut Option<Moment>, is_there: bool, now: Moment) -> Option<Moment> {
    if is_there {
        without.take()
    } else {
        without.get_or_insert(now);
        None
    }
}

/// Restarts the containers that were started without name servers, and starts those that could not be started. Only containers that
/// the engine or a declaration keeps up: another container is somebody's own. Returns one sentence for each.
pub(crate) fn repair(
    engine: &dyn EngineClient,
    news: &News,
    declared: &[ContainerSpec],
    started: impl Fn(u64) -> Option<Moment>,
) -> Result<Vec<String>, EngineError> {
    let mut found = Vec::new();
    for one in engine.list(Listing::All)? {
        if let Some(container) = engine.inspect(&one.name)? {
            // Before the first restart, which writes the file again: containers that share a network share the file.
            let lacks_servers = lacks_servers(&container);
            found.push((one.name, container, lacks_servers));
        }
    }
    // A container that uses the network of another one comes after that one.
    found.sort_by_key(|(_, container, _)| container.shares_network);
    let mut said = Vec::new();
    for (name, container, lacks_servers) in found.iter().filter(|(name, one, _)| is_kept_up(name, one, declared)) {
        let (result, reason) = if container.runs() {
            let began = started(container.pid);
            let within = |(from, to): (Moment, Moment)| began.is_some_and(|at| from <= at && at <= to + SLACK);
            if !lacks_servers || !news.without_servers.is_some_and(within) || container.has_no_network {
                continue;
            }
            (engine.restart(name), "restarted, because it was started before there was a name server")
        } else if container.error.is_some() {
            (engine.start(name), "started, because it could not be started before there was a network")
        } else {
            continue;
        };
        said.push(match result {
            Ok(()) => format!("container {name}: {reason}"),
            Err(error) => format!("container {name}: {error}"),
        });
    }
    Ok(said)
}

/// Whether the container's own resolv.conf has the address that stands for no name server. If the file cannot be read, the time of the
/// container's start decides alone.
fn lacks_servers(container: &Container) -> bool {
    let text = container.resolv_conf.as_ref().and_then(|path| fs::read_to_string(path).ok());
    // In a network of its own, an engine's name server may be in between. Then the address is in a comment.
    let has_word = |text: &str| text.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word == NO_SERVER);
    text.is_none_or(|text| has_word(&text))
}

fn is_kept_up(name: &str, container: &Container, declared: &[ContainerSpec]) -> bool {
    let is_declared_so = |spec: &ContainerSpec| spec.name == name && spec.restart != ContainerRestart::No;
    container.is_kept_up() || (container.is_declared() && declared.iter().any(is_declared_so))
}

/// When a process was started: the 22nd field of /proc/PID/stat.
pub(crate) fn start_of(process: u64) -> Option<Moment> {
    parse_start(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// The second field is a name in parentheses, which may contain anything.
fn parse_start(stat: &str) -> Option<Moment> {
    let ticks: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    Some(Duration::from_millis(ticks.checked_mul(1000 / TICKS)?))
}

#[cfg(test)]
#[path = "late_tests.rs"]
mod tests;
