//! Tunnels (RFC 9110, 7.8 Upgrade): after the answer 101 the connection carries another protocol.
//!
//! The tunnel to the control protocol is for hostctl. Each request in it is checked: it needs the same role as on its own path. The tunnel to
//! the engine's API is only for administrators, because that API gives the whole host.

use super::state::{Api, Client};
use crate::{
    answer::{Answer, Body},
    control::{Connection, Lines},
    failure::Failure,
};
use berth_contract::{
    control::{Body as FrameBody, Call, ControlError, Frame, Request as Wanted},
    remote_api::{CONTROL_PROTOCOL, ENGINE_PROTOCOL, Role, role_for},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use std::{io, rc::Rc, time::Duration};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf, copy_bidirectional, split},
    net::UnixStream,
    sync::{Mutex, Semaphore},
    task::spawn_local,
    time::timeout,
};

/// Tunnels to the engine at the same time.
const ENGINE_TUNNELS: usize = 64;
/// Time limit for sending one line to a client.
const PATIENCE: Duration = Duration::from_secs(60);

static ENGINE_PLACES: Semaphore = Semaphore::const_new(ENGINE_TUNNELS);

/// Opens a tunnel to the engine.
pub(super) async fn engine(
    api: &Rc<Api>,
    client: &Rc<Client>,
    mut request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let kind = api.image.spec.engine.as_ref().ok_or(Failure::NoEngine)?.kind;
    let upgraded = wanted(&mut request, ENGINE_PROTOCOL)?;
    let place = ENGINE_PLACES.try_acquire().map_err(|_| Failure::Busy(ENGINE_TUNNELS))?;
    let mut engine = UnixStream::connect(api.places.path(kind.row().socket)).await.map_err(|_| Failure::NoEngine)?;
    api.audit.line(format_args!("{} from {}: uses the API of the container engine", client.peer, client.address));
    spawn_local(async move {
        let _place = place;
        let Ok(stream) = upgraded.await else { return };
        // An error means that one of the two sides has gone.
        let _ = copy_bidirectional(&mut TokioIo::new(stream), &mut engine).await;
    });
    Ok(switching(ENGINE_PROTOCOL))
}

/// Opens a tunnel to the control protocol.
pub(super) async fn control(
    api: &Rc<Api>,
    client: &Rc<Client>,
    mut request: Request<Incoming>,
) -> Result<Answer, Failure> {
    let upgraded = wanted(&mut request, CONTROL_PROTOCOL)?;
    let init = api.control.connect().await?;
    let (api, client) = (Rc::clone(api), Rc::clone(client));
    spawn_local(async move {
        let Ok(stream) = upgraded.await else { return };
        carry(&api, &client, stream, init).await;
    });
    Ok(switching(CONTROL_PROTOCOL))
}

type ToClient = Mutex<WriteHalf<TokioIo<Upgraded>>>;

/// Carries lines in both directions until one side closes the connection.
async fn carry(api: &Api, client: &Client, stream: Upgraded, init: Connection) {
    let (from_client, to_client) = split(TokioIo::new(stream));
    let Connection { stream: init, place } = init;
    let (from_init, to_init) = split(init);
    let to_client = Mutex::new(to_client);
    tokio::select! {
        _ = answers(Lines::new(from_init), &to_client) => {}
        _ = requests(api, client, Lines::new(from_client), to_init, &to_client) => {}
    }
    let _ = to_client.lock().await.shutdown().await;
    drop(place);
}

async fn answers(mut lines: Lines<ReadHalf<UnixStream>>, to_client: &ToClient) -> io::Result<()> {
    loop {
        let line = lines.next().await?;
        send(to_client, &line).await?;
    }
}

async fn requests(
    api: &Api,
    client: &Client,
    mut lines: Lines<ReadHalf<TokioIo<Upgraded>>>,
    mut to_init: WriteHalf<UnixStream>,
    to_client: &ToClient,
) -> io::Result<()> {
    loop {
        let line = lines.next().await?;
        // hostctl sends an empty line before each request, and init ignores what is not a request.
        let Ok(call) = serde_json::from_slice::<Call>(&line) else { continue };
        match refusal(client, &call.request) {
            None => {
                record(api, client, &call.request);
                let mut line = serde_json::to_vec(&call)?;
                line.push(b'\n');
                to_init.write_all(&line).await?;
            }
            Some(error) => {
                let mut line = serde_json::to_vec(&Frame { id: call.id, body: FrameBody::Error(error) })?;
                line.push(b'\n');
                send(to_client, &line).await?;
            }
        }
    }
}

async fn send(to_client: &ToClient, line: &[u8]) -> io::Result<()> {
    let mut stream = to_client.lock().await;
    let sent = timeout(PATIENCE, async {
        stream.write_all(line).await?;
        stream.flush().await
    });
    sent.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Why the client may not send this request.
fn refusal(client: &Client, request: &Wanted) -> Option<ControlError> {
    let failure = match role_for(request) {
        Some(role) if client.peer.may(role) => return None,
        Some(role) => Failure::Forbidden(role),
        None => Failure::Value {
            key: "request".to_owned(),
            expected: "a command that works from another computer",
            found: name(request).unwrap_or_default(),
        },
    };
    Some(failure.error())
}

/// Logs a request that can change the host. The arguments of commands are left out: a URL may have a password.
fn record(api: &Api, client: &Client, request: &Wanted) {
    if role_for(request) == Some(Role::Admin)
        && let Some(name) = name(request)
    {
        api.audit.line(format_args!("{} from {}: {name}", client.peer, client.address));
    }
}

fn name(request: &Wanted) -> Option<String> {
    match request {
        Wanted::Restart { service } => Some(format!("restart {service:?}")),
        Wanted::Reboot | Wanted::RebootWithin { .. } => Some("reboot".to_owned()),
        Wanted::Poweroff | Wanted::PoweroffWithin { .. } => Some("poweroff".to_owned()),
        Wanted::Run { arguments, .. } => Some(format!("{:?}", arguments.first().map_or("", String::as_str))),
        _ => None,
    }
}

/// The future connection, if the request asks for this protocol.
fn wanted(request: &mut Request<Incoming>, protocol: &'static str) -> Result<OnUpgrade, Failure> {
    let has = |headers: &HeaderMap, name, word: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let asked = has(request.headers(), UPGRADE, protocol) && has(request.headers(), CONNECTION, "upgrade");
    if asked { Ok(hyper::upgrade::on(request)) } else { Err(Failure::Upgrade(protocol)) }
}

fn switching(protocol: &'static str) -> Answer {
    let mut answer: Response<Body> = Response::new(Full::default().boxed_unsync());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    answer
}
