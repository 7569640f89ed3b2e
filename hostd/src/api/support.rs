//! The archive for a bug report. hostctl makes it on the host, and prints it in parts: what init keeps of a command's output is limited.

use super::state::Api;
use crate::{
    answer::{Answer, stream},
    events::Pipe,
    failure::Failure,
};
use http_body_util::BodyExt;
use hyper::{StatusCode, body::Bytes};
use serde::Deserialize;
use std::rc::Rc;
use tokio::{sync::Semaphore, task::spawn_local};

/// Type of the answer.
const ARCHIVE: &str = "application/zstd";
/// There is one file on the host.
static ONE: Semaphore = Semaphore::const_new(1);

/// What hostctl says about the archive.
#[derive(Deserialize)]
struct Kept {
    size: u64,
}

/// Sends the archive.
pub(super) async fn archive(api: &Rc<Api>) -> Result<Answer, Failure> {
    let place = ONE.try_acquire().map_err(|_| Failure::Busy(1))?;
    let said = api.control.lines(words(&["support", "--keep"])).await?.concat();
    let Kept { size } = serde_json::from_str(&said).map_err(|_| Failure::Answer("the size of an archive"))?;
    let (sender, body) = Pipe::new();
    let api = Rc::clone(api);
    spawn_local(async move {
        let _place = place;
        let (mut sent, mut number) = (0, 0);
        while sent < size {
            let part = api.control.lines(words(&["support", "--part", &format!("{number}")])).await;
            let Some(bytes) = part.ok().and_then(|lines| bytes(&lines.concat())).filter(|bytes| !bytes.is_empty())
            else {
                // The client sees that the archive is cut off: the end of its zstd stream is missing.
                break;
            };
            sent += bytes.len() as u64;
            number += 1;
            if sender.send(Bytes::from(bytes)).await.is_err() {
                break;
            }
        }
        // An error leaves a file in memory, which the next archive replaces.
        let _ = api.control.lines(words(&["support", "--remove"])).await;
    });
    Ok(stream(StatusCode::OK, ARCHIVE, body.boxed_unsync()))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}
