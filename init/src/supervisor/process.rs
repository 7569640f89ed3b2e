//! Starts a process from a service file or from a command line.

use super::{cgroup::Cgroups, confinement};
use crate::sys::spawn::{Birth, spawn};
use berth_contract::{
    control::JSON_ERRORS,
    fault::{At, Failure, PathError},
    service::{Readiness, ServiceSpec},
};
use rustix::fs::{MemfdFlags, OFlags, fcntl_getfl, fcntl_setfl, memfd_create};
use std::{
    fs::File,
    io::{PipeReader, PipeWriter, Seek, Write},
    path::Path,
    process::{Command, Stdio},
};

/// The environment of every program. A service file can add variables.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LANG", "C.UTF-8")];

/// Starts a service. Returns its main process, and a non-blocking pipe with stdout and stderr of it and its children.
pub(super) fn start(
    name: &str,
    spec: &ServiceSpec,
    environment: &[(String, String)],
    cgroups: &Cgroups,
    notify: &Path,
) -> Result<(u32, PipeReader), Failure> {
    let outfit = confinement::outfit(spec)?;
    let (program, arguments) =
        spec.exec.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let (reader, writer) = pipe(name)?;
    let mut command = command(program, arguments);
    command
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .envs(outfit.environment)
        .envs(&spec.env)
        .stdout(writer.try_clone().at("make a pipe for", name)?)
        .stderr(writer);
    if spec.ready == Readiness::Notify {
        command.env("NOTIFY_SOCKET", notify);
    }
    let birth = Birth {
        cgroup: cgroups.open(name)?,
        limits: confinement::limits(spec),
        oom_score_adjust: spec.oom_score_adjust,
        confinement: outfit.confinement,
    };
    // The child is not waited for here: the event loop reaps all children.
    let child = spawn(command, birth).at("start", program)?;
    Ok((child.id(), reader))
}

/// Where stderr of a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errors {
    /// Into the same pipe as stdout.
    WithOutput,
    /// Into a separate pipe. This also tells hostctl to write its error as JSON.
    Apart,
}

/// Starts a program. Returns its process, the pipe of stdout, and with [`Errors::Apart`] the pipe of stderr. The pipes are non-blocking.
pub(super) fn start_program(
    group: &str,
    words: &[String],
    errors: Errors,
    input: Option<&str>,
    environment: &[(String, String)],
    cgroups: &Cgroups,
) -> Result<(u32, PipeReader, Option<PipeReader>), PathError> {
    let (program, arguments) = words.split_first().map_or(("", &[][..]), |(program, rest)| (program.as_str(), rest));
    let (reader, writer) = pipe(program)?;
    let (errors_reader, errors_writer) = match errors {
        Errors::WithOutput => (None, writer.try_clone().at("make a pipe for", program)?),
        Errors::Apart => {
            let (reader, writer) = pipe(program)?;
            (Some(reader), writer)
        }
    };
    let mut command = command(program, arguments);
    command.envs(environment.iter().map(|(name, value)| (name, value))).stdout(writer).stderr(errors_writer);
    if let Some(input) = input {
        command.stdin(in_memory(input).at("make the input of", program)?);
    }
    if errors == Errors::Apart {
        command.env(JSON_ERRORS, "1");
    }
    let birth = Birth { cgroup: cgroups.open(group)?, ..Birth::default() };
    let child = spawn(command, birth).at("start", program)?;
    Ok((child.id(), reader, errors_reader))
}

fn command(program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
    command
}

/// A file in memory with this text. Unlike a pipe, it takes all of the text at once.
fn in_memory(text: &str) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn pipe(name: &str) -> Result<(PipeReader, PipeWriter), PathError> {
    let (reader, writer) = std::io::pipe().at("make a pipe for", name)?;
    let flags = fcntl_getfl(&reader).at("set up a pipe for", name)?;
    fcntl_setfl(&reader, flags | OFlags::NONBLOCK).at("set up a pipe for", name)?;
    Ok((reader, writer))
}
