//! What worked before an update, and has to work after it.

use super::{
    Fault, Places,
    dns::{self, DnsError},
};
use crate::file::{self, FileError};
use berth_contract::{
    control::{HostState, StatusReport},
    image_spec::ImageSpec,
    subject::Subject,
    update::Baseline,
    version::OsVersion,
};
use berth_engine::{Container, EngineClient, Listing};
use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
    path::Path,
};

/// Containers that are looked at.
const MOST_CONTAINERS: usize = 1000;

/// Notes what works on this host now, before the boot entry of version `to` is added, and keeps it for the next boot. `name` is one
/// that should resolve: the update source's. What cannot be found out is not noted, and will not be asked for.
///
/// # Errors
/// When it cannot be kept.
pub fn take(from: &OsVersion, to: &OsVersion, name: Option<&str>) -> Result<(), FileError> {
    let places = Places::default();
    let status = super::ask_init(&places).ok().map(|(status, _)| status);
    let servers = status.as_ref().map(name_servers).unwrap_or_default();
    file::replace_json(&places.baseline, &note(&places, &servers, (from, to), name))
}

/// What works now. See [`take`].
#[must_use]
pub fn note(places: &Places, servers: &[IpAddr], (from, to): (&OsVersion, &OsVersion), name: Option<&str>) -> Baseline {
    let resolves =
        |name: &&str| name.parse::<IpAddr>().is_err() && dns::resolves(name, servers, places.dns_port).is_ok();
    // Without an engine, or with one that does not answer, there are no containers to be asked for.
    let containers = places.engine().map(|engine| kept_up(&*engine)).unwrap_or_default();
    Baseline {
        from: Some(from.clone()),
        to: Some(to.clone()),
        default_route: has_default_route(places),
        resolved: name.filter(resolves).map(str::to_owned),
        containers,
    }
}

/// Names of the containers that run, that the engine starts at each boot, and that the host has not made: what is declared is required
/// or not, and may change with the version.
fn kept_up(engine: &dyn EngineClient) -> Vec<String> {
    let stays = |found: Container| found.runs() && found.is_kept_up() && !found.is_declared();
    let stays = |name: &String| engine.inspect(name).ok().flatten().is_some_and(stays);
    let running = engine.list(Listing::Running).unwrap_or_default();
    running.into_iter().map(|listed| listed.name).take(MOST_CONTAINERS).filter(stays).collect()
}

/// Whether there is one for version `to`.
#[must_use]
pub fn is_for(path: &Path, to: &OsVersion) -> bool {
    file::json::<Baseline>(path).is_ok_and(|baseline| baseline.to.as_ref() == Some(to))
}

/// Removes it once the version that it is for has been blessed.
///
/// # Errors
/// When it is there and stays.
pub fn forget(places: &Places) -> Result<(), FileError> {
    let Ok(baseline) = file::json::<Baseline>(&places.baseline) else { return Ok(()) };
    let runs = file::json::<ImageSpec>(&places.image_spec)?.version;
    if baseline.to.as_ref() == Some(&runs) { file::remove(&places.baseline) } else { Ok(()) }
}

/// Whether all of it works again. Returns the containers that run.
///
/// # Errors
/// What does not work.
pub fn still_holds(
    baseline: &Baseline,
    places: &Places,
    status: &StatusReport,
    engine: Option<&dyn EngineClient>,
) -> Result<Vec<(String, Container)>, Fault> {
    if baseline.default_route && !has_default_route(places) {
        let why = "there is no default route, and there was one before the update";
        return Err(Fault::new(Subject::BaselineRoute, why));
    }
    if let Some(name) = &baseline.resolved {
        match dns::resolves(name, &name_servers(status), places.dns_port) {
            // A server that has answered was reached. What it knows is no fault of this host.
            Ok(()) | Err(DnsError::NoAddress { .. }) => {}
            Err(error) => {
                let why = format!("{name} was resolved before the update: {error}");
                return Err(Fault::new(Subject::BaselineName(name.clone()), why));
            }
        }
    }
    let mut running = Vec::new();
    for name in &baseline.containers {
        let fault = |why: String| Fault::new(Subject::BaselineContainer(name.clone()), why);
        let Some(engine) = engine else {
            return Err(fault(format!("container {name} ran before the update, and this version has no engine")));
        };
        let found = still_runs(engine, name).map_err(fault)?;
        running.extend(found.map(|found| (name.clone(), found)));
    }
    Ok(running)
}

