//! Phases of the boot: what a row of [`crate::sequence`] is, and how a list of rows is run.

use crate::{
    console, shutdown,
    timeline::{RunningPhase, Timeline},
};
use berth_contract::{boot_report::Stage, chain::Chain, fault::Failure};
use std::thread::{self, JoinHandle};

/// One row of a list.
#[derive(Debug)]
pub struct Phase<S> {
    name: &'static str,
    run: Run<S>,
    on_failure: OnFailure,
}

/// How a row is run.
#[derive(Debug)]
enum Run<S> {
    /// Before the next row.
    Now(fn(&mut S) -> Result<(), Failure>),
    /// In a thread of its own, beside the rows that follow. The function returns the thread's job.
    Beside(fn(&S) -> Job),
    /// Waits for the earlier row of the same name, which runs in a thread.
    Await,
}

/// The work of a thread that runs beside the list.
pub type Job = Box<dyn FnOnce() -> Result<(), Failure> + Send>;

/// What a failure of a phase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// No later phase can work: print the error and reboot, so that the boot loader can try another version.
    Reboot,
    /// The host comes up without this phase and reports the error.
    Degrade,
}

/// A row that runs before the next one.
pub const fn now<S>(name: &'static str, run: fn(&mut S) -> Result<(), Failure>, on_failure: OnFailure) -> Phase<S> {
    Phase { name, run: Run::Now(run), on_failure }
}

/// A row that runs in a thread. Its failure degrades the host.
pub const fn beside<S>(name: &'static str, job: fn(&S) -> Job) -> Phase<S> {
    Phase { name, run: Run::Beside(job), on_failure: OnFailure::Degrade }
}

/// Waits for the end of the row `name`, which was started by [`beside`].
pub const fn until<S>(name: &'static str) -> Phase<S> {
    Phase { name, run: Run::Await, on_failure: OnFailure::Degrade }
}

/// Runs a list from its first row to its last.
pub fn run<S>(stage: Stage, phases: &[Phase<S>], state: &mut S, timeline: &Timeline) {
    let mut running: Vec<(&str, JoinHandle<()>)> = Vec::new();
    for phase in phases {
        match phase.run {
            Run::Now(function) => {
                let stamp = timeline.begin(stage, phase.name);
                let result = function(state);
                let failed = result.is_err();
                tell(phase.name, stamp, result);
                if failed && phase.on_failure == OnFailure::Reboot {
                    shutdown::give_up();
                }
            }
            Run::Beside(prepare) => {
                let (job, name, stamp) = (prepare(state), phase.name, timeline.begin(stage, phase.name));
                match thread::Builder::new().name(name.to_owned()).spawn(move || tell(name, stamp, job())) {
                    Ok(thread) => running.push((name, thread)),
                    Err(error) => console::error(format_args!("{name} FAILED: no thread: {error}")),
                }
            }
            Run::Await => {
                if let Some(index) = running.iter().position(|(name, _)| *name == phase.name) {
                    // The panic hook has reported a panic of the thread.
                    let _ = running.swap_remove(index).1.join();
                }
            }
        }
    }
}

fn tell(name: &str, stamp: RunningPhase, result: Result<(), Failure>) {
    let error = result.err().map(|failure| Chain(failure.as_ref()).to_string());
    let milliseconds = stamp.end(error.clone()) / 1000;
    match error {
        None => console::announce(&format!("{name} ok ({milliseconds} ms)")),
        Some(error) => console::error(format_args!("{name} FAILED ({milliseconds} ms): {error}")),
    }
}

/// Checks a list: every name is unique, because `until` and the timeline know a phase by its name, and a row is awaited only after
/// its start.
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
    fn rows_run_in_order_and_the_list_goes_on_after_a_failure() {
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
    fn a_row_that_is_awaited_too_early_is_found() {
        fn slow(_: &()) -> Job {
            Box::new(|| Ok(()))
        }
        check(&[until("slow"), beside("slow", slow)]);
    }
}
