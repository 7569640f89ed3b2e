//! A client that the host has answered.

use crate::{Client, ClientError};
use std::{path::Path, time::Duration};

/// How long the first answer may take.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer may take at last: on a busy machine an answer takes longer than the first patience.
const LONGEST_PATIENCE: Duration = Duration::from_secs(20);

/// Connects, and asks for the status until the host answers.
///
/// A serial port has no connections: what a client says is lost while the host has not opened the port, or still takes it for the client
/// before. What is said after an answer will be heard. A refusal is an answer.
///
/// After each failure `again` decides: `Ok` to try again, `Err` to give up. `seed` is for [`Client::connect`]. The client's time limit is
/// the caller's to set.
///
/// # Errors
/// The error of `again`.
pub fn answering<E>(
    path: &Path,
    seed: impl Fn() -> u64,
    mut again: impl FnMut(ClientError) -> Result<(), E>,
) -> Result<Client, E> {
    let mut patience = FIRST_PATIENCE;
    loop {
        match answered(path, seed(), patience) {
            Ok(client) => return Ok(client),
            Err(error) => again(error)?,
        }
        patience = (patience * 3 / 2).min(LONGEST_PATIENCE);
    }
}

fn answered(path: &Path, seed: u64, patience: Duration) -> Result<Client, ClientError> {
    let mut client = Client::connect(path, seed)?;
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
        thread,
    };

    /// A port that takes the first call of each of `lost` clients for nothing, and refuses the calls of those that follow.
    fn port(path: &Path, lost: usize) {
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                    let Ok(Call { id, .. }) = serde_json::from_str(&line) else { continue };
                    if number < lost {
                        break;
                    }
                    let body = Body::Error(ControlError { message: "no".to_owned(), hint: None });
                    let frame = serde_json::to_string(&Frame { id, body }).unwrap();
                    writeln!(&stream, "{frame}").unwrap();
                }
            }
        });
    }

    #[test]
    fn it_asks_until_there_is_an_answer_and_a_refusal_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control");
        let mut failures = Vec::new();
        let client = answering(
            &path,
            || 1,
            |error| {
                failures.push(error);
                if failures.len() == 1 {
                    // The machine opens the port.
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
    fn it_ends_when_the_caller_gives_up() {
        let given_up = answering(Path::new("/no/such/port"), || 1, |error| Err(error.to_string()));
        assert_eq!(given_up.unwrap_err(), "cannot connect to /no/such/port");
    }
}
