//! All sessions: clients of the Unix socket, and the session of the serial port.

use super::{
    answers::Answers,
    channel::{Channel, End, Standing, WATCHED},
    port::Port,
    session::{Access, Session},
};
use crate::console;
use berth_contract::fault::{At, PathError};
use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with},
};
use std::{
    collections::BTreeMap,
    fs,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{PermissionsExt, lchown},
    },
    path::{Path, PathBuf},
};

/// Maximum number of clients of the Unix socket. Further clients are disconnected.
const MAX_CLIENTS: usize = 64;
const BACKLOG: i32 = 16;

/// Tokens of the server's epoll. Clients have tokens from [`FIRST_CLIENT`] on.
const LISTENER: u64 = 0;
const PORT: u64 = 1;
const DEVICES: u64 = 2;
const LOG: u64 = 3;
const LOG_LISTENER: u64 = 4;
const FIRST_CLIENT: u64 = 16;

/// Edge-triggered: epoll reports each change once.
const EDGE: EventFlags = EventFlags::IN.union(EventFlags::ET);

/// Files that the server opens. Tests put them into a separate folder.
#[derive(Clone, Debug)]
pub struct ControlPaths {
    /// The Unix socket. The server makes it with mode 0600, or 0660 if a group may open it.
    pub socket: PathBuf,
    /// Number of the group that may open the socket.
    pub group: Option<u32>,
    /// The Unix socket for logd, which serves only logs. The server makes it with mode 0600.
    pub log_socket: PathBuf,
    /// Directory of the virtio-serial ports in sysfs.
    pub ports: PathBuf,
    /// Directory of the device nodes.
    pub dev: PathBuf,
    /// The kernel's log.
    pub kernel_log: PathBuf,
}

impl Default for ControlPaths {
    fn default() -> Self {
        Self {
            socket: berth_contract::paths::CONTROL_SOCKET.into(),
            group: None,
            log_socket: berth_contract::paths::LOG_SOCKET.into(),
            ports: "/sys/class/virtio-ports".into(),
            dev: "/dev".into(),
            kernel_log: "/dev/kmsg".into(),
        }
    }
}

/// The server. When its descriptor is readable, call [`Server::work`].
#[derive(Debug)]
pub struct Server {
    epoll: OwnedFd,
    listener: Option<OwnedFd>,
    /// The listener of [`ControlPaths::log_socket`].
    log_listener: Option<OwnedFd>,
    clients: BTreeMap<u64, Channel>,
    next_client: u64,
    port: Port,
    console: Option<OwnedFd>,
    kernel_log: PathBuf,
}

impl Server {
    /// Starts to listen. If the Unix socket cannot be made, the server prints the error and serves only the serial port.
    ///
    /// # Errors
    /// When epoll cannot be opened.
    pub fn open(paths: &ControlPaths) -> Result<Self, PathError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).at("open", "epoll")?;
        let mut server = Self {
            epoll,
            listener: None,
            log_listener: None,
            clients: BTreeMap::new(),
            next_client: FIRST_CLIENT,
            port: Port::new(&paths.ports, &paths.dev),
            console: console::watch().ok(),
            kernel_log: paths.kernel_log.clone(),
        };
        let sockets =
            [(&paths.socket, paths.group, &mut server.listener), (&paths.log_socket, None, &mut server.log_listener)];
        for (path, group, listener) in sockets {
            match listen_on(path, group) {
                Ok(fd) => *listener = Some(fd),
                Err(error) => console::error(format_args!("control: {error}")),
            }
        }
        let watched = [
            (server.listener.as_ref().map(AsFd::as_fd), LISTENER),
            (server.log_listener.as_ref().map(AsFd::as_fd), LOG_LISTENER),
            (server.port.watched(), DEVICES),
            (server.console.as_ref().map(AsFd::as_fd), LOG),
        ];
        for (fd, token) in watched {
            if let Some(fd) = fd {
                epoll::add(&server.epoll, fd, EventData::new_u64(token), EDGE).at("watch", "control")?;
            }
        }
        Ok(server)
    }

    /// Does everything that can be done without blocking.
    pub fn work(&mut self, host: &mut dyn Answers, now_us: u64) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(64);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error is ignored: the next turn reports the same events.
        let _ = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&now));
        for event in events {
            let (token, flags) = (event.data.u64(), event.flags);
            match token {
                LISTENER => self.accept(Access::All),
                LOG_LISTENER => self.accept(Access::Logs),
                DEVICES => self.port.search(now_us),
                PORT => self.port.channel.iter_mut().for_each(|channel| channel.notice(flags)),
                LOG => {}
                client => self.clients.get_mut(&client).into_iter().for_each(|channel| channel.notice(flags)),
            }
        }
        self.find_port(now_us);
        self.serve_port(host, now_us);
        self.clients.retain(|_, channel| channel.work(host, now_us) == Standing::Open);
        for log in self.clients.values().chain(&self.port.channel).flat_map(Channel::followed) {
            // An error is ignored: it usually means that the log is watched already.
            let _ = epoll::add(&self.epoll, log, EventData::new_u64(LOG), EDGE);
        }
    }

    /// When to call [`Server::work`] again, if no event comes before.
    #[must_use]
    pub fn next_deadline_us(&self, now_us: u64) -> Option<u64> {
        let channels = self.clients.values().chain(&self.port.channel);
        channels.filter_map(|channel| channel.deadline_us(now_us)).chain(self.port.deadline_us()).min()
    }

    /// Accepts all waiting clients. If no descriptor is free, the clients wait; the listener is edge-triggered, so the loop does not spin.
    fn accept(&mut self, access: Access) {
        let listener = match access {
            Access::All => &self.listener,
            Access::Logs => &self.log_listener,
        };
        let Some(listener) = listener else { return };
        while let Ok(client) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            let data = EventData::new_u64(self.next_client);
            if self.clients.len() < MAX_CLIENTS && epoll::add(&self.epoll, &client, data, WATCHED).is_ok() {
                self.clients.insert(self.next_client, Channel::new(client, End::Client, self.session(access)));
                self.next_client += 1;
            }
        }
    }

    fn session(&self, access: Access) -> Session {
        Session::new(self.kernel_log.clone(), access)
    }

    fn find_port(&mut self, now_us: u64) {
        match self.port.find(now_us) {
            Ok(Some(port)) if epoll::add(&self.epoll, &port, EventData::new_u64(PORT), WATCHED).is_ok() => {
                self.port.channel = Some(Channel::new(port, End::SerialLine, self.session(Access::All)));
            }
            Ok(_) => {}
            Err(error) => console::warning(format_args!("control: {error}")),
        }
    }

    /// Serves the port. The port stays open while it has no client.
    fn serve_port(&mut self, host: &mut dyn Answers, now_us: u64) {
        let Some(mut channel) = self.port.channel.take() else { return };
        match channel.work(host, now_us) {
            Standing::Open => self.port.channel = Some(channel),
            Standing::Over => {
                channel.restart();
                self.port.channel = Some(channel);
            }
            Standing::Broken => self.port.search(now_us),
        }
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

fn listen_on(path: &Path, group: Option<u32>) -> Result<OwnedFd, PathError> {
    let _ = fs::remove_file(path);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).at("open", path)?;
    bind(&socket, &SocketAddrUnix::new(path).at("bind", path)?).at("bind", path)?;
    // The owner and the mode are set before listen(2), when no client can connect yet.
    if group.is_some() {
        lchown(path, None, group).at("set the group of", path)?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("set mode of", path)?;
    listen(&socket, BACKLOG).at("listen on", path)?;
    Ok(socket)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
