//! Warnings about a new lock.

use super::{Lock, LockInput, Resolution};

/// At most this many packages that cannot be used are named.
const SHOWN: usize = 3;

/// Warnings for the user, one sentence each. `odd` says what is wrong with packages that the image does not need.
pub(super) fn warnings(input: &LockInput, resolution: &Resolution<'_>, lock: &Lock, odd: Vec<String>) -> Vec<String> {
    let provided = resolution.unneeded.iter().map(|name| match resolution.chosen.contains_key(name.as_str()) {
        true => format!("debian.provided names {name:?}, which the recipe also requests: it is installed"),
        false => format!("debian.provided names {name:?}, which no package of the image depends on"),
    });
    let idle = input.pins.iter().filter(|pin| !resolution.chosen.contains_key(pin.name.as_str()));
    let idle =
        idle.map(|pin| format!("{}: debian.versions names {:?}, which the image does not have", pin.place, pin.name));
    let expired = lock.archives.iter().filter_map(|archive| {
        let until = archive.expired?;
        let suite = &archive.suite;
        Some(format!(
            "archive {suite} was valid until {until}: valid_until accepts it, and later security updates are missing"
        ))
    });
    let more = odd.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("{more} more packages were passed over"));
    let odd = odd.into_iter().take(SHOWN).map(|odd| format!("{odd}: passed over, no package of the image needs it"));
    provided.chain(idle).chain(expired).chain(odd).chain(more).collect()
}
