//! The listener and its connections. hyper has no limits by default: all limits are set here. A client that exceeds one is refused, never
//! queued.

use crate::{
    api::{self, Api, Client},
    audit::Audit,
    control::Control,
    counters::Counters,
    identity::{Identity, IdentityError},
    peer::Peer,
    places::Places,
    settings::{self, Image, SettingsError},
    tls::{self, TlsError},
};
use berth_contract::{
    control::Request,
    fault::{At, PathError},
    remote_config::RemoteConfig,
};
use berth_control::Notify;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::{
    net::sockopt::{set_socket_keepalive, set_tcp_user_timeout},
    time::{ClockId, clock_gettime},
};
use rustls::ServerConfig;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{Signal, SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_local,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Open connections.
const CONNECTIONS: usize = 256;
/// Time limit for the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time limit for the head of a request, also while a connection waits for its next request.
const HEAD: Duration = Duration::from_secs(10);
/// Number of header fields of a request.
const FIELDS: usize = 64;
/// Size limit of a request's head, in bytes.
const HEAD_SIZE: usize = 16 * 1024;
/// A client that acknowledges nothing for this time, in milliseconds, is gone.
const UNANSWERED: u32 = 60_000;
/// Pause after an error of accept(2): usually no descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);
/// Time for answers that are under way when the host goes down.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The host's certificate cannot be used.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The settings of TLS cannot be used.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Address and port.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A message to init, or a signal.
    #[error("{0}")]
    System(#[from] PathError),
}

/// Serves the API, until the settings have none any more, or init ends it with SIGTERM. Then answers that are under way are still sent: the
/// one to a reboot is the last.
///
/// # Errors
/// The settings cannot be used when the server starts. Wrong settings later are logged, and those before stay in force.
pub async fn serve(places: Places, image: Image, remote: RemoteConfig) -> Result<(), ServerError> {
    let mut terminate = signal(SignalKind::terminate()).at("handle", "SIGTERM")?;
    tokio::select! {
        served = accept(places, image, remote) => served,
        _ = terminate.recv() => {
            sleep(LAST_ANSWERS).await;
            Ok(())
        }
    }
}

async fn accept(places: Places, image: Image, remote: RemoteConfig) -> Result<(), ServerError> {
    let mut hangup = signal(SignalKind::hangup()).at("handle", "SIGHUP")?;
    let mut listener = listen(remote.listen).await?;
    let mut door = Door::new(&places, &image, remote)?;
    let api = Rc::new(Api {
        control: Control::new(places.control()),
        places,
        image,
        audit: Audit::default(),
        counters: Counters::default(),
    });
    let status = format!("listening on {}, certificate {}", door.remote.listen, door.fingerprint);
    api.audit.line(&status);
    Notify::from_environment().and_then(|notify| notify.ready(&status)).at("notify", "init")?;
    // Somebody at the console compares it with what `hostctl host add` shows.
    let (line, of) = (format!("remote control: {status}"), Rc::clone(&api));
    spawn_local(async move {
        if let Err(error) = of.control.done(Request::Announce { text: line }).await {
            of.audit.line(format_args!("cannot print the fingerprint on the console: {error}"));
        }
    });
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Some((tcp, address)) = next(&listener, &mut hangup).await else {
            // SIGHUP: settings have changed.
            door.renew(&api);
            match &door.next {
                None => return Ok(()),
                Some(address) if *address != listener.local_addr().unwrap_or(*address) => {
                    match listen(*address).await {
                        Ok(new) => listener = new,
                        Err(error) => api.audit.line(format_args!("{error}; the address before stays in use")),
                    }
                }
                Some(_) => {}
            }
            continue;
        };
        let Ok(place) = free.clone().try_acquire_owned() else {
            api.counters.refuse();
            api.audit.refused(now(), format_args!("refused {}: {CONNECTIONS} connections are open", address.ip()));
            continue;
        };
        door.renew(&api);
        spawn_local(connection(Rc::clone(&api), TlsAcceptor::from(Arc::clone(&door.tls)), tcp, address.ip(), place));
    }
}

/// The next connection. `None` after SIGHUP.
async fn next(listener: &TcpListener, hangup: &mut Signal) -> Option<(TcpStream, SocketAddr)> {
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => return Some(accepted),
                Err(_) => sleep(PAUSE).await,
            },
            _ = hangup.recv() => return None,
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { address, source })
}

/// The settings for the next connection.
struct Door {
    remote: RemoteConfig,
    /// The address of the present settings. `None` if they say that nobody may reach this host.
    next: Option<SocketAddr>,
    tls: Arc<ServerConfig>,
    fingerprint: String,
    /// The last error, so that it is logged once.
    error: Option<String>,
}

impl Door {
    fn new(places: &Places, image: &Image, remote: RemoteConfig) -> Result<Self, ServerError> {
        let identity = Identity::of(&remote, &places.state())?;
        let fingerprint = identity.fingerprint();
        let tls = tls::config(&remote, identity, image.date)?;
        Ok(Self { next: Some(remote.listen), remote, tls, fingerprint, error: None })
    }

    /// Reads the settings again, so that a new certificate or a revoked client takes effect with the next connection.
    fn renew(&mut self, api: &Api) {
        let read = settings::read(&api.places, &api.image);
        let error = match read {
            Ok(None) => return self.next = None,
            Ok(Some(remote)) if remote == self.remote => {
                self.next = Some(remote.listen);
                None
            }
            Ok(Some(remote)) => match Self::new(&api.places, &api.image, remote) {
                Ok(new) => {
                    *self = new;
                    api.audit.line(format_args!("new settings are in force, certificate {}", self.fingerprint));
                    None
                }
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        if let Some(error) = error.as_ref().filter(|error| self.error.as_ref() != Some(error)) {
            api.audit.line(format_args!("{error}; the settings before stay in force"));
        }
        self.error = error;
    }
}

async fn connection(api: Rc<Api>, acceptor: TlsAcceptor, tcp: TcpStream, address: IpAddr, place: OwnedSemaphorePermit) {
    // An error of these only means that a client that has vanished is noticed later.
    let _ = set_socket_keepalive(&tcp, true);
    let _ = set_tcp_user_timeout(&tcp, UNANSWERED);
    let _ = tcp.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refused(&api, address, &error),
        Err(_) => return refused(&api, address, &"no handshake in time"),
    };
    api.counters.opened();
    let client = Rc::new(Client { peer: peer(&stream), address });
    let shared = Rc::clone(&api);
    let service = service_fn(move |request| api::serve(Rc::clone(&shared), Rc::clone(&client), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_headers(FIELDS).max_buf_size(HEAD_SIZE);
    // An error here is that of a client: it has gone, or it was too slow.
    let _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    api.counters.closed();
    drop(place);
}

fn refused(api: &Api, address: IpAddr, why: &dyn std::fmt::Display) {
    api.counters.refuse();
    api.audit.refused(now(), format_args!("refused {address}: {why}"));
}

fn peer(stream: &TlsStream<TcpStream>) -> Peer {
    let certificates = stream.get_ref().1.peer_certificates();
    certificates.and_then(<[_]>::first).map(Peer::of).unwrap_or_default()
}

/// The host's clock, in seconds.
fn now() -> i64 {
    clock_gettime(ClockId::Realtime).tv_sec
}
