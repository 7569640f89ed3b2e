//! Brings the kernel to what is wanted: compares, removes what netd has set and is not wanted any more, and sets what is missing.
//! What other programs have set is left alone.

use crate::{
    netlink::Refused,
    rtnetlink::{Origin, Route, Rtnetlink, Rule, address::NewAddress},
    wanted::Wanted,
};

/// Sets addresses and routes of one interface. `before` is what was set last; it tells which addresses have changed. An address that is
/// not in it is set again.
pub fn interface(kernel: &mut Rtnetlink, index: u32, before: &Wanted, wanted: &Wanted) -> Vec<Refused> {
    let mut refused = Vec::new();
    addresses(kernel, index, before, wanted, &mut refused);
    let routes = match kernel.routes() {
        Ok(routes) => routes,
        Err(error) => {
            refused.push(error);
            return refused;
        }
    };
    let is_ours = |route: &&Route| route.index == index && matches!(route.origin, Origin::Static | Origin::Dhcp);
    let ours: Vec<&Route> = routes.iter().filter(is_ours).collect();
    // The new route comes first, so that there is no gap.
    for route in wanted.routes.iter().filter(|new| !ours.iter().any(|old| old.same(new))) {
        refused.extend(kernel.put_route(route).err());
    }
    let announced = |route: &&Route| route.index == index && route.origin == Origin::Ra && wanted.without_routers;
    for route in routes.iter().filter(announced) {
        refused.extend(kernel.remove_route(route).err());
    }
    for route in ours.iter().filter(|old| !wanted.routes.iter().any(|new| new.same(old))) {
        refused.extend(kernel.remove_route(route).err());
    }
    refused
}

fn addresses(kernel: &mut Rtnetlink, index: u32, before: &Wanted, wanted: &Wanted, refused: &mut Vec<Refused>) {
    let here = match kernel.addresses() {
        Ok(found) => found.into_iter().filter(|address| address.index == index).collect::<Vec<_>>(),
        Err(error) => return refused.push(error),
    };
    // Old addresses go first: a server may use one of them already for another host.
    for old in here.iter().filter(|old| old.ours || (old.announced && wanted.without_routers)) {
        if !wanted.addresses.iter().any(|new| (new.ip, new.prefix) == (old.ip, old.prefix)) {
            refused.extend(kernel.remove_address(index, old.ip, old.prefix).err());
        }
    }
    for new in &wanted.addresses {
        let exists = here.iter().any(|old| (new.ip, new.prefix) == (old.ip, old.prefix));
        if !exists || !before.addresses.iter().any(|old| old.same(new)) {
            refused.extend(kernel.put_address(index, new).err());
        }
    }
}

/// The wanted addresses that the kernel does not use because another host has them.
#[must_use]
pub fn failed(kernel: &mut Rtnetlink, index: u32, wanted: &Wanted) -> Vec<NewAddress> {
    // The caller has just listed them: a fault of the kernel is reported there.
    let here = kernel.addresses().unwrap_or_default();
    let is_failed = |new: &&NewAddress| {
        here.iter().any(|old| old.index == index && old.failed && (old.ip, old.prefix) == (new.ip, new.prefix))
    };
    wanted.addresses.iter().filter(is_failed).copied().collect()
}

/// Removes an address and sets it again.
///
/// # Errors
/// When the kernel refuses.
pub fn again(kernel: &mut Rtnetlink, index: u32, address: &NewAddress) -> Result<(), Refused> {
    kernel.remove_address(index, address.ip, address.prefix)?;
    kernel.put_address(index, address)
}

/// Sets the rules of all interfaces.
pub fn rules(kernel: &mut Rtnetlink, wanted: &[Rule]) -> Vec<Refused> {
    let mut refused = Vec::new();
    let ours = match kernel.rules() {
        Ok(ours) => ours,
        Err(error) => return vec![error],
    };
    for new in wanted.iter().filter(|new| !ours.contains(new)) {
        refused.extend(kernel.put_rule(new).err());
    }
    for old in ours.iter().filter(|old| !wanted.contains(old)) {
        refused.extend(kernel.remove_rule(old).err());
    }
    refused
}
