//! Sends the stored lines to receivers: one thread for each. The store is the queue, and a cursor on /var says how far a receiver has got.

mod cursor;
pub mod loki;
mod stream;
pub mod syslog;
mod trust;
mod udp;
mod worker;

pub use cursor::Cursor;

use crate::bell::Bell;
use berth_contract::log_config::{ForwardConfig, Transport};
use berth_formats::log_segment::Position;
use std::{
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// Time limit to connect to a receiver.
const CONNECT: Duration = Duration::from_secs(10);
/// Time limit for a batch, from the first byte to the acknowledgement.
const BATCH: Duration = Duration::from_secs(60);

/// A store that lines come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Kernel, init and services.
    System = 0,
    /// Containers.
    Containers = 1,
}

/// A line for a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The store.
    pub feed: Feed,
    /// Its place there.
    pub place: Position,
    /// The kernel's id of the boot.
    pub boot_id: [u8; 16],
    /// Microseconds since 1970.
    pub wall_us: i64,
    /// The log.
    pub log: String,
    /// Severity as in syslog(3).
    pub level: u8,
    /// The text.
    pub text: String,
    /// Whether the line may have been sent before.
    pub again: bool,
}

/// Why a batch was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Try again: the receiver cannot be reached, or does not take lines now.
    #[error("{0}")]
    Later(String),
    /// The receiver will never take these lines.
    #[error("{0}")]
    Never(String),
}

impl SendError {
    fn later(doing: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Later(format!("{doing}: {}", berth_contract::chain::Chain(error)))
    }
}

/// A way to a receiver.
pub trait Sender: Send {
    /// Sends lines. On success the receiver has them, as far as its protocol can tell.
    ///
    /// # Errors
    /// See [`SendError`]. Some of the lines may have arrived.
    fn send(&mut self, items: &[Item], host: &str) -> Result<(), SendError>;
}

/// The cursors of all receivers.
#[must_use]
pub fn cursors(folder: &Path, receivers: &[ForwardConfig]) -> Vec<Cursor> {
    receivers.iter().map(|one| Cursor::open(folder, &one.to)).collect()
}

/// Starts a thread for each receiver. `folders` are those of the stores, by [`Feed`].
#[must_use]
pub fn start(
    receivers: &[ForwardConfig],
    cursors: Vec<Cursor>,
    folders: &[Vec<PathBuf>; 2],
    bell: &Arc<Bell>,
) -> Vec<JoinHandle<()>> {
    let mut threads = Vec::new();
    for (config, cursor) in receivers.iter().zip(cursors) {
        let (config, folders, bell) = (config.clone(), folders.clone(), bell.clone());
        let spawned = thread::Builder::new().name("forward".into()).stack_size(256 << 10).spawn(move || {
            let name = config.shown();
            match sender(&config) {
                Ok(sender) => worker::Worker::new(name, sender, cursor, &folders, bell).run(),
                Err(error) => say(&format!("forward to {name}: {error}")),
            }
        });
        match spawned {
            Ok(thread) => threads.push(thread),
            Err(error) => say(&format!("cannot start a thread: {error}")),
        }
    }
    threads
}

fn sender(config: &ForwardConfig) -> Result<Box<dyn Sender>, String> {
    let (transport, target) = config.target().ok_or("expected an address of a receiver")?;
    Ok(match transport {
        Transport::Tcp => Box::new(stream::StreamSender::new(target, None)),
        Transport::Tls => Box::new(stream::StreamSender::new(target, Some(trust::client(config.ca.as_deref())?))),
        Transport::Udp => Box::new(udp::UdpSender::new(target)),
        Transport::Http => Box::new(loki::LokiSender::new(config)?),
    })
}

fn say(text: &str) {
    // If stderr cannot be written, the message has nowhere else to go.
    let _ = writeln!(stderr(), "{text}");
}
