//! Warns early: when metadata expires soon, and when the list of releases comes near the size limit of hosts.

use super::{
    error::{REVOKE, renewal},
    repository::{Repository, Terms},
};
use crate::{date::Date, report::Report};
use berth_contract::release::MAX_METADATA;
use jiff::Timestamp;
use tough::schema::RoleType;

const DAY: u64 = 86_400;

/// The limit for a warning at `now`, in seconds since 1970: warn if the role expires before the returned time. Roles whose
/// keys are kept offline need an earlier warning.
pub(super) fn soon(role: RoleType, now: u64) -> Timestamp {
    let days = match role {
        RoleType::Root | RoleType::Targets => 60,
        _ => 7,
    };
    Date(now.saturating_add(days * DAY)).timestamp()
}

/// Warns that a role expires soon.
pub(super) fn warn_of_end(role: RoleType, end: Timestamp, report: &Report) {
    let text = format_args!("the metadata of role {role} expires at {end}: hosts refuse the repository from then on");
    report.warning_with_hint(text, renewal(role));
}

/// Warns after a change about work that needs a person: to sign root or targets before they expire, or to revoke old releases.
pub(super) fn warn(repository: &Repository, terms: Terms, report: &Report) {
    for (role, end) in repository.ends() {
        // No warning if the user asked for a short lifetime of targets.
        let people = role == RoleType::Root || (role == RoleType::Targets && end < terms.targets.from(terms.now));
        if people && end <= soon(role, terms.now) {
            warn_of_end(role, end, report);
        }
    }
    let size = repository.current.as_ref().map_or(0, |current| current.targets.bytes.len() as u64);
    if size > MAX_METADATA / 4 * 3 {
        let text = format_args!("the list of releases has {size} of the {MAX_METADATA} bytes that hosts read");
        report.warning_with_hint(text, REVOKE);
    }
}
