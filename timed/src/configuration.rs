//! The configuration of ntpd-rs: ntp.toml(5), version 1.4.

use berth_contract::time_config::TimeServer;
use std::{fmt::Write, path::Path};

/// Seconds. A smaller difference is corrected by a slower or faster clock, a larger one in one step: a machine that was paused.
const STEP: f64 = 0.128;
/// Logarithms to base 2 of seconds: 16 s, and 8.5 minutes. ntpd-rs chooses between them. A paused machine is noticed within the longer one.
const POLL: (u8, u8) = (4, 9);
/// From this number of servers on, two must agree.
const MANY: usize = 3;

/// The configuration as text. `socket` is where ntpd-rs tells its state. `back` is the number of seconds that the clock may be set back: to
/// the date of the image, and not further.
#[must_use]
pub fn text(servers: &[TimeServer], socket: &Path, back: u64) -> String {
    let mut text = String::from("# Written by timed.\n");
    for server in servers {
        let mode = if server.nts { "nts" } else { "server" };
        // An address has no characters that TOML would need to escape: it was checked.
        let _ = write!(text, "[[source]]\nmode = \"{mode}\"\naddress = \"{}\"\n", server.with_port());
    }
    let agreeing = if servers.len() < MANY { 1 } else { 2 };
    // A clock without a battery is behind by years. One that is ahead must be right again, too: ntpd-rs itself allows only a day.
    // The same holds later, when a machine was paused.
    let limit = format!("{{ forward = \"inf\", backward = {back} }}");
    let (least, longest) = POLL;
    let _ = write!(
        text,
        "[source-defaults]\npoll-interval-limits = {{ min = {least}, max = {longest} }}\n\
         [synchronization]\nminimum-agreeing-sources = {agreeing}\n\
         startup-step-panic-threshold = {limit}\nsingle-step-panic-threshold = {limit}\n\
         [synchronization.algorithm]\nstep-threshold = {STEP}\n\
         [observability]\nlog-level = \"warn\"\nansi-colors = false\n\
         observation-path = \"{}\"\nobservation-permissions = 0o600\n",
        socket.display()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_a_source_and_the_clock_never_goes_behind_the_image() {
        let nts = TimeServer { nts: true, ..TimeServer::plain("nts.example.org") };
        let text = text(&[TimeServer::plain("fd00::1"), nts], Path::new("/run/timed/observe"), 86_400);
        let table: toml::Table = toml::from_str(&text).unwrap();
        let sources = table["source"].as_array().unwrap();
        assert_eq!((&sources[0]["mode"], &sources[0]["address"]), (&"server".into(), &"[fd00::1]:123".into()));
        assert_eq!((&sources[1]["mode"], &sources[1]["address"]), (&"nts".into(), &"nts.example.org:4460".into()));
        let limits = &table["synchronization"];
        assert_eq!(limits["minimum-agreeing-sources"], 1.into());
        for name in ["startup-step-panic-threshold", "single-step-panic-threshold"] {
            assert_eq!((&limits[name]["forward"], &limits[name]["backward"]), (&"inf".into(), &86_400.into()));
        }
        let three: Vec<_> = ["a", "b", "c"].iter().map(TimeServer::plain).collect();
        assert!(super::text(&three, Path::new("/x"), 0).contains("minimum-agreeing-sources = 2\n"));
    }
}
