//! What a repository will run into: the end of its signatures' time, and of what hosts read.

use super::{
    error::ReleaseError,
    lifetime::instant,
    repository::{Repository, Terms},
};
use crate::report::Report;
use berth_contract::release::MAX_METADATA;
use jiff::Timestamp;
use tough::schema::RoleType;

const DAY: u64 = 86_400;

/// How near its end a role is worth a warning at `now`, in seconds since 1970. Those that people sign for need some time.
pub(super) fn soon(role: RoleType, now: u64) -> Timestamp {
    let days = match role {
        RoleType::Root | RoleType::Targets => 60,
        _ => 7,
    };
    instant(now.saturating_add(days * DAY))
}

/// What is said of a role that ends soon.
pub(super) fn remark(role: RoleType, end: Timestamp) -> String {
    format!("the time of role {role} ends at {end}: hosts refuse the repository from then on\nhint: {}", renewal(role))
}

/// How a role gets more time.
pub(super) fn renewal(role: RoleType) -> &'static str {
    match role {
        RoleType::Root => "sign it anew with the root keys: berth keys renew",
        RoleType::Targets => "sign it anew with the targets keys: berth repo refresh",
        _ => "sign it anew: berth repo refresh",
    }
}

/// Tells after a change what needs people: an end of root or targets, and a list of releases that is nearly full.
pub(super) fn warn(repository: &Repository, terms: Terms, report: &Report) {
    for (role, end) in repository.ends() {
        // Targets that were to be good for no longer are as they should be.
        let people = role == RoleType::Root || (role == RoleType::Targets && end < terms.targets.from(terms.now));
        if people && end <= soon(role, terms.now) {
            report.warning(remark(role, end));
        }
    }
    let size = repository.current.as_ref().map_or(0, |current| current.targets.bytes.len() as u64);
    if size > MAX_METADATA / 4 * 3 {
        report.warning(format_args!(
            "the list of releases has {size} of the {MAX_METADATA} bytes that hosts read\nhint: {REVOKE}"
        ));
    }
}

/// What to do about a list that is too long.
pub(super) const REVOKE: &str = "take old releases back: berth repo revoke";

impl Repository {
    /// When each role ends.
    pub(super) fn ends(&self) -> Vec<(RoleType, Timestamp)> {
        let mut ends = vec![(RoleType::Root, self.root().expires)];
        if let Some(current) = &self.current {
            ends.extend([
                (RoleType::Timestamp, current.timestamp.role.signed.expires),
                (RoleType::Snapshot, current.snapshot.role.signed.expires),
                (RoleType::Targets, current.targets.role.signed.expires),
            ]);
        }
        ends
    }

    /// Whether root's time is not over at `now`: no host takes what is signed below it then.
    ///
    /// # Errors
    /// That it is.
    pub(super) fn in_time(&self, now: u64) -> Result<(), ReleaseError> {
        let end = self.root().expires;
        if end > instant(now) { Ok(()) } else { Err(self.ended(RoleType::Root, end)) }
    }

    pub(super) fn ended(&self, role: RoleType, end: Timestamp) -> ReleaseError {
        ReleaseError::Ended { path: self.metadata(), role, end }
    }
}
