//! Keys and peers of a WireGuard link, over the kernel's generic netlink family (linux/wireguard.h).
//!
//! Peers that stay keep their sessions: only those that are not in the settings any more are removed.

use crate::netlink::{Netlink, Refused};
use berth_contract::network_config::{Peer, SecretKey, Wireguard};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_generic::{
    GenlMessage,
    ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs},
};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute, WireguardCmd,
    WireguardMessage, WireguardPeer, WireguardPeerAttribute, WireguardPeerFlags,
};
use rustix::net::netlink;
use std::{collections::BTreeSet, io};

/// Sets keys and peers of a link. `before` is the table that was set last.
///
/// # Errors
/// When the kernel refuses.
pub fn configure(table: &Wireguard, before: Option<&Wireguard>) -> Result<(), Refused> {
    let name = table.name.as_str();
    set(table, before).map_err(|source| Refused { doing: format!("set the keys of {name}"), source })
}

fn set(table: &Wireguard, before: Option<&Wireguard>) -> io::Result<()> {
    let mut kernel = Netlink::open(Some(netlink::GENERIC))?;
    let family = family(&mut kernel)?;
    let name = WireguardAttribute::IfName(table.name.to_string());
    let message = |cmd, attributes| {
        let mut message = GenlMessage::from_payload(WireguardMessage { cmd, attributes });
        message.set_resolved_family_id(family);
        message
    };
    let mut old = BTreeSet::new();
    kernel.ask(message(WireguardCmd::GetDevice, vec![name.clone()]), NLM_F_DUMP, |message| {
        old.extend(peers_of(&message.payload));
    })?;

    let SecretKey(key) = table.private_key;
    let mut attributes = vec![name.clone(), WireguardAttribute::PrivateKey(key)];
    // 0 is a port of the kernel's choice. Each 0 makes it choose again.
    let is_free = before.is_some_and(|before| before.listen_port.is_some());
    attributes.extend(table.listen_port.or(is_free.then_some(0)).map(WireguardAttribute::ListenPort));
    attributes.push(WireguardAttribute::Fwmark(table.mark.unwrap_or(0)));
    kernel.ask(message(WireguardCmd::SetDevice, attributes), NLM_F_ACK, |_| {})?;

    let had_endpoint = |peer: &Peer| {
        let peers = before.into_iter().flat_map(|before| &before.peers);
        peers.filter(|old| old.public_key == peer.public_key).any(|old| old.endpoint.is_some())
    };
    // The kernel cannot forget the endpoint of a peer: such a peer is made again.
    for peer in table.peers.iter().filter(|peer| peer.endpoint.is_some() || !had_endpoint(peer)) {
        old.remove(&peer.public_key.0);
    }
    let gone = old.into_iter().map(|key| {
        let flags = WireguardPeerAttribute::Flags(WireguardPeerFlags::RemoveMe);
        WireguardPeer(vec![WireguardPeerAttribute::PublicKey(key), flags])
    });
    // The length of an attribute has 16 bits: one peer in each message, with as many networks as the settings may have.
    for part in gone.chain(table.peers.iter().map(peer)) {
        let attributes = vec![name.clone(), WireguardAttribute::Peers(vec![part])];
        kernel.ask(message(WireguardCmd::SetDevice, attributes), NLM_F_ACK, |_| {})?;
    }
    Ok(())
}

/// The number that the kernel has given to the family.
fn family(kernel: &mut Netlink) -> io::Result<u16> {
    let nlas = vec![GenlCtrlAttrs::FamilyName("wireguard".to_owned())];
    let question = GenlMessage::from_payload(GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas });
    let mut found = None;
    kernel.ask(question, NLM_F_ACK, |answer| {
        found = answer.payload.nlas.iter().find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(*id),
            _ => None,
        });
    })?;
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn peers_of(message: &WireguardMessage) -> Vec<[u8; 32]> {
    let mut keys = Vec::new();
    for attribute in &message.attributes {
        let WireguardAttribute::Peers(peers) = attribute else { continue };
        keys.extend(peers.iter().flat_map(|peer| &peer.0).filter_map(|attribute| match attribute {
            WireguardPeerAttribute::PublicKey(key) => Some(*key),
            _ => None,
        }));
    }
    keys
}

fn peer(peer: &Peer) -> WireguardPeer {
    let allowed = peer.allowed_ips.iter().map(|network| {
        let family = if network.ip.is_ipv4() { WireguardAddressFamily::Ipv4 } else { WireguardAddressFamily::Ipv6 };
        WireguardAllowedIp(vec![
            WireguardAllowedIpAttr::Family(family),
            WireguardAllowedIpAttr::IpAddr(network.ip),
            WireguardAllowedIpAttr::Cidr(network.length),
        ])
    });
    let mut attributes = vec![
        WireguardPeerAttribute::PublicKey(peer.public_key.0),
        WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps),
        // A key of zeros is none.
        WireguardPeerAttribute::PresharedKey(peer.preshared_key.map_or([0; 32], |SecretKey(key)| key)),
        WireguardPeerAttribute::PersistentKeepalive(peer.keepalive.unwrap_or(0)),
    ];
    attributes.extend(peer.endpoint.map(WireguardPeerAttribute::Endpoint));
    attributes.push(WireguardPeerAttribute::AllowedIps(allowed.collect()));
    WireguardPeer(attributes)
}
