//! Containers as an engine reports them.

use berth_contract::container_state::ContainerState;
use std::path::PathBuf;

/// The state of a container when it was inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Value of the label [`berth_contract::container::LABEL`]; `None` if the container is not a declared one.
    pub label: Option<String>,
    /// Name of its image, as it was given when the container was made.
    pub image: String,
    /// Its state.
    pub state: ContainerState,
    /// Exit status of its last run.
    pub exit_code: i64,
    /// Why it could not be started; `None` if it could.
    pub error: Option<String>,
    /// When the engine restarts it.
    pub policy: RestartPolicy,
    /// How often the engine has restarted it by its restart policy.
    pub restarts: u64,
    /// Its process id; 0 if it does not run.
    pub pid: u64,
    /// Whether it uses the network of another container.
    pub shares_network: bool,
    /// Whether it has no network.
    pub has_no_network: bool,
    /// The host's file that is its `/etc/resolv.conf`, written when it is started. A container that uses the network of another one has the
    /// same file.
    pub resolv_conf: Option<PathBuf>,
}

/// When an engine restarts a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whenever it exits, and at boot.
    Always,
    /// Whenever it exits, and at boot, unless a user has stopped it.
    UnlessStopped,
    /// Not at boot. `on-failure` is one of these: it is for jobs, which may finish.
    Otherwise,
}

impl Container {
    /// Whether it runs now. A container that has exited and waits for its restart does not run.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// Whether it was created from a declaration in the recipe or in host.toml.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.label.is_some()
    }

    /// Whether the engine starts it at each boot.
    #[must_use]
    pub fn is_kept_up(&self) -> bool {
        matches!(self.policy, RestartPolicy::Always | RestartPolicy::UnlessStopped)
    }

    /// Whether a user has stopped it. When the engine answers, it has already tried to start every other container with the policy
    /// `unless-stopped`. It reports an error for those that it could not start.
    #[must_use]
    pub fn is_stopped_on_purpose(&self) -> bool {
        self.policy == RestartPolicy::UnlessStopped && self.state == ContainerState::Exited && self.error.is_none()
    }
}

/// Which containers to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All containers.
    All,
    /// Containers that run.
    Running,
    /// Containers that were created from a declaration, running or not.
    Declared,
}

/// A container in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// See [`Container::label`].
    pub label: Option<String>,
}
