//! Imports preloaded images and starts declared containers, then ends: status 0 when all that are required run.

use berth_contract::chain::Chain;
use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let faults = berth_workload::run().unwrap_or_else(|error| vec![Chain(&error).to_string()]);
    for fault in &faults {
        // There is nobody left to tell when this fails too.
        let _ = writeln!(io::stderr(), "error: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
