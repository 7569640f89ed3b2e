//! `netd [--directory DIR] [--settings FILE] [--interface NAME]... [--time-again SECONDS]`: the network process, see [`berth_netd`].
//! Without arguments it manages all Ethernet cards.

use berth_netd::{
    daemon::{Options, run},
    link::Choice,
};
use std::{
    env,
    io::{Write, stderr},
    process::ExitCode,
    time::Duration,
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
    let _ = writeln!(log, "netd: {error}");
    ExitCode::FAILURE
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument}: expected a value after it"));
        match argument.as_str() {
            "--time-again" => {
                let text = value()?;
                let seconds = text.parse().map_err(|_| format!("--time-again: expected seconds, found {text:?}"))?;
                options.time_again = Duration::from_secs(seconds);
            }
            "--settings" => options.settings = value()?.into(),
            "--directory" => options.directory = value()?.into(),
            "--interface" => match &mut options.choice {
                Choice::Named(names) => names.push(value()?),
                Choice::Physical => options.choice = Choice::Named(vec![value()?]),
            },
            other => {
                return Err(format!(
                    "expected [--directory DIR] [--settings FILE] [--interface NAME]... [--time-again SECONDS], found {other:?}"
                ));
            }
        }
    }
    Ok(options)
}
