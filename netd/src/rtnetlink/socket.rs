//! The socket.

use crate::netlink::{Netlink, Refused};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::io::Errno;
use std::io;

/// A socket for requests.
#[derive(Debug)]
pub struct Rtnetlink(Netlink);

impl Rtnetlink {
    /// Opens a socket.
    ///
    /// # Errors
    /// When socket(2) or bind(2) fails.
    pub fn open() -> io::Result<Self> {
        Netlink::open(None).map(Self)
    }

    /// Sends a request that changes something. `fine` is an error of the kernel that means that nothing needs to change.
    pub(super) fn change(
        &mut self,
        doing: impl FnOnce() -> String,
        message: RouteNetlinkMessage,
        flags: u16,
        fine: Option<Errno>,
    ) -> Result<(), Refused> {
        match self.0.ask(message, NLM_F_ACK | flags, |_| {}) {
            Err(source) if fine.is_none() || Errno::from_io_error(&source) != fine => {
                Err(Refused { doing: doing(), source })
            }
            _ => Ok(()),
        }
    }

    /// Asks for one thing.
    pub(super) fn get(&mut self, what: RouteNetlinkMessage, each: impl FnMut(RouteNetlinkMessage)) -> io::Result<()> {
        self.0.ask(what, NLM_F_ACK, each)
    }

    /// Asks for everything of one kind.
    pub(super) fn list(
        &mut self,
        doing: &str,
        what: RouteNetlinkMessage,
        each: impl FnMut(RouteNetlinkMessage),
    ) -> Result<(), Refused> {
        let listed = self.0.ask(what, NLM_F_DUMP, each);
        listed.map_err(|source| Refused { doing: doing.to_owned(), source })
    }
}
