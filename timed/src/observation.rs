//! The state of ntpd-rs, from its observation socket: the length in eight bytes, and JSON.

use berth_contract::time_config::TimeStatus;
use serde::Deserialize;
use std::{
    io::{self, Read},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Limit of a report, in bytes.
const MAX: u64 = 1 << 20;
/// ntpd-rs answers at once, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(2);
/// A source that has not answered this number of requests is lost.
const LOST: u32 = 8;
/// The stratum of a clock that follows no server.
const NO_STRATUM: u8 = 16;

/// What ntpd-rs reports, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub struct Observation {
    system: System,
    sources: Vec<Source>,
}

#[derive(Clone, Debug, Deserialize)]
struct System {
    stratum: u8,
    leap_indicator: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Source {
    offset: f64,
    uncertainty: f64,
    unanswered_polls: u32,
    name: String,
    address: String,
}

/// Asks ntpd-rs for its state.
///
/// # Errors
/// When ntpd-rs does not listen, does not answer, or its answer cannot be read.
pub fn ask(socket: &Path) -> io::Result<Observation> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if length > MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("expected at most {MAX} bytes, found {length}"),
        ));
    }
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

impl Observation {
    /// A server whose time is more than this number of seconds behind this host's.
    #[must_use]
    pub fn far_behind(&self, seconds: u64) -> Option<&str> {
        let mut behind = self.sources.iter().filter(|source| source.offset < 0.0);
        let far = |source: &&Source| Duration::try_from_secs_f64(-source.offset).is_ok_and(|by| by.as_secs() > seconds);
        behind.find(far).map(|source| source.name.as_str())
    }

    /// Adds what is known about the clock to a report.
    pub fn describe(&self, status: &mut TimeStatus) {
        let known = self.system.leap_indicator != "Unknown" && self.system.stratum < NO_STRATUM;
        let answering = self.sources.iter().filter(|source| source.unanswered_polls < LOST);
        let best = answering.min_by(|a, b| a.uncertainty.total_cmp(&b.uncertainty));
        match best.filter(|_| known) {
            Some(best) => {
                status.synchronised = true;
                // The address has the port. A name is better for people, if there is one.
                let is_address = best.name == best.address;
                let name = (!is_address).then(|| format!("{} ({})", best.name, best.address));
                status.source = Some(name.unwrap_or_else(|| best.address.clone()));
                status.offset = Some(best.offset);
                status.stratum = Some(self.system.stratum);
            }
            None if known => status.problem = Some("no time server has answered for some time".to_owned()),
            None => {
                let asked = if best.is_some() { "no decision yet" } else { "no time server has answered yet" };
                status.problem = Some(asked.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(leap: &str, stratum: u8, unanswered: u32) -> TimeStatus {
        let text = format!(
            r#"{{"program":{{"version":"1.4.0"}},"system":{{"stratum":{stratum},"reference_id":1,"leap_indicator":"{leap}"}},
            "sources":[{{"offset":0.5,"uncertainty":9.0,"unanswered_polls":0,"name":"a:123","address":"192.0.2.9:123"}},
            {{"offset":-0.25,"uncertainty":0.1,"unanswered_polls":{unanswered},"name":"192.0.2.1:123","address":"192.0.2.1:123"}}],"servers":[]}}"#
        );
        let mut status = TimeStatus::default();
        serde_json::from_str::<Observation>(&text).unwrap().describe(&mut status);
        status
    }

    #[test]
    fn the_best_answering_source_is_reported() {
        let good = observed("NoWarning", 3, 0);
        assert_eq!((good.synchronised, good.offset, good.stratum), (true, Some(-0.25), Some(3)));
        assert_eq!(good.source.as_deref(), Some("192.0.2.1:123"));
        assert_eq!(observed("NoWarning", 3, 8).source.as_deref(), Some("a:123 (192.0.2.9:123)"));
        let early = observed("Unknown", 16, 0);
        assert_eq!((early.synchronised, early.problem.as_deref()), (false, Some("no decision yet")));
    }
}
