//! The boot, as two lists. Read them top to bottom: that is what happens, and nothing else does.
//!
//! A phase is a row: its name, its function, what its failure means. No phase calls another; what one learns it leaves in the
//! stage's state, where later ones find it. Every row is stamped for `hostctl boot` and says one line on the console.

use crate::{
    console,
    fault::Failure,
    host::{self, Host},
    initrd::{self, Initrd},
    shutdown,
    timeline::Timeline,
};
use berth_contract::{boot_report::Stage, chain::Chain};
use std::thread::{self, JoinHandle};

/// One row.
#[derive(Debug)]
pub struct Phase<S> {
    name: &'static str,
    run: Run<S>,
    on_failure: OnFailure,
}

/// How a row is run.
#[derive(Debug)]
enum Run<S> {
    /// The next row waits for it.
    Now(fn(&mut S) -> Result<(), Failure>),
    /// In a thread of its own, beside the rows that follow. The function prepares what the thread does.
    Beside(fn(&S) -> Job),
    /// Here the row of that name must have ended.
    Await,
}

/// What a thread does beside the list.
pub type Job = Box<dyn FnOnce() -> Result<(), Failure> + Send>;

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnFailure {
    /// Nothing after it can work: say why, and reboot, so that the boot loader can try another version.
    Reboot,
    /// The machine comes up without it, and says so.
    Degrade,
}

const fn now<S>(name: &'static str, run: fn(&mut S) -> Result<(), Failure>, on_failure: OnFailure) -> Phase<S> {
    Phase { name, run: Run::Now(run), on_failure }
}

const fn beside<S>(name: &'static str, job: fn(&S) -> Job) -> Phase<S> {
    Phase { name, run: Run::Beside(job), on_failure: OnFailure::Degrade }
}

const fn until<S>(name: &'static str) -> Phase<S> {
    Phase { name, run: Run::Await, on_failure: OnFailure::Degrade }
}

use OnFailure::{Degrade, Reboot};

/// From the kernel's first process to the root file system.
pub const INITRD: &[Phase<Initrd>] = &[
    now("early-mounts", initrd::mount_early, Reboot),
    now("listen", initrd::open_devices, Reboot),
    beside("root-modules", initrd::load_root_modules),
    beside("guards", initrd::set_guards),
    now("find-slot", initrd::find_slot, Reboot),
    until("root-modules"),
    now("verity-open", initrd::open_verity, Reboot),
    now("mount-root", initrd::mount_root, Reboot),
    // What it has opened goes along, and its modules' files go away.
    until("guards"),
    // Does not come back: the host's init goes on with HOST.
    now("switch-root", initrd::switch_root, Reboot),
];

/// From the root file system to the supervisor, which starts the services.
pub const HOST: &[Phase<Host>] = &[
    now("mounts", host::mount_required, Degrade),
    beside("devices", host::load_device_modules),
    beside("more-mounts", host::mount_offered),
    beside("firmware", host::ask_firmware),
    now("etc", host::mount_etc, Degrade),
    now("var", host::mount_var, Degrade),
    beside("grow-var", host::grow_var),
    now("furnish", host::furnish, Degrade),
    beside("random-seed", host::seed_random),
    beside("crash-records", host::keep_crash_records),
    now("machine-id", host::identify, Degrade),
    now("loopback", host::bring_loopback_up, Degrade),
    now("sysctl", host::set_parameters, Degrade),
    // A configuration disk and fw_cfg are devices with drivers.
    until("devices"),
    // Nobody waits for these: what a service needs earlier, the kernel asks for by itself.
    beside("engine-modules", host::load_recipe_modules),
    now("device-nodes", host::complete_dev, Degrade),
    now("power", host::watch_power, Degrade),
    now("config", host::configure, Degrade),
    now("hostname", host::name_host, Degrade),
    until("firmware"),
    now("boot-record", host::record_boot, Degrade),
];

/// Runs a list.
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
                    // A panic in it has been reported by the panic hook.
                    let _ = running.swap_remove(index).1.join();
                }
            }
        }
    }
}

fn tell(name: &str, stamp: crate::timeline::Running, result: Result<(), Failure>) {
    let error = result.err().map(|failure| Chain(failure.as_ref()).to_string());
    let milliseconds = stamp.end(error.clone()) / 1000;
    match error {
        None => console::announce(&format!("{name} ok ({milliseconds} ms)")),
        Some(error) => console::error(format_args!("{name} FAILED ({milliseconds} ms): {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_run_in_order_beside_each_other_and_go_on_after_a_failure() {
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

    /// A name is what `until` and the timeline know a phase by.
    #[test]
    fn names_are_unique_and_awaited_after_their_begin() {
        fn check<S>(phases: &[Phase<S>]) {
            let mut seen: Vec<&str> = Vec::new();
            for phase in phases {
                let known = seen.contains(&phase.name);
                assert_eq!(known, matches!(phase.run, Run::Await), "{}", phase.name);
                seen.push(phase.name);
            }
        }
        check(INITRD);
        check(HOST);
    }
}
