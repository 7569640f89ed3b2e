//! The end of a try that nobody confirms, or that makes the host lose what worked before. init starts it as `hostctl config watch`.

use crate::health::{Places, baseline};
use berth_contract::generation::Trying;
use berth_generations::Store;
use std::time::Duration;

/// How long the network may take to settle, and how long a loss may last.
const GRACE: Duration = Duration::from_secs(30);
/// A name that does not exist. An answer of a server that says so is an answer.
const PROBE: &str = "berth.invalid";

/// What works on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Works {
    /// There is a default route.
    pub route: bool,
    /// A name server answers.
    pub names: bool,
}

impl Works {
    /// Asks the kernel and the name servers.
    #[must_use]
    pub fn now() -> Self {
        let places = Places::default();
        Self { route: baseline::has_default_route(&places), names: baseline::name_server_answers(PROBE, &places) }
    }
}

/// Facts and actions of the host, for tests.
pub trait Host {
    /// Microseconds since the kernel's start.
    fn now_us(&self) -> u64;
    /// What works.
    fn works(&self) -> Works;
    /// Waits for a second.
    fn pause(&mut self);
}

/// Waits for the end of the try `number`. Returns why the try must be ended; `None` if that has happened already.
pub fn wait(store: &Store, host: &mut dyn Host) -> Option<String> {
    let mine = store.state().ok()?.trying?.generation;
    let mut lost_since: Option<u64> = None;
    loop {
        let trying = store.state().ok()?.trying.filter(|trying| trying.generation == mine)?;
        let now = host.now_us();
        if now >= trying.until_us {
            return Some("nobody has confirmed it in time".to_owned());
        }
        match loss(&trying, host.works()) {
            None => lost_since = None,
            Some(what) => {
                let since = *lost_since.get_or_insert(now);
                if u128::from(now - since) >= GRACE.as_micros() {
                    return Some(format!("with it the host has lost {what}"));
                }
            }
        }
        host.pause();
    }
}

fn loss(trying: &Trying, works: Works) -> Option<&'static str> {
    if trying.default_route && !works.route {
        return Some("its default route");
    }
    (trying.resolved.is_some() && !works.names).then_some("its name service")
}

/// What a try must not break.
#[must_use]
pub fn trying(until_us: u64, works: Works) -> Trying {
    Trying { generation: 0, until_us, default_route: works.route, resolved: works.names.then(|| PROBE.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::generation::ConfigState;

    const ALL: Works = Works { route: true, names: true };

    struct Fake<'a> {
        store: &'a Store,
        second: u64,
        /// From this second on, something does not work.
        broken: Option<(u64, u64, Works)>,
        confirmed: Option<u64>,
    }

    impl Host for Fake<'_> {
        fn now_us(&self) -> u64 {
            self.second * 1_000_000
        }
        fn works(&self) -> Works {
            match self.broken {
                Some((from, to, works)) if (from..to).contains(&self.second) => works,
                _ => ALL,
            }
        }
        fn pause(&mut self) {
            self.second += 1;
            if self.confirmed == Some(self.second) {
                self.store.set_state(&ConfigState::default()).unwrap();
            }
        }
    }

    #[test]
    fn a_try_ends_when_nobody_confirms_it_or_when_something_is_lost_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let no_route = Works { route: false, ..ALL };
        let no_names = Works { names: false, ..ALL };
        let run = |before: Works, broken, confirmed| {
            let state = ConfigState { trying: Some(trying(300_000_000, before)), ..ConfigState::default() };
            store.set_state(&state).unwrap();
            let mut host = Fake { store: &store, second: 0, broken, confirmed };
            let why = wait(&store, &mut host);
            (why, host.second)
        };
        let text = |why: &str| Some(why.to_owned());
        assert_eq!(run(ALL, None, None), (text("nobody has confirmed it in time"), 300));
        assert_eq!(run(ALL, None, Some(20)), (None, 20));
        assert_eq!(run(ALL, Some((5, 20, no_route)), Some(60)), (None, 60), "it came back in time");
        assert_eq!(run(ALL, Some((5, 99, no_route)), None), (text("with it the host has lost its default route"), 35));
        assert_eq!(run(ALL, Some((5, 99, no_names)), None), (text("with it the host has lost its name service"), 35));
        assert_eq!(run(no_route, Some((5, 999, no_route)), Some(90)), (None, 90), "there was none before");
    }
}
