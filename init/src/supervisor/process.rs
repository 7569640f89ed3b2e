//! From a service's file to its process.

use super::cgroup::Cgroups;
use crate::{
    fault::{At, PathError},
    sys::spawn::{Birth, spawn},
};
use berth_contract::service::{Readiness, ServiceSpec};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::{
    io::PipeReader,
    path::Path,
    process::{Command, Stdio},
};

/// All that a service finds in its environment beside what its file says.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LANG", "C.UTF-8")];

/// Starts a service. Returns its main process and what it and its children say, stdout and stderr in one, non-blocking.
pub(super) fn start(
    name: &str,
    spec: &ServiceSpec,
    cgroups: &Cgroups,
    notify: &Path,
) -> Result<(u32, PipeReader), PathError> {
    let (program, arguments) =
        spec.exec.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let (reader, writer) = std::io::pipe().at("make a pipe for", name)?;
    let flags = fcntl_getfl(&reader).at("set up a pipe for", name)?;
    fcntl_setfl(&reader, flags | OFlags::NONBLOCK).at("set up a pipe for", name)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&spec.workdir)
        .env_clear()
        .envs(ENVIRONMENT)
        .envs(&spec.env)
        .stdin(Stdio::null())
        .stdout(writer.try_clone().at("make a pipe for", name)?)
        .stderr(writer);
    if spec.ready == Readiness::Notify {
        command.env("NOTIFY_SOCKET", notify);
    }
    let birth =
        Birth { cgroup: cgroups.open(name)?, open_files: spec.open_files, oom_score_adjust: spec.oom_score_adjust };
    // Not waited for here: the event loop reaps all children.
    let child = spawn(command, birth).at("start", program)?;
    Ok((child.id(), reader))
}
