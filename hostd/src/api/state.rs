//! What requests share.

use crate::{audit::Audit, control::Control, counters::Counters, peer::Peer, places::Places, settings::Image};
use std::net::IpAddr;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) places: Places,
    pub(crate) image: Image,
    pub(crate) control: Control,
    pub(crate) audit: Audit,
    pub(crate) counters: Counters,
}

/// A client, and where it is.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) address: IpAddr,
}
