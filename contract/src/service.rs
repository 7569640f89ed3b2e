//! Services of the host: `/usr/lib/berth/services/NAME.toml`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One service. Its name is the file's name without `.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Program (absolute path) and arguments. No shell is involved.
    pub exec: Vec<String>,
    /// Services that must be ready before this one starts.
    #[serde(default)]
    pub needs: Vec<String>,
    /// When it counts as ready.
    #[serde(default)]
    pub ready: Readiness,
    /// When it is restarted.
    #[serde(default)]
    pub restart: Restart,
    /// Further environment variables. Every service has PATH, HOME=/root and LANG=C.UTF-8.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory.
    #[serde(default = "root_directory")]
    pub workdir: String,
    /// Seconds from SIGTERM to SIGKILL when it is stopped.
    #[serde(default = "stop_timeout")]
    pub stop_timeout: u32,
    /// Time limit in seconds: if it is not ready after this time, it counts as failed.
    #[serde(default = "start_timeout")]
    pub start_timeout: u32,
    /// The kernel's out-of-memory adjustment, -1000 to 1000.
    #[serde(default)]
    pub oom_score_adjust: i32,
    /// Limit of open files: RLIMIT_NOFILE, soft and hard.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Whether the service manages the control groups below its own, as container engines do.
    #[serde(default)]
    pub delegate: bool,
    /// Whether its child processes keep running when it stops or dies, as containerd's shims must.
    #[serde(default)]
    pub keep_children: bool,
    /// Whether the host is healthy only while this service is ready.
    #[serde(default = "yes")]
    pub required: bool,
}

/// When a service counts as ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Readiness {
    /// As soon as it has been started.
    #[default]
    Started,
    /// When a program listens on the Unix socket at this path.
    Socket(String),
    /// When it sends `READY=1`, as sd_notify(3) does.
    Notify,
    /// When it has exited with status 0 (a one-shot service).
    Exit,
}

/// When a service is restarted after it exited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always, with a growing delay.
    #[default]
    Always,
    /// When it failed: a status other than 0, a signal, or a start that took too long.
    OnFailure,
    /// Never.
    No,
}

fn root_directory() -> String {
    "/".to_owned()
}
fn stop_timeout() -> u32 {
    10
}
fn start_timeout() -> u32 {
    90
}
fn yes() -> bool {
    true
}

impl ServiceSpec {
    /// Checks the rules that serde cannot express. Returns the first fault as a sentence.
    ///
    /// # Errors
    /// A missing or relative program path, a relative socket path, an adjustment out of range.
    pub fn check(&self) -> Result<(), String> {
        match self.exec.first() {
            Some(program) if program.starts_with('/') => {}
            found => return Err(format!("exec: expected the absolute path of a program, found {found:?}")),
        }
        if !(-1000..=1000).contains(&self.oom_score_adjust) {
            return Err(format!("oom_score_adjust: expected -1000 to 1000, found {}", self.oom_score_adjust));
        }
        match &self.ready {
            Readiness::Socket(path) if !path.starts_with('/') => {
                Err(format!("ready: expected a socket's absolute path, found {path:?}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_examples_are_read() {
        let spec: ServiceSpec = toml::from_str(
            "exec = ['/usr/bin/containerd']\nneeds = ['netd']\nready = { socket = '/run/containerd/containerd.sock' }\ndelegate = true\n",
        )
        .unwrap();
        assert_eq!(spec.ready, Readiness::Socket("/run/containerd/containerd.sock".into()));
        spec.check().unwrap();
        let one_shot: ServiceSpec =
            toml::from_str("exec = ['/bin/x']\nready = 'exit'\nrestart = 'on-failure'").unwrap();
        assert_eq!((one_shot.ready.clone(), one_shot.restart), (Readiness::Exit, Restart::OnFailure));
        assert!(toml::from_str::<ServiceSpec>("exec = ['x']\nnedds = []").is_err());
        assert!(ServiceSpec { exec: vec!["x".into()], ..one_shot }.check().is_err());
    }
}
