//! Containers as an engine tells of them.

use berth_contract::container_state::ContainerState;

/// A container that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Value of the label [`berth_contract::container::LABEL`]; none when the host has not made the container.
    pub label: Option<String>,
    /// What it does.
    pub state: ContainerState,
    /// Status of its last end.
    pub exit_code: i64,
    /// Why it could not be started, where that is so.
    pub error: Option<String>,
    /// When the engine starts it again.
    pub policy: RestartPolicy,
    /// How often the engine has started it again by itself.
    pub restarts: u64,
    /// Its process; 0 where there is none.
    pub pid: u64,
}

/// When an engine starts a container again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whenever it has ended, and at boot.
    Always,
    /// The same, unless somebody has stopped it.
    UnlessStopped,
    /// Not at boot: `on-failure` is for jobs, which may end.
    Otherwise,
}

impl Container {
    /// Whether it runs now. A container that has ended and waits to be started again does not.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// Whether the host has made it, from a declaration.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.label.is_some()
    }

    /// Whether the engine starts it at each boot.
    #[must_use]
    pub fn is_kept_up(&self) -> bool {
        matches!(self.policy, RestartPolicy::Always | RestartPolicy::UnlessStopped)
    }

    /// Whether it is down because somebody has stopped it. The engine has tried to start every other container of this policy by the
    /// time it answers, and gives an error for those that it could not start.
    #[must_use]
    pub fn is_stopped_on_purpose(&self) -> bool {
        self.policy == RestartPolicy::UnlessStopped && self.state == ContainerState::Exited && self.error.is_none()
    }
}

/// Which containers to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// All of them.
    All,
    /// Those that run.
    Running,
    /// Those that the host has made, running or not.
    Declared,
}

/// A container in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// As [`Container::label`].
    pub label: Option<String>,
}
