//! The baseline: what worked before an update, and must work after it.

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

/// Maximum number of containers that are inspected.
const MOST_CONTAINERS: usize = 1000;

/// Records what works on this host now, for the next boot. The caller does this before it adds the boot entry of version `to`. `name` is
/// the host name of the update source. A fact that cannot be determined is not recorded, and not required after the update.
///
/// # Errors
/// When the file cannot be written.
pub fn take(from: &OsVersion, to: &OsVersion, name: Option<&str>) -> Result<(), FileError> {
    let places = Places::default();
    let status = super::ask_init(&places).ok().map(|(status, _)| status);
    let servers = status.as_ref().map(name_servers).unwrap_or_default();
    file::replace_json(&places.baseline, &note(&places, &servers, (from, to), name))
}

/// Determines what works now; see [`take`].
#[must_use]
pub fn note(places: &Places, servers: &[IpAddr], (from, to): (&OsVersion, &OsVersion), name: Option<&str>) -> Baseline {
    let resolves =
        |name: &&str| name.parse::<IpAddr>().is_err() && dns::resolves(name, servers, places.dns_port).is_ok();
    // Without an engine, or if the engine does not answer, no containers are recorded.
    let containers = places.engine().map(|engine| kept_up(&*engine)).unwrap_or_default();
    Baseline {
        from: Some(from.clone()),
        to: Some(to.clone()),
        default_route: has_default_route(places),
        resolved: name.filter(resolves).map(str::to_owned),
        containers,
    }
}

/// Names of the containers that run, are started by the engine at each boot, and are not declared. Declared containers have the field
/// `required` for this purpose, and may change with the version.
fn kept_up(engine: &dyn EngineClient) -> Vec<String> {
    let stays = |found: Container| found.runs() && found.is_kept_up() && !found.is_declared();
    let stays = |name: &String| engine.inspect(name).ok().flatten().is_some_and(stays);
    let running = engine.list(Listing::Running).unwrap_or_default();
    running.into_iter().map(|listed| listed.name).take(MOST_CONTAINERS).filter(stays).collect()
}

/// Whether the file at `path` is a baseline for version `to`.
#[must_use]
pub fn is_for(path: &Path, to: &OsVersion) -> bool {
    file::json::<Baseline>(path).is_ok_and(|baseline| baseline.to.as_ref() == Some(to))
}

/// Removes the baseline of the running version, or a damaged one. Called when the version has been blessed.
///
/// # Errors
/// When the file cannot be removed.
pub fn forget(places: &Places) -> Result<(), FileError> {
    let (baseline, damage) = file::json_or_empty::<Option<Baseline>>(&places.baseline);
    if damage.is_some() {
        return file::remove(&places.baseline);
    }
    let Some(baseline) = baseline else { return Ok(()) };
    let runs = file::json::<ImageSpec>(&places.image_spec)?.version;
    if baseline.to.as_ref() == Some(&runs) { file::remove(&places.baseline) } else { Ok(()) }
}

/// Checks that everything in the baseline works. Returns the baseline's containers that run.
///
/// # Errors
/// The first fact of the baseline that does not hold.
pub fn still_holds(
    baseline: &Baseline,
    places: &Places,
    status: &StatusReport,
    engine: Option<&dyn EngineClient>,
) -> Result<Vec<(String, Container)>, Fault> {
    if baseline.default_route && !has_default_route(places) {
        let why = "expected a default route as before the update, found none";
        return Err(Fault::new(Subject::BaselineRoute, why));
    }
    if let Some(name) = &baseline.resolved {
        match dns::resolves(name, &name_servers(status), places.dns_port) {
            // A server answered, so the network works. A missing address is not a fault of this host.
            Ok(()) | Err(DnsError::NoAddress { .. }) => {}
            Err(error) => {
                let why = format!("{name} could be resolved before the update: {error}");
                return Err(Fault::new(Subject::BaselineName(name.clone()), why));
            }
        }
    }
    let mut running = Vec::new();
    for name in &baseline.containers {
        let fault = |why: String| Fault::new(Subject::BaselineContainer(name.clone()), why);
        let Some(engine) = engine else {
            return Err(fault(format!("container {name} ran before the update, but this version has no engine")));
        };
        let found = still_runs(engine, name).map_err(fault)?;
        running.extend(found.map(|found| (name.clone(), found)));
    }
    Ok(running)
}

/// The container of this name; `None` if a user has stopped or removed it, or it is a declared container now.
fn still_runs(engine: &dyn EngineClient, name: &str) -> Result<Option<Container>, String> {
    let unknown = |error| format!("container {name}: {error}");
    match engine.inspect(name).map_err(unknown)? {
        Some(found) if found.runs() => Ok(Some(found)),
        Some(found) if found.is_declared() || found.is_stopped_on_purpose() => Ok(None),
        Some(found) => Err(format!("container {name} is {}, but it ran before the update", found.state)),
        // The engine still has other containers that are not declared, so a user has removed this one.
        None if engine.list(Listing::All).map_err(unknown)?.iter().any(|other| other.label.is_none()) => Ok(None),
        None => {
            Err(format!("container {name} does not exist: the engine has lost all containers from before the update"))
        }
    }
}

/// The first fact of the baseline of `version` that does not hold now. `None` while the host is still booting, because a service may just
/// be late.
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

/// Whether a name server of the host answers a question about `name`, even if it says that the name does not exist.
#[must_use]
pub fn name_server_answers(name: &str, places: &Places) -> bool {
    let servers = super::ask_init(places).map(|(status, _)| name_servers(&status)).unwrap_or_default();
    matches!(dns::resolves(name, &servers, places.dns_port), Ok(()) | Err(DnsError::NoAddress { .. }))
}

/// Whether the kernel has a default route, over IPv4 or IPv6.
#[must_use]
pub fn has_default_route(places: &Places) -> bool {
    let [four, six] = places.routes.each_ref().map(|path| fs::read_to_string(path).unwrap_or_default());
    four.lines().skip(1).any(is_default_of_4) || six.lines().any(is_default_of_6)
}

/// A line of /proc/net/route: interface, destination, gateway, flags, reference count, use, metric, mask, ... Numbers are hexadecimal.
fn is_default_of_4(line: &str) -> bool {
    /// `RTF_UP` of linux/route.h.
    const UP: u32 = 1;
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, destination, _, flags, _, _, _, mask, ..] = fields[..] else { return false };
    let up = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0);
    destination == "00000000" && mask == "00000000" && up
}

/// A line of /proc/net/ipv6_route: destination, its length, source, its length, gateway, metric, reference count, use, flags, interface.
/// The file also has the kernel's route that rejects all traffic, on `lo`: that is not a default route.
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
