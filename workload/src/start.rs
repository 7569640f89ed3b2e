//! The start of the engine: after the network, as far as there is one, and with the MTU of the link.

use super::{
    error::WorkloadError,
    network::{self, NetworkWatch, now},
};
use berth_contract::{image_spec::ImageSpec, paths};
use berth_file::read_json;
use std::{convert::Infallible, fs, os::unix::process::CommandExt, path::Path, process::Command, time::Duration};

/// netd reports after ten seconds that there is no network. This limit is for a netd that does not report at all.
const NETD_WITHIN: Duration = Duration::from_secs(15);

/// Waits until netd reports a network or its absence, and then becomes the engine. An engine gives name servers and MTU to containers when
/// they start, so the network should be there first.
///
/// # Errors
/// When the program cannot be executed.
pub fn start_engine(words: &[String]) -> Result<Infallible, WorkloadError> {
    let Some((program, arguments)) = words.split_first() else { return Err(WorkloadError::NoProgram("start-engine")) };
    let image: ImageSpec = read_json(Path::new(paths::IMAGE_SPEC), paths::MAX_JSON)?;
    let watch = NetworkWatch::open()?;
    let limit = now() + NETD_WITHIN;
    let mut status = watch.status();
    while !status.settled && now() < limit {
        watch.wait(Some(limit))?;
        status = watch.status();
    }
    let mut command = Command::new(program);
    command.args(arguments);
    if let (Some(mtu), Some(engine)) = (network::mtu(&status), &image.engine) {
        let settings = fs::read_to_string(engine.kind.row().settings).unwrap_or_default();
        command.args(berth_engine::mtu_arguments(engine.kind, &settings, mtu));
    }
    Err(WorkloadError::Start { program: program.clone(), source: command.exec() })
}
