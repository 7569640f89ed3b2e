//! The clock in `hostctl status`.

use berth_contract::time_config::TimeStatus;

/// The state of the clock in one line.
#[must_use]
pub(super) fn clock(time: &TimeStatus) -> String {
    let Some(origin) = time.origin else {
        return "no time server: neither host.toml nor DHCP nor the image names one".to_owned();
    };
    match &time.source {
        Some(source) if time.synchronised => {
            let offset = time.offset.map(|offset| format!(", {offset:+.6} s")).unwrap_or_default();
            let stratum = time.stratum.map(|stratum| format!(", stratum {stratum}")).unwrap_or_default();
            format!("follows {source} of {origin}{stratum}{offset}")
        }
        _ => {
            let why = time.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("NOT SYNCHRONISED{why} (servers of {origin}: {})", time.servers.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::time_config::ServerOrigin;

    #[test]
    fn the_line_says_which_server_the_clock_follows_or_why_it_follows_none() {
        assert!(clock(&TimeStatus::default()).starts_with("no time server"));
        let mut time = TimeStatus {
            origin: Some(ServerOrigin::Dhcp),
            servers: vec!["192.0.2.1".into()],
            problem: Some("no time server has answered yet".into()),
            ..TimeStatus::default()
        };
        let wanted = "NOT SYNCHRONISED: no time server has answered yet (servers of DHCP: 192.0.2.1)";
        assert_eq!(clock(&time), wanted);
        (time.synchronised, time.source, time.stratum, time.offset) =
            (true, Some("192.0.2.1:123".into()), Some(3), Some(-0.0021));
        assert_eq!(clock(&time), "follows 192.0.2.1:123 of DHCP, stratum 3, -0.002100 s");
    }
}
