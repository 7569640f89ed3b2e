//! Connecting to a host that may not answer yet: repeat the first call until the host answers.

use crate::{Client, ClientError};
use std::time::Duration;

/// Time limit for the first attempt.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// Time limit of the last attempts. The limit grows because an answer takes longer on a busy machine.
const LONGEST_PATIENCE: Duration = Duration::from_secs(20);

/// Connects, and requests the status until the host answers. A refusal is an answer too.
///
/// A serial port has no connections. A request is lost if the host has not opened the port yet, or still counts the bytes to the previous
/// client. After the first answer, requests are not lost any more.
///
/// `connect` makes a connection, each time with other call ids. After each failure `again` decides: `Ok` tries again, `Err` gives up. The
/// returned client still has the time limit of the last attempt: the caller sets its own.
///
/// # Errors
/// The error of `again`.
pub fn answering<E>(
    mut connect: impl FnMut() -> Result<Client, ClientError>,
    mut again: impl FnMut(ClientError) -> Result<(), E>,
) -> Result<Client, E> {
    let mut patience = FIRST_PATIENCE;
    loop {
        match answered(&mut connect, patience) {
            Ok(client) => return Ok(client),
            Err(error) => again(error)?,
        }
        patience = (patience * 3 / 2).min(LONGEST_PATIENCE);
    }
}

fn answered(
    connect: &mut impl FnMut() -> Result<Client, ClientError>,
    patience: Duration,
) -> Result<Client, ClientError> {
    let mut client = connect()?;
    client.set_timeout(Some(patience))?;
    match client.status() {
        Err(error @ ClientError::Lost { .. }) => Err(error),
        _ => Ok(client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::control::{Body, Call, ControlError, Frame};
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixListener,
        path::Path,
        thread,
    };

    /// A port that ignores the first call of each of the first `lost` clients, and refuses the calls of the later clients.
    fn port(path: &Path, lost: usize) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                    let Ok(Call { id, .. }) = serde_json::from_str(&line) else { continue };
                    if number < lost {
                        break;
                    }
                    let body = Body::Error(ControlError { message: "no".to_owned(), hint: None, code: None });
                    let frame = serde_json::to_string(&Frame { id, body }).unwrap();
                    writeln!(&stream, "{frame}").unwrap();
                }
            }
        });
    }

    #[test]
    fn the_status_is_requested_until_the_host_answers_or_refuses() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let mut failures = Vec::new();
        let client = answering(
            || Client::connect(&path, 1),
            |error| {
                failures.push(error);
                if failures.len() == 1 {
                    // From now on the host listens on the port.
                    port(&path, 2);
                }
                if failures.len() < 10 { Ok(()) } else { Err(()) }
            },
        );
        assert!(matches!(client.unwrap().status(), Err(ClientError::Refused(_))));
        assert!(matches!(failures[0], ClientError::Connect { .. }), "{failures:?}");
        assert!(failures.len() == 3 && failures[1..].iter().all(|error| matches!(error, ClientError::Lost { .. })));
    }

    #[test]
    fn no_attempt_follows_when_the_caller_gives_up() {
        let given_up = answering(|| Client::connect(Path::new("/no/such/port"), 1), |error| Err(error.to_string()));
        assert_eq!(given_up.unwrap_err(), "cannot connect to /no/such/port");
    }
}
