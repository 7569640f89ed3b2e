//! Phases of the boot: the rows of [`crate::sequence`], and the function that runs a list of them.

use crate::{
    console, shutdown,
    timeline::{RunningPhase, Timeline},
};
use berth_contract::{boot_report::Stage, chain::Chain, fault::Failure};
use std::thread::{self, JoinHandle};

/// One phase: a row of a list.
#[derive(Debug)]
pub struct Phase<S> {
    name: &'static str,
    run: Run<S>,
    on_failure: OnFailure,
}

/// How a phase is run.
#[derive(Debug)]
enum Run<S> {
    /// Runs to its end before the next row.
    Now(fn(&mut S) -> Result<(), Failure>),
    /// Runs in its own thread while the next rows run. The function returns the work of that thread.
    Beside(fn(&S) -> Job),
    /// Waits for the thread of the earlier row with the same name.
    Await,
}

/// The work of a [`beside`] thread.
pub type Job = Box<dyn FnOnce() -> Result<(), Failure> + Send>;

/// What a failure of a phase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The boot cannot continue: print the error and reboot, so that the boot loader can try another version.
    Reboot,
    /// The boot continues without this phase. The host reports the error.
    Degrade,
}

/// A phase that runs to its end before the next row.
pub const fn now<S>(name: &'static str, run: fn(&mut S) -> Result<(), Failure>, on_failure: OnFailure) -> Phase<S> {
    Phase { name, run: Run::Now(run), on_failure }
}

/// A phase that runs in a thread while the next rows run. A failure degrades the host.
pub const fn beside<S>(name: &'static str, job: fn(&S) -> Job) -> Phase<S> {
    Phase { name, run: Run::Beside(job), on_failure: OnFailure::Degrade }
}

/// Waits for the end of the phase `name`, which an earlier row has started with [`beside`].
pub const fn until<S>(name: &'static str) -> Phase<S> {
    Phase { name, run: Run::Await, on_failure: OnFailure::Degrade }
}

/// Runs a list from its first row to its last row. Threads that no row waits for continue to run.
pub fn run<S>(stage: Stage, phases: &[Phase<S>], state: &mut S, timeline: &Timeline) {
    let mut running: Vec<(&str, JoinHandle<()>)> = Vec::new();
    for phase in phases {
        match phase.run {
            Run::Now(function) => {
                let stamp = timeline.begin(stage, phase.name);
                let result = function(state);
                let failed = result.is_err();
                report(phase.name, stamp, result);
                if failed && phase.on_failure == OnFailure::Reboot {
                    shutdown::give_up();
                }
            }
            Run::Beside(prepare) => {
                let (job, name, stamp) = (prepare(state), phase.name, timeline.begin(stage, phase.name));
                match thread::Builder::new().name(name.to_owned()).spawn(move || report(name, stamp, job())) {
                    Ok(thread) => running.push((name, thread)),
                    Err(error) => console::error(format_args!("{name} FAILED: cannot start a thread: {error}")),
                }
            }
            Run::Await => {
                if let Some(index) = running.iter().position(|(name, _)| *name == phase.name) {
                    // A panic of the thread needs no handling here: the panic hook reboots.
                    let _ = running.swap_remove(index).1.join();
                }
            }
        }
    }
}

fn report(name: &str, stamp: RunningPhase, result: Result<(), Failure>) {
    let error = result.err().map(|failure| Chain(failure.as_ref()).to_string());
    let milliseconds = stamp.end(error.clone()) / 1000;
    match error {
        None => console::announce(&format!("{name} ok ({milliseconds} ms)")),
        Some(error) => console::error(format_args!("{name} FAILED ({milliseconds} ms): {error}")),
    }
}

/// Checks a list: every name is unique, because `until` and the timeline identify a phase by its name, and every `until` comes after
/// the start of its phase.
#[cfg(test)]
pub(crate) fn check<S>(phases: &[Phase<S>]) {
    let mut started: Vec<&str> = Vec::new();
    for Phase { name, run, .. } in phases {
        if let Run::Await = run {
            assert!(started.contains(name), "{name}: awaited before its start");
        } else {
            assert!(!started.contains(name), "{name}: two rows have this name");
            started.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OnFailure::Degrade, *};

    #[test]
    fn phases_run_in_order_and_a_degrading_failure_does_not_stop_the_list() {
        type Seen = Vec<&'static str>;
        fn first(seen: &mut Seen) -> Result<(), Failure> {
            seen.push("first");
            Err("not today".into())
        }
        fn slow(_: &Seen) -> Job {
            Box::new(|| Ok(()))
        }
        fn second(seen: &mut Seen) -> Result<(), Failure> {
            seen.push("second");
            Ok(())
        }
        let (mut seen, timeline) = (Seen::new(), Timeline::default());
        let phases = [
            now("first", first, Degrade),
            beside("slow", slow),
            now("second", second, Degrade),
            until("slow"),
            until("nothing"),
        ];
        run(Stage::Host, &phases, &mut seen, &timeline);
        assert_eq!(seen, ["first", "second"]);
        let stamps = timeline.stamps();
        assert_eq!(stamps.iter().map(|stamp| stamp.name.as_str()).collect::<Vec<_>>(), ["first", "slow", "second"]);
        assert_eq!(stamps[0].error.as_deref(), Some("not today"));
        assert!(stamps.iter().all(|stamp| stamp.end_us.is_some()));
    }

    #[test]
    #[should_panic(expected = "slow: awaited before its start")]
    fn the_check_finds_a_phase_that_is_awaited_before_its_start() {
        fn slow(_: &()) -> Job {
            Box::new(|| Ok(()))
        }
        check(&[until("slow"), beside("slow", slow)]);
    }
}
