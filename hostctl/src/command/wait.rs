//! `hostctl wait`: waits until the host is running, also across a reboot of the host that it is connected to.

use super::target::Target;
use anyhow::{Result, bail};
use berth_contract::control::{HostState, StatusReport};
use berth_control::{ClientError, answering};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Wait between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nobody may listen on the socket before the machine counts as gone.
const GONE: Duration = Duration::from_secs(20);

/// Waits until the host is running; at most for `limit`. While the host goes down, reboots and starts, it does not answer:
/// that is not an error.
///
/// # Errors
/// When the host is degraded, when nobody listens on the socket any more, or when the time has passed.
pub(crate) fn wait(target: &Target, limit: Option<Duration>) -> Result<()> {
    let end = limit.map(|limit| Instant::now() + limit);
    let is_over = || end.is_some_and(|end| Instant::now() >= end);
    loop {
        let (mut gone, began) = (None, Instant::now());
        let status = answering(
            || target.connect(),
            |error| match error {
                // A serial port is there, and the host behind it does not answer.
                ClientError::Lost { .. } if !is_over() => {
                    gone = None;
                    thread::sleep(PAUSE / 4);
                    Ok(())
                }
                ClientError::Connect { .. } | ClientError::Remote { is_gone: true, .. }
                    if !is_over() && gone.get_or_insert(began.max(Instant::now())).elapsed() < GONE =>
                {
                    thread::sleep(PAUSE);
                    Ok(())
                }
                error => Err(error),
            },
        )
        .and_then(|mut client| {
            client.set_timeout(Some(GONE))?;
            client.status()
        });
        match status {
            Ok(status) if status.state == HostState::Running => return Ok(()),
            Ok(status) if status.state == HostState::Degraded => bail!("the host is degraded: {}", problems(&status)),
            Ok(status) if is_over() => bail!("the host is not running: {}", hostctl::show::state(status.state)),
            // The host went down between two questions.
            Ok(_) | Err(ClientError::Lost { .. }) if !is_over() => thread::sleep(PAUSE),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn problems(status: &StatusReport) -> String {
    status.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
