//! Tests of the supervisor with real processes: readiness, restarts, logs, orphans, shutdown, versions on trial.
//!
//! This program has two roles. Called as `supervise FOLDER`, it is the host: a child subreaper in the place of PID 1. Otherwise it runs the
//! tests, which start hosts and talk to them with the client of the control protocol.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test without the test harness")]

mod clients;
mod confined;
mod init;
mod kit;
mod services;
mod trial;

use init::supervise;
use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [verb, folder] = &arguments[..]
        && verb == "supervise"
    {
        return ExitCode::from(u8::try_from(supervise(Path::new(folder))).unwrap());
    }
    macro_rules! by_name {
        ($($test:path),* $(,)?) => {
            [$((stringify!($test), $test as fn())),*]
        };
    }
    let tests = by_name!(
        services::each_kind_of_readiness_and_the_order_of_a_shutdown,
        services::a_service_that_ends_is_restarted_and_keep_children_decides_about_its_children,
        clients::logs_are_kept_and_followed,
        services::a_failed_service_degrades_the_host_and_other_services_run,
        services::orphaned_processes_are_reaped,
        services::an_idle_host_does_not_wake_up,
        services::signals_shut_the_host_down_and_services_that_ignore_sigterm_are_killed,
        trial::a_version_on_trial_that_is_bad_or_late_is_rebooted_and_a_good_one_is_not,
        trial::a_version_that_is_not_on_trial_is_never_rebooted,
        trial::a_trial_fails_without_hostctl_or_without_var,
        clients::hostctl_runs_for_clients,
        clients::a_new_configuration_is_taken_by_the_services_that_read_it,
        clients::a_service_is_restarted_for_a_client,
        confined::a_service_is_confined_as_its_file_says,
    );
    // Options of the standard test harness that ci/run-tests passes.
    let given = |option: &str| arguments.iter().any(|argument| argument == option);
    if given("--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let fits = |name: &str, word: &str| if given("--exact") { name == word } else { name.contains(word) };
    let mut passed = 0;
    for (name, test) in tests {
        if wanted.is_empty() || wanted.iter().any(|word| fits(name, word)) {
            test();
            println!("test {name} ... ok");
            passed += 1;
        }
    }
    println!("test result: ok. {passed} passed; 0 failed; 0 ignored");
    ExitCode::SUCCESS
}
