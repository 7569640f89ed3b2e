//! `netd [--directory DIR] [--interface NAME]...`: the network process, see [`berth_netd`].
//! Without arguments it manages all Ethernet cards.

use berth_netd::{
    daemon::{Settings, run},
    link::Choice,
};
use std::{
    env,
    io::{Write, stderr},
    process::ExitCode,
};

fn main() -> ExitCode {
    let mut log = stderr();
    let error = match settings(env::args().skip(1)) {
        Ok(settings) => match run(&settings, &mut log) {
            Ok(never) => match never {},
            Err(error) => error.to_string(),
        },
        Err(error) => error,
    };
    // Without stderr there is nobody to tell.
    let _ = writeln!(log, "netd: {error}");
    ExitCode::FAILURE
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument}: expected a value after it"));
        match argument.as_str() {
            "--directory" => settings.directory = value()?.into(),
            "--interface" => match &mut settings.choice {
                Choice::Named(names) => names.push(value()?),
                Choice::Physical => settings.choice = Choice::Named(vec![value()?]),
            },
            other => return Err(format!("expected [--directory DIR] [--interface NAME]..., found {other:?}")),
        }
    }
    Ok(settings)
}
