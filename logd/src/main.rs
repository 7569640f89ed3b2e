//! `logd [--root DIR]`: stores and forwards logs, see [`berth_logd`]. `--root` is for tests.

use berth_logd::daemon::{Places, run};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    low_level::pipe,
};
use std::{
    env, io,
    io::{Write, stderr},
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let places = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Places::below(Path::new("/")),
        ["--root", folder] => Places::below(Path::new(folder)),
        _ => {
            say("expected no arguments, or --root DIR");
            return ExitCode::FAILURE;
        }
    };
    match stop_signals().and_then(|stop| run(&places, stop, &mut say)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Becomes readable when the process must end.
fn stop_signals() -> io::Result<UnixStream> {
    let (stop, writer) = UnixStream::pair()?;
    pipe::register(SIGTERM, writer.try_clone()?)?;
    pipe::register(SIGINT, writer)?;
    Ok(stop)
}

fn say(text: &str) {
    // If stderr cannot be written, the message has nowhere else to go.
    let _ = writeln!(stderr(), "{text}");
}
