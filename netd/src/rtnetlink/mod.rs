//! The kernel's network configuration over rtnetlink(7): links, addresses, routes and rules, and notifications of changes.

pub mod address;
pub mod changes;
pub mod link;
pub mod route;
pub mod rule;
mod socket;

pub use address::Address;
pub use changes::{Changes, solicit};
pub use route::{Origin, Route};
pub use rule::Rule;
pub use socket::Rtnetlink;

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;

/// Calls the readers of netd on a message of the kernel.
pub fn read(message: &NetlinkMessage<RouteNetlinkMessage>) {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(message)) => _ = address::read(message),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(message)) => _ = route::read(message),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRule(message)) => _ = rule::read(message),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => _ = link::announced(message),
        _ => {}
    }
}
