//! When the time servers are asked, and what the log says about it.

use crate::{client::Moment, sntp::Sntp};
use berth_contract::{paths, time_config::TimeStatus};
use berth_file::read_json;
use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::Duration,
};

/// Follows the time servers of the leases.
#[derive(Debug)]
pub struct Clock {
    state: State,
    /// Wait before the time servers are asked again.
    again: Duration,
    /// Whether the log says already how the first question ended.
    is_said: bool,
}

#[derive(Debug)]
enum State {
    /// No server is known.
    Unknown,
    Asked(Sntp),
    /// Ask again at this time. After a power failure of a whole site, its internet connection may come up later than this host.
    Later(Moment),
}

impl Clock {
    /// A clock without servers. `again` is the wait between two questions.
    #[must_use]
    pub fn new(again: Duration) -> Self {
        Self { state: State::Unknown, again, is_said: false }
    }

    /// When to call [`Clock::follow`].
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Unknown => None,
            State::Asked(sntp) => Some(sntp.deadline()),
            State::Later(moment) => Some(*moment),
        }
    }

    /// The socket that receives answers.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        if let State::Asked(sntp) = &self.state { Some(sntp.as_fd()) } else { None }
    }

    /// Whether the first question has ended, or there is no server. Before that, no other program should set the clock.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.is_said || !matches!(self.state, State::Asked(_))
    }

    /// Asks the servers of a new lease, if none is known yet.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub fn learn(&mut self, servers: &[Ipv4Addr], nonce: u64, now: Moment) -> io::Result<()> {
        if matches!(self.state, State::Unknown) {
            self.ask(servers, nonce, now)?;
        }
        Ok(())
    }

    /// Reads an answer if one has come, and asks `servers` when it is time. Returns a line for the log.
    ///
    /// # Errors
    /// When no socket can be opened.
    pub fn follow(&mut self, servers: &[Ipv4Addr], nonce: u64, now: Moment) -> io::Result<Option<String>> {
        let mut line = None;
        if let State::Asked(sntp) = &mut self.state {
            let answer = sntp.receive();
            let goes_on = sntp.tick(now);
            let (said, is_news) = match answer {
                Ok(Some(offset)) => {
                    (format!("differed from the time server by {:.3} s", offset.seconds), offset.is_corrected)
                }
                Err(error) => (format!("cannot be set: {error}"), false),
                Ok(None) if !goes_on => ("no time server answers".to_owned(), false),
                Ok(None) => return Ok(None),
            };
            self.state = State::Later(now + self.again);
            line = (is_news || !self.is_said).then_some(said);
            self.is_said = true;
        }
        if let State::Later(moment) = self.state
            && now >= moment
        {
            // ntpd-rs follows a server, and corrects the clock better. This is for a host without ntpd-rs, or whose ntpd-rs cannot run.
            if is_followed(Path::new(paths::TIME_STATUS), now) {
                self.state = State::Later(now + self.again);
            } else {
                self.ask(servers, nonce, now)?;
            }
        }
        Ok(line)
    }

    fn ask(&mut self, servers: &[Ipv4Addr], nonce: u64, now: Moment) -> io::Result<()> {
        let asked = Sntp::start(servers, nonce.to_ne_bytes(), now)?;
        self.state = asked.map_or(State::Unknown, State::Asked);
        Ok(())
    }
}

/// Whether timed reports that the clock follows a server.
fn is_followed(report: &Path, now: Moment) -> bool {
    let status: TimeStatus = read_json(report, paths::MAX_JSON).unwrap_or_default();
    status.is_followed(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_are_not_asked_again_while_ntpd_rs_follows_one() {
        let dir = tempfile::tempdir().unwrap();
        let report = dir.path().join("status.json");
        let now = Duration::from_secs(1000);
        assert!(!is_followed(&report, now), "there is no timed");
        for (synchronised, checked, followed) in [(true, 990, true), (true, 690, false), (false, 990, false)] {
            let status = TimeStatus { synchronised, checked_us: checked * 1_000_000, ..TimeStatus::default() };
            std::fs::write(&report, serde_json::to_vec(&status).unwrap()).unwrap();
            assert_eq!(is_followed(&report, now), followed, "{status:?}");
        }
    }
}
