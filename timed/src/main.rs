//! `timed [--directory DIR] [--settings FILE] [--network FILE] [--image FILE] [--program FILE]`: keeps the clock right, see
//! [`berth_timed`]. The arguments are for tests.

use berth_timed::daemon::{Options, run};
use std::{
    env,
    io::{Write, stderr},
    process::ExitCode,
};

fn main() -> ExitCode {
    let mut log = stderr();
    let error = match options(env::args().skip(1)) {
        Ok(options) => match run(&options, &mut log) {
            Ok(never) => match never {},
            Err(error) => error.to_string(),
        },
        Err(error) => error,
    };
    // If stderr cannot be written, the error has nowhere else to go.
    let _ = writeln!(log, "timed: {error}");
    ExitCode::FAILURE
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let target = match argument.as_str() {
            "--directory" => &mut options.directory,
            "--settings" => &mut options.settings,
            "--network" => &mut options.network,
            "--image" => &mut options.image,
            "--program" => &mut options.program,
            other => {
                return Err(format!(
                    "expected --directory, --settings, --network, --image or --program, found {other:?}"
                ));
            }
        };
        *target = arguments.next().ok_or(format!("{argument}: expected a path after it"))?.into();
    }
    Ok(options)
}
