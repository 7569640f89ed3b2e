//! `workload`: imports preloaded images and starts declared containers, then exits. The status is 0 when all required containers run.
//! `workload load-profiles PROGRAM ARGUMENT...`: becomes the loader of AppArmor profiles, if the kernel has AppArmor.
//! `workload start-engine PROGRAM ARGUMENT...`: becomes the engine when the network is there.
//! `workload follow-logs`: sends the output of containers to logd.
//! `workload follow-network`: repairs containers that were started before the network came.

use berth_contract::chain::Chain;
use berth_workload::{SECURITY, WorkloadError, follow, follow_logs, load_profiles, run, start_engine};
use std::{
    env,
    io::{self, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let (verb, rest) = words.split_first().map_or(("", &[][..]), |(verb, rest)| (verb.as_str(), rest));
    let faults = match verb {
        "" => run(),
        "load-profiles" => load_profiles(rest, Path::new(SECURITY)).map(|()| Vec::new()),
        "start-engine" => start_engine(rest).map(|never| match never {}),
        "follow-logs" => follow_logs().map(|()| again()),
        "follow-network" => follow(say).map(|never| match never {}),
        other => Err(WorkloadError::Verb(other.to_owned())),
    };
    let faults = faults.unwrap_or_else(|error| vec![Chain(&error).to_string()]);
    for fault in &faults {
        say(&format!("error: {fault}"));
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Becomes this program anew: that ends all threads. The service does not count as failed.
fn again() -> Vec<String> {
    let error = Command::new("/proc/self/exe").args(env::args_os().skip(1)).exec();
    vec![format!("cannot start again: {error}")]
}

fn say(line: &str) {
    // If stderr cannot be written, the error has nowhere else to go.
    let _ = writeln!(io::stderr(), "{line}");
}
