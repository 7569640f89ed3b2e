//! What hostd counts, and what it keeps between two requests for its figures.

use berth_contract::update::SlotsReport;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};
use tokio::time::Instant;

/// What hostd counts itself.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Path of the route and status of the answer → number of requests.
    pub(crate) requests: RefCell<BTreeMap<(&'static str, u16), u64>>,
    /// Connections that were refused before a request.
    pub(crate) refused: Cell<u64>,
    /// Open connections.
    pub(crate) connections: Cell<u64>,
    /// The state of the slots, and when it was read.
    slots: RefCell<Option<(Instant, SlotsReport)>>,
}

impl Counters {
    /// Counts an answer.
    pub(crate) fn answered(&self, path: &'static str, status: u16) {
        *self.requests.borrow_mut().entry((path, status)).or_default() += 1;
    }

    /// Counts a refused connection.
    pub(crate) fn refuse(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// Counts a connection that has begun.
    pub(crate) fn opened(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// Counts a connection that has ended.
    pub(crate) fn closed(&self) {
        self.connections.set(self.connections.get().saturating_sub(1));
    }

    /// The state of the slots, if it was read not longer ago than `most`.
    pub(crate) fn slots(&self, now: Instant, most: Duration) -> Option<SlotsReport> {
        let slots = self.slots.borrow();
        slots.as_ref().filter(|(at, _)| now.duration_since(*at) < most).map(|(_, slots)| slots.clone())
    }

    /// Keeps the state of the slots.
    pub(crate) fn keep_slots(&self, now: Instant, slots: SlotsReport) {
        *self.slots.borrow_mut() = Some((now, slots));
    }
}
