//! Foreign programs that judge our output.

use std::process::Command;

/// Runs a judge and returns its output (stdout, then stderr). The test fails if the program is missing or reports an error.
pub(crate) fn judge(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").output();
    let run = run.unwrap_or_else(|error| panic!("{program}: {error}; run ci/setup"));
    let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{program} {args:?}: {text}");
    text
}
