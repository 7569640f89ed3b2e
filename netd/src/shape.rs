//! Makes, changes and removes the virtual links of the settings, in the order of their dependencies.

use crate::{
    interface::set,
    link::{self, Choice, Link},
    netlink::Refused,
    plan::{self, Step},
    rtnetlink::Rtnetlink,
    virtual_link,
};
use berth_contract::network_config::{NetworkConfig, Own};
use rustix::io::Errno;
use std::{collections::BTreeMap, fs, io, path::Path};

/// The links, and what could not be done.
#[derive(Debug)]
pub struct Shaped {
    /// All links that netd may look at, by index.
    pub links: BTreeMap<u32, Link>,
    /// What the kernel has refused.
    pub errors: Vec<String>,
    /// Why other steps cannot be taken yet.
    pub waits: Vec<String>,
}

/// Takes all steps that can be taken now.
///
/// # Errors
/// When the links cannot be read.
pub fn shape(kernel: &mut Rtnetlink, config: &NetworkConfig, choice: &Choice) -> io::Result<Shaped> {
    // Each pass makes the links whose needs the pass before has made.
    let mut passes = config.virtual_links().count() + 3;
    loop {
        let links = link::scan(Path::new(link::SYS_CLASS_NET), |name| plan::mentions(config, choice, name))?;
        let (steps, waits) = plan::steps(config, choice, &links);
        let (mut is_done, mut errors) = (steps.is_empty(), Vec::new());
        for step in &steps {
            errors.extend(take(kernel, step, &links).err().map(|error| error.to_string()));
        }
        passes -= 1;
        // Steps that all fail would fail again.
        is_done |= errors.len() == steps.len();
        if is_done || passes == 0 {
            return Ok(Shaped { links, errors, waits });
        }
    }
}

fn take(kernel: &mut Rtnetlink, step: &Step<'_>, links: &BTreeMap<u32, Link>) -> Result<(), Refused> {
    match step {
        Step::Remove { index } => kernel.remove_link(*index),
        Step::Make { own, below, alias } => {
            let name = own.name().as_str();
            kernel.make_link(name, virtual_link::message(*own, *below))?;
            kernel.set_alias(index_of(name), alias)
        }
        Step::Change { own, index, alias } => {
            kernel.change_link(*index, virtual_link::message(*own, None), None)?;
            if let Own::Bridge(bridge) = own {
                kernel.change_link(*index, virtual_link::bridge_vlans(bridge), Some(Errno::OPNOTSUPP))?;
            }
            kernel.set_alias(*index, alias)
        }
        Step::Attach { port, master, own, mac } => {
            let link = links.get(port);
            if let Some(link) = link {
                // A port has no addresses of its own.
                set(&link.name, "ipv6", "disable_ipv6", "1");
            }
            if let Own::Bond(_) = own {
                // The kernel takes only links that are down as ports of a bond, and sets them up.
                kernel.set_down(*port)?;
            }
            if let Some(mac) = mac {
                kernel.set_mac(*master, *mac)?;
            }
            kernel.set_master(*port, *master)
        }
        Step::Primary { master, port } => kernel.change_link(*master, virtual_link::primary(*port), None),
        Step::Detach { port } => kernel.set_master(*port, 0),
    }
}

/// 0, which no link has, if the link does not exist.
fn index_of(name: &str) -> u32 {
    let text = fs::read_to_string(Path::new(link::SYS_CLASS_NET).join(name).join("ifindex"));
    text.ok().and_then(|text| text.trim_end().parse().ok()).unwrap_or(0)
}
