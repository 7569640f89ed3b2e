//! Imports preloaded images and starts declared containers, then exits. The status is 0 when all required containers run.

use berth_contract::chain::Chain;
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let faults = berth_workload::run().unwrap_or_else(|error| vec![Chain(&error).to_string()]);
    for fault in &faults {
        // If stderr cannot be written, the error has nowhere else to go.
        let _ = writeln!(io::stderr(), "error: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
