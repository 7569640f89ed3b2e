//! Streams of events (text/event-stream, WHATWG HTML, section 9.2): lines of logs, and the progress of commands.

use crate::{
    answer::{Answer, EVENTS, stream},
    control::Running,
    failure::Failure,
};
use berth_contract::control::{Body, ControlError, LogLine};
use http_body_util::BodyExt;
use hyper::{
    StatusCode,
    body::{Bytes, Frame},
};
use serde::Serialize;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::spawn_local,
    time::timeout,
};

/// Events that wait for a slow client. While they do, no further ones are read from init. An event may have a line of 64 KiB.
const WAITING: usize = 4;
/// After this time without an event a comment is sent, so that both sides notice a broken connection.
const SILENCE: Duration = Duration::from_secs(15);

/// The sending side of a stream. The stream ends when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Events(Sender<Bytes>);

/// The client has gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Events {
    /// A new stream, and the answer with it.
    pub(crate) fn new() -> (Self, Answer) {
        let (sender, body) = Pipe::new();
        (Self(sender), stream(StatusCode::OK, EVENTS, body.boxed_unsync()))
    }

    /// Sends an event. Waits while the client is slow.
    pub(crate) async fn send(&self, kind: &str, data: &impl Serialize) -> Result<(), Gone> {
        self.push(event(kind, data)).await
    }

    /// The same for a thread that is not the runtime's.
    pub(crate) fn send_blocking(&self, kind: &str, data: &impl Serialize) -> Result<(), Gone> {
        self.0.blocking_send(event(kind, data)).map_err(|_| Gone)
    }

    /// Sends a comment, which clients ignore.
    pub(crate) async fn comment(&self) -> Result<(), Gone> {
        self.push(Bytes::from_static(COMMENT)).await
    }

    /// The same for a thread that is not the runtime's.
    pub(crate) fn comment_blocking(&self) -> Result<(), Gone> {
        self.0.blocking_send(Bytes::from_static(COMMENT)).map_err(|_| Gone)
    }

    /// Sends the last event: `end`, or `error` with the error.
    pub(crate) async fn finish(&self, end: Result<(), ControlError>) {
        let _ = match end {
            Ok(()) => self.send("end", &serde_json::Map::new()).await,
            Err(error) => self.send("error", &error).await,
        };
    }

    async fn push(&self, bytes: Bytes) -> Result<(), Gone> {
        self.0.send(bytes).await.map_err(|_| Gone)
    }

    async fn gone(&self) {
        self.0.closed().await;
    }
}

const COMMENT: &[u8] = b":\n\n";

fn event(kind: &str, data: &impl Serialize) -> Bytes {
    // Our own types always have a JSON form, and JSON has no line break.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

/// Passes the lines of a call to the client, each as an event `kind` with the data that `data` makes of it.
pub(crate) fn pass_on<T: Serialize + 'static>(
    mut call: Running,
    kind: &'static str,
    data: impl Fn(LogLine) -> Option<T> + 'static,
) -> Answer {
    let (events, answer) = Events::new();
    spawn_local(async move {
        loop {
            let part = tokio::select! {
                part = timeout(SILENCE, call.next()) => part,
                // Dropping the call ends it in init.
                () = events.gone() => return,
            };
            let sent = match part {
                Err(_) => events.comment().await,
                Ok(Ok(Body::Line(line))) => match data(line) {
                    Some(data) => events.send(kind, &data).await,
                    None => Ok(()),
                },
                Ok(Ok(Body::End)) => return events.finish(Ok(())).await,
                Ok(Ok(Body::Error(error))) => return events.finish(Err(error)).await,
                Ok(Ok(Body::Reply(_) | Body::Record(_))) => {
                    return events.finish(Err(Failure::Answer("lines").error())).await;
                }
                Ok(Err(failure)) => return events.finish(Err(failure.error())).await,
            };
            if sent.is_err() {
                return;
            }
        }
    });
    answer
}

/// The receiving side as the body of an answer.
#[derive(Debug)]
pub(crate) struct Pipe(Receiver<Bytes>);

impl Pipe {
    /// A new body, and its sending side.
    pub(crate) fn new() -> (Sender<Bytes>, Self) {
        let (sender, receiver) = channel(WAITING);
        (sender, Self(receiver))
    }
}

impl hyper::body::Body for Pipe {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
