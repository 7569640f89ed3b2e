//! Policy rules: which packets use which routing table.

use super::Rtnetlink;
use crate::netlink::Refused;
use berth_contract::network_config::Prefix;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::RouteProtocol,
    rule::{RuleAction, RuleAttribute, RuleMessage},
};
use rustix::io::Errno;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// For IPv4 or for IPv6.
    pub is_four: bool,
    /// Rules with a lower number are asked first.
    pub priority: u32,
    /// Sources of the packets.
    pub from: Option<Prefix>,
    /// Destinations of the packets.
    pub to: Option<Prefix>,
    /// Mark of the packets.
    pub mark: Option<u32>,
    /// The link from which the packets come.
    pub incoming: Option<String>,
    /// The routing table.
    pub table: u32,
}

impl Rtnetlink {
    /// Sets a rule. Success when it exists.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn put_rule(&mut self, rule: &Rule) -> Result<(), Refused> {
        let doing = || format!("set the rule {}", rule.priority);
        let message = RouteNetlinkMessage::NewRule(message(rule));
        self.change(doing, message, NLM_F_CREATE | NLM_F_EXCL, Some(Errno::EXIST))
    }

    /// Removes a rule. Success when it does not exist.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_rule(&mut self, rule: &Rule) -> Result<(), Refused> {
        let doing = || format!("remove the rule {}", rule.priority);
        self.change(doing, RouteNetlinkMessage::DelRule(message(rule)), 0, Some(Errno::NOENT))
    }

    /// The rules that netd has set.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn rules(&mut self) -> Result<Vec<Rule>, Refused> {
        let mut found = Vec::new();
        self.list("list the rules", RouteNetlinkMessage::GetRule(RuleMessage::default()), |message| {
            if let RouteNetlinkMessage::NewRule(message) = message {
                found.extend(read(&message));
            }
        })?;
        Ok(found)
    }
}

fn message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    let header = &mut message.header;
    header.family = if rule.is_four { AddressFamily::Inet } else { AddressFamily::Inet6 };
    header.action = RuleAction::ToTable;
    header.src_len = rule.from.map_or(0, |from| from.length);
    header.dst_len = rule.to.map_or(0, |to| to.length);
    // The attribute has the whole number.
    header.table = u8::try_from(rule.table).unwrap_or(0);
    let mut add = |attribute| message.attributes.push(attribute);
    add(RuleAttribute::Table(rule.table));
    add(RuleAttribute::Priority(rule.priority));
    add(RuleAttribute::Protocol(RouteProtocol::Static));
    if let Some(from) = rule.from.filter(|from| from.length > 0) {
        add(RuleAttribute::Source(from.ip));
    }
    if let Some(to) = rule.to.filter(|to| to.length > 0) {
        add(RuleAttribute::Destination(to.ip));
    }
    if let Some(mark) = rule.mark {
        add(RuleAttribute::FwMark(mark));
        add(RuleAttribute::FwMask(u32::MAX));
    }
    if let Some(incoming) = &rule.incoming {
        add(RuleAttribute::Iifname(incoming.clone()));
    }
    message
}

/// `None` if another program has set the rule.
pub(super) fn read(message: &RuleMessage) -> Option<Rule> {
    let is_four = match message.header.family {
        AddressFamily::Inet => true,
        AddressFamily::Inet6 => false,
        _ => return None,
    };
    let mut rule = Rule {
        is_four,
        priority: 0,
        from: None,
        to: None,
        mark: None,
        incoming: None,
        table: message.header.table.into(),
    };
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => ours = *protocol == RouteProtocol::Static,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Source(ip) => rule.from = Some(Prefix::of(*ip, message.header.src_len)),
            RuleAttribute::Destination(ip) => rule.to = Some(Prefix::of(*ip, message.header.dst_len)),
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            // The kernel lists the mask alone if the mark is 0.
            RuleAttribute::FwMask(u32::MAX) => _ = rule.mark.get_or_insert(0),
            RuleAttribute::Iifname(name) => rule.incoming = Some(name.clone()),
            _ => {}
        }
    }
    ours.then_some(rule)
}
