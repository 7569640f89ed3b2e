//! What docker says of itself and its containers: its HTTP API (docs.docker.com/reference/api/engine) over its Unix socket.
//!
//! Requests are HTTP/1.0, so that an answer ends with its connection and comes in one piece.

use berth_contract::container::LABEL;
use serde_json::Value;
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// Longest answer, in bytes.
const LONGEST: u64 = 8 << 20;
/// How long it may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why docker has not said what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// It does not answer.
    #[error("{}: {source}", socket.display())]
    Silent {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refuses.
    #[error("GET {target}: status {status}: {message}")]
    Refused {
        /// What was asked.
        target: String,
        /// Of HTTP.
        status: u16,
        /// Its own words.
        message: String,
    },
    /// It answers something else.
    #[error("GET {target}: expected {wanted}, found {found:?}")]
    Unexpected {
        /// What was asked.
        target: String,
        /// What should have come.
        wanted: &'static str,
        /// The beginning of what came.
        found: String,
    },
}

/// A container as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// docker's word: `running`, `restarting`, `exited`, ...
    pub status: String,
    /// How it last ended.
    pub exit_code: i64,
    /// Why it could not be started; empty where it could.
    pub error: String,
    /// Name of its restart policy.
    pub policy: String,
    /// Whether the host has made it, from a declaration.
    pub is_declared: bool,
    /// How often docker has started it again.
    pub restarts: u64,
    /// Its process; 0 where there is none.
    pub pid: u64,
}

impl Container {
    /// Whether it runs. docker's `Running` is no answer: it is true as well of one that has ended and waits to be started again.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.status == "running"
    }

    /// Whether docker starts it at each boot. `on-failure` is for jobs, which may end.
    #[must_use]
    pub fn is_kept_up(&self) -> bool {
        matches!(self.policy.as_str(), "always" | "unless-stopped")
    }

    /// Whether it is down because somebody has stopped it. docker has tried to start every other one of this policy by the time it
    /// answers, and says of those that it could not why.
    #[must_use]
    pub fn is_stopped_on_purpose(&self) -> bool {
        self.policy == "unless-stopped" && self.status == "exited" && self.error.is_empty()
    }
}

/// dockerd behind its socket.
#[derive(Clone, Debug)]
pub struct Docker {
    socket: PathBuf,
}

impl Docker {
    /// The daemon that listens there.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn ping(&self) -> Result<(), DockerError> {
        self.get("/_ping").map(drop)
    }

    /// A container; none when there is none of that name.
    ///
    /// # Errors
    /// When docker does not say.
    pub fn container(&self, name: &str) -> Result<Option<Container>, DockerError> {
        let target = format!("/containers/{}/json", encoded(name));
        let found = match self.get(&target) {
            Err(DockerError::Refused { status: 404, .. }) => return Ok(None),
            answer => json(&target, &answer?)?,
        };
        let state = &found["State"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Some(Container {
            status: text(&state["Status"]),
            exit_code: state["ExitCode"].as_i64().unwrap_or(0),
            error: text(&state["Error"]),
            policy: text(&found["HostConfig"]["RestartPolicy"]["Name"]),
            is_declared: found["Config"]["Labels"][LABEL].is_string(),
            restarts: found["RestartCount"].as_u64().unwrap_or(0),
            pid: state["Pid"].as_u64().unwrap_or(0),
        }))
    }

    /// Whether there is any container, running or not, that the host has not made itself.
    ///
    /// # Errors
    /// When docker does not say.
    pub fn has_any_undeclared(&self) -> Result<bool, DockerError> {
        let target = "/containers/json?all=1";
        let list = json(target, &self.get(target)?)?;
        Ok(list.as_array().into_iter().flatten().any(|one| !one["Labels"][LABEL].is_string()))
    }

    /// Names of all containers that run.
    ///
    /// # Errors
    /// When docker does not say.
    pub fn running(&self) -> Result<Vec<String>, DockerError> {
        let target = "/containers/json";
        let list = json(target, &self.get(target)?)?;
        let names = list.as_array().into_iter().flatten().filter_map(|one| one["Names"][0].as_str());
        Ok(names.map(|name| name.trim_start_matches('/').to_owned()).collect())
    }

    fn get(&self, target: &str) -> Result<Vec<u8>, DockerError> {
        let silent = |source| DockerError::Silent { socket: self.socket.clone(), source };
        let answer = self.exchange(target).map_err(silent)?;
        let unexpected = |wanted| DockerError::Unexpected {
            target: target.to_owned(),
            wanted,
            found: String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned(),
        };
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(|| unexpected("an HTTP answer"))?;
        let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
        let status = head.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
        match status.ok_or_else(|| unexpected("a status line"))? {
            200 => Ok(body.to_vec()),
            status => {
                let said: Option<Value> = serde_json::from_slice(body).ok();
                let message = said.and_then(|said| said["message"].as_str().map(str::to_owned));
                let plain = || String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned();
                Err(DockerError::Refused { target: target.to_owned(), status, message: message.unwrap_or_else(plain) })
            }
        }
    }

    fn exchange(&self, target: &str) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

fn json(target: &str, body: &[u8]) -> Result<Value, DockerError> {
    serde_json::from_slice(body).map_err(|_| DockerError::Unexpected {
        target: target.to_owned(),
        wanted: "JSON",
        found: String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned(),
    })
}

/// Percent-encodes what is no part of a path's segment.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