/// The container of this name; none when it is down, or gone, because somebody wanted that.
fn still_runs(engine: &dyn EngineClient, name: &str) -> Result<Option<Container>, String> {
    let unknown = |error| format!("container {name}: {error}");
    match engine.inspect(name).map_err(unknown)? {
        Some(found) if found.runs() => Ok(Some(found)),
        Some(found) if found.is_declared() || found.is_stopped_on_purpose() => Ok(None),
        Some(found) => Err(format!("container {name} is {}, and it ran before the update", found.state)),
        // Somebody has removed it, unless the engine has lost all of them.
        None if engine.list(Listing::All).map_err(unknown)?.iter().any(|other| other.label.is_none()) => Ok(None),
        None => Err(format!("container {name} is not there, nor any other that ran before the update")),
    }
}

/// What worked before `version` came, and does not work now. Nothing as long as this host is still coming up: then it may just be
/// late.
#[must_use]
pub fn missing(places: &Places, version: &OsVersion) -> Option<Fault> {
    let baseline = file::json::<Baseline>(&places.baseline).ok()?;
    let (status, _) = super::ask_init(places).ok()?;
    if baseline.to.as_ref() != Some(version) || status.state == HostState::Booting {
        return None;
    }
    still_holds(&baseline, places, &status, places.engine().as_deref()).err()
}

fn name_servers(status: &StatusReport) -> Vec<IpAddr> {
    status.network.as_ref().map(|network| network.dns.clone()).unwrap_or_default()
}

/// Whether the kernel knows a way to everywhere, over IPv4 or IPv6.
fn has_default_route(places: &Places) -> bool {
    let [four, six] = places.routes.each_ref().map(|path| fs::read_to_string(path).unwrap_or_default());
    four.lines().skip(1).any(is_default_of_4) || six.lines().any(is_default_of_6)
}

/// /proc/net/route: interface, destination, gateway, flags, reference count, use, metric, mask, ...; numbers in hexadecimal.
fn is_default_of_4(line: &str) -> bool {
    /// `RTF_UP` of linux/route.h.
    const UP: u32 = 1;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, destination, _, flags, _, _, _, mask, ..] = fields[..] else { return false };
    let up = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0);
    destination == "00000000" && mask == "00000000" && up
}

/// /proc/net/ipv6_route: destination, its length, source, its length, gateway, metric, reference count, use, flags, interface. The
/// kernel's own refusal of everything stands there as well, on `lo`.
fn is_default_of_6(line: &str) -> bool {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [destination, length, .., interface] = fields[..] else { return false };
    let unspecified = u128::from_str_radix(destination, 16) == Ok(Ipv6Addr::UNSPECIFIED.to_bits());
    fields.len() == 10 && unspecified && length == "00" && interface != "lo"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_as_the_kernel_shows_them() {
        let default = "eth0\t00000000\t0202000A\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        assert!(is_default_of_4(default));
        assert!(!is_default_of_4(&default.replace("0003", "0002")), "down");
        assert!(!is_default_of_4("eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"));
        assert!(!is_default_of_4("garbage"));
        let zero = "0".repeat(32);
        let six = |interface: &str| {
            format!("{zero} 00 {zero} 00 fe80000000000000000000000000002 00000400 1 0 00000003 {interface}")
        };
        assert!(is_default_of_6(&six("eth0")));
        assert!(!is_default_of_6(&six("lo")));
        assert!(!is_default_of_6(
            &six("eth0").replacen("00 ", "40 ", 1).replacen(&zero, "fe80", 0).replacen(" 00 ", " 40 ", 1)
        ));
        assert!(!is_default_of_6(""));
    }
}
