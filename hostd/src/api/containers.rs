//! What the container engine answers. Its client blocks, so it runs in a thread of its own.

use super::state::Api;
use crate::{
    answer::{Answer, done, json},
    events::Events,
    failure::Failure,
    query::Query,
};
use berth_contract::{
    control::ControlError,
    engine::EngineKind,
    remote_api::{ContainerInfo, ContainerLine, OutputStream},
};
use berth_engine::{EngineClient, EngineError, HttpError, Limits, Listing, LogRequest, client};
use hyper::StatusCode;
use std::{io, ops::ControlFlow, path::PathBuf, time::Duration};
use tokio::{
    sync::Semaphore,
    task::{spawn_blocking, spawn_local},
};

/// Longest answer of the engine, in bytes.
const LONGEST_ANSWER: u64 = 8 << 20;
/// How long the engine may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a container may be silent before its reader looks whether the client is still there.
const QUIET: Duration = Duration::from_secs(15);
/// The same while a container is stopped, which may take its own stop timeout.
const STOP_SILENCE: Duration = Duration::from_secs(660);
/// Containers whose output is read at the same time. Each needs a thread.
pub(crate) const READERS: usize = 16;

static PLACES: Semaphore = Semaphore::const_new(READERS);

pub(super) async fn list(api: &Api) -> Result<Answer, Failure> {
    let engine = engine(api)?;
    let all = blocking(move || {
        let engine = engine.client(SILENCE);
        let mut all = Vec::new();
        for listed in engine.list(Listing::All)? {
            // A container may have been removed meanwhile.
            let Some(found) = engine.inspect(&listed.name)? else { continue };
            all.push(ContainerInfo {
                exit_code: (!found.runs()).then_some(found.exit_code),
                declared: found.is_declared(),
                name: listed.name,
                image: found.image,
                state: found.state,
                restarts: found.restarts,
                error: found.error,
            });
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    });
    Ok(json(StatusCode::OK, &all.await?))
}

pub(super) async fn restart(api: &Api, name: String) -> Result<Answer, Failure> {
    let engine = engine(api)?;
    let wanted = name.clone();
    let found = blocking(move || {
        let engine = engine.client(STOP_SILENCE);
        match engine.inspect(&wanted)? {
            Some(_) => engine.restart(&wanted).map(|()| true),
            None => Ok(false),
        }
    });
    if found.await? { Ok(done()) } else { Err(Failure::NoContainer(name)) }
}

pub(super) async fn logs(api: &Api, name: String, query: &Query) -> Result<Answer, Failure> {
    let engine = engine(api)?;
    let place = PLACES.try_acquire().map_err(|_| Failure::Busy(READERS))?;
    let (wanted, asked) = (name.clone(), engine.clone());
    let found = blocking(move || Ok(asked.client(SILENCE).inspect(&wanted)?.is_some()));
    if !found.await? {
        return Err(Failure::NoContainer(name));
    }
    let since_ns = query.number("since").map(|since| i64::from(since) * 1_000_000_000);
    let wanted = LogRequest { follow: query.flag("follow"), since_ns };
    let (events, answer) = Events::new();
    spawn_local(async move {
        let _place = place;
        let sink = events.clone();
        let end = blocking(move || follow(&engine, &name, wanted, &sink));
        let end: Result<(), ControlError> = end.await.map_err(|failure| failure.error());
        events.finish(end).await;
    });
    Ok(answer)
}

/// The engine of the image.
#[derive(Clone, Debug)]
struct Engine {
    kind: EngineKind,
    socket: PathBuf,
}

fn engine(api: &Api) -> Result<Engine, Failure> {
    let kind = api.image.spec.engine.as_ref().ok_or(Failure::NoEngine)?.kind;
    Ok(Engine { kind, socket: api.places.path(kind.row().socket) })
}

impl Engine {
    /// Its client, for one thread. The engine may be silent for `silence`.
    fn client(&self, silence: Duration) -> Box<dyn EngineClient> {
        client(self.kind, &self.socket, Limits { body: LONGEST_ANSWER, silence })
    }
}

/// Passes the lines of a container to the client. While the container is silent, the client is asked whether it is still there.
fn follow(engine: &Engine, name: &str, mut wanted: LogRequest, sink: &Events) -> Result<(), EngineError> {
    let client = engine.client(QUIET);
    loop {
        let mut last = None;
        let end = client.logs(name, &wanted, &mut |line| {
            last = line.time_ns.or(last);
            let stream = if line.is_error { OutputStream::Stderr } else { OutputStream::Stdout };
            let line = ContainerLine { time_ns: line.time_ns, stream, text: line.text };
            if sink.send_blocking("line", &line).is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match end {
            Err(EngineError::Http { source: HttpError::Broken(error), .. })
                if wanted.follow && matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                if sink.comment_blocking().is_err() {
                    return Ok(());
                }
                wanted.since_ns = last.map(|last| last.saturating_add(1)).or(wanted.since_ns);
            }
            end => return end,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, Failure> {
    match spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        // The thread has panicked.
        Err(_) => Err(Failure::Init(io::ErrorKind::Other.into())),
    }
}
