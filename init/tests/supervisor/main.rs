//! The supervisor with real processes, beside PID 1: readiness, restarts, logs, orphans, the order of the end.
//!
//! This program is two: called as `supervise FOLDER` it is the host, a child subreaper in the place of PID 1; called otherwise it
//! is the tests, which start the other and talk to it through hostctl's client.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test without the test harness")]

mod clients;
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
        services::each_kind_of_readiness_and_the_order_of_the_end,
        services::the_dead_are_started_again_and_children_follow_or_stay,
        clients::logs_are_kept_and_followed,
        services::what_fails_degrades_the_host_and_nothing_else,
        services::orphans_are_waited_for,
        services::a_host_without_work_sleeps,
        services::signals_end_the_host_and_stubborn_services_are_killed,
        trial::a_version_on_trial_is_good_bad_or_late_and_bad_ones_reboot,
        trial::a_version_that_is_not_on_trial_is_never_rebooted,
        trial::a_trial_without_hostctl_or_without_var_has_failed,
        clients::hostctl_runs_for_clients,
    );
    // The options of the test harness that ci/run-tests gives.
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
