//! `hostd [--root DIR]`: the API of this host over HTTPS, see [`berth_hostd`]. With `--root`, all files and sockets are below DIR.

use berth_contract::fault::{At, Failure};
use berth_control::Notify;
use berth_hostd::{places::Places, server, settings};
use std::{
    env,
    io::{Write, stderr},
    path::Path,
    process::ExitCode,
};
use tokio::{runtime::Builder, task::LocalSet};

/// Threads for the engine's client: readers of containers' output, and some for short calls.
const THREADS: usize = 20;
/// Stack of these threads, in bytes. It counts only as far as it is used.
const STACK: usize = 256 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => run(Path::new("/")),
        ["--root", folder] => run(Path::new(folder)),
        _ => Err(format!("expected [--root DIR], found {arguments:?}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr cannot be written, the error has nowhere else to go.
            let _ = writeln!(stderr(), "hostd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path) -> Result<(), Failure> {
    let places = Places::below(root);
    let image = settings::Image::read(&places)?;
    let Some(remote) = settings::read(&places, &image)? else {
        return Ok(Notify::from_environment()
            .and_then(|notify| notify.ready("off: neither host.toml nor the image has [remote]"))
            .at("notify", "init")?);
    };
    // Two providers of cryptography may be linked, so one has to be chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_stack_size(STACK)
        .build()
        .at("start", "the runtime")?;
    Ok(LocalSet::new().block_on(&runtime, server::serve(places, image, remote))?)
}
