//! The words that hostd and its clients agree on: roles, and what a role may ask for.

use crate::{container_state::ContainerState, control::Request, version::OsVersion};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The domain of the names in clients' certificates. It is for private use (`.internal`), so no public authority signs such a name.
const DOMAIN: &str = ".berth.internal";

/// The protocol names of HTTP Upgrade: the control protocol, and the API of the container engine.
pub const CONTROL_PROTOCOL: &str = "berth-control";
/// See [`CONTROL_PROTOCOL`].
pub const ENGINE_PROTOCOL: &str = "berth-engine";
/// Path of the tunnel to the control protocol.
pub const CONTROL_PATH: &str = "/v1/control";
/// Path of the tunnel to the container engine's API.
pub const ENGINE_PATH: &str = "/v1/engine";

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything but secrets.
    Read,
    /// Everything, which includes the container engine and so the whole host.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 2] = [Self::Read, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The DNS name that gives a certificate this role.
    #[must_use]
    pub fn dns_name(self) -> String {
        format!("{}{DOMAIN}", self.name())
    }

    /// The role that a DNS name gives.
    #[must_use]
    pub fn of_dns_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.dns_name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The DNS name in a certificate that says who the client is, for the host's log. `user` is one label of a DNS name.
#[must_use]
pub fn user_dns_name(user: &str) -> String {
    format!("{user}.user{DOMAIN}")
}

/// The user that a DNS name of a certificate names.
#[must_use]
pub fn user_of_dns_name(name: &str) -> Option<&str> {
    name.strip_suffix(DOMAIN)?.strip_suffix(".user").filter(|user| is_user(user))
}

/// Whether a name can be that of a user: one label of a DNS name, in lower case.
#[must_use]
pub fn is_user(name: &str) -> bool {
    let good = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(good) && !name.starts_with('-') && !name.ends_with('-')
}

/// The commands of hostctl that a client may run on the host, with the role that is needed. A command is the first words of the arguments.
/// Commands that are not here are for programs of the host only.
const COMMANDS: &[(&[&str], Role)] = &[
    (&["config"], Role::Admin),
    (&["containers", "list"], Role::Read),
    (&["containers", "restart"], Role::Admin),
    (&["logs"], Role::Read),
    (&["network"], Role::Read),
    (&["reset"], Role::Admin),
    (&["rollback"], Role::Admin),
    (&["slot"], Role::Admin),
    (&["slots"], Role::Read),
    (&["support"], Role::Admin),
    (&["update"], Role::Admin),
    (&["upgrade"], Role::Admin),
    (&["why"], Role::Read),
];

/// The role that a request of the control protocol needs. `None`: a client of hostd may not send it.
#[must_use]
pub fn role_for(request: &Request) -> Option<Role> {
    match request {
        Request::Status
        | Request::Boot
        | Request::Services
        | Request::Logs { .. }
        | Request::AllLogs { .. }
        | Request::WaitReady
        | Request::Cancel { .. } => Some(Role::Read),
        Request::Restart { .. }
        | Request::Reboot
        | Request::Poweroff
        | Request::RebootWithin { .. }
        | Request::PoweroffWithin { .. } => Some(Role::Admin),
        Request::Announce { .. } | Request::Configure { .. } => None,
        Request::Run { arguments, input: _ } => {
            // Options of hostctl itself may also stand behind the command: they would lead to other sockets, as root.
            let is_own = |word: &String| matches!(word.split('=').next(), Some("--connect" | "--host"));
            if arguments.iter().any(is_own) {
                return None;
            }
            let begins =
                |words: &[&str]| arguments.iter().zip(words).filter(|(one, word)| one == *word).count() == words.len();
            COMMANDS.iter().find(|(words, _)| begins(words)).map(|(_, role)| *role)
        }
    }
}

/// What `POST /v1/upgrade` installs, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct UpgradeRequest {
    /// Where to get releases. Default: the update source of the host.
    pub source: Option<String>,
    /// How far to go.
    pub until: UpgradeEnd,
    /// Whether to reboot when a version was installed.
    pub reboot: bool,
    /// Install this version even if it is older than the running one.
    pub allow_downgrade: Option<OsVersion>,
    /// Install this version even if it has failed on this host.
    pub retry: Option<OsVersion>,
}

/// How far an upgrade goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeEnd {
    /// The new version boots next.
    #[default]
    Entry,
    /// The new version is in the slot, but has no boot entry.
    Stage,
    /// Nothing is changed; what would change is reported.
    DryRun,
    /// Nothing is changed; only whether there is a newer version is reported.
    Check,
}

impl UpgradeRequest {
    /// The arguments for hostctl.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["upgrade".to_owned(), "--json".to_owned()];
        arguments.extend(match self.until {
            UpgradeEnd::Entry => None,
            UpgradeEnd::Stage => Some("--stage".to_owned()),
            UpgradeEnd::DryRun => Some("--dry-run".to_owned()),
            UpgradeEnd::Check => Some("--check".to_owned()),
        });
        arguments.extend(self.reboot.then(|| "--reboot".to_owned()));
        arguments.extend(self.allow_downgrade.iter().map(|version| format!("--allow-downgrade={version}")));
        arguments.extend(self.retry.iter().map(|version| format!("--retry={version}")));
        if let Some(source) = &self.source {
            arguments.extend(["--".to_owned(), source.clone()]);
        }
        arguments
    }
}

/// What `POST /v1/rollback` does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RollbackRequest {
    /// The version; needed if it has failed before, or if its engine may not be able to read the data in /var.
    pub version: Option<OsVersion>,
    /// Whether to reboot when done.
    pub reboot: bool,
}

impl RollbackRequest {
    /// The arguments for hostctl.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["rollback".to_owned()];
        arguments.extend(self.reboot.then(|| "--reboot".to_owned()));
        arguments.extend(self.version.iter().map(ToString::to_string));
        arguments
    }
}

/// The output of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Output {
    /// Its lines.
    pub lines: Vec<String>,
}

/// A container of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerInfo {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// Its state.
    pub state: ContainerState,
    /// Whether recipe or host.toml declares it.
    pub declared: bool,
    /// Exit status of its last run, if it does not run.
    pub exit_code: Option<i64>,
    /// How often the engine has restarted it.
    pub restarts: u64,
    /// Why it could not be started.
    pub error: Option<String>,
}

/// A line of a container's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerLine {
    /// When it was written, in nanoseconds since 1970. Absent if the engine does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ns: Option<i64>,
    /// Where it was written.
    pub stream: OutputStream,
    /// The text, without the line break.
    pub text: String,
}

/// An output of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_certificates_are_read_back() {
        for role in Role::ALL {
            assert_eq!(Role::of_dns_name(&role.dns_name()), Some(role));
        }
        assert_eq!(Role::of_dns_name("admin.example.org"), None);
        assert_eq!(user_of_dns_name(&user_dns_name("ann")), Some("ann"));
        for bad in ["ann.berth.internal", "a.b.user.berth.internal", ".user.berth.internal", "A.user.berth.internal"] {
            assert_eq!(user_of_dns_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_value_of_a_request_becomes_an_option_of_hostctl() {
        let upgrade: UpgradeRequest =
            serde_json::from_str(r#"{"source":"--reboot","until":"dry-run","retry":"2"}"#).unwrap();
        assert_eq!(upgrade.arguments(), ["upgrade", "--json", "--dry-run", "--retry=2", "--", "--reboot"]);
        assert_eq!(UpgradeRequest::default().arguments(), ["upgrade", "--json"]);
        assert!(serde_json::from_str::<UpgradeRequest>(r#"{"retry":"--reboot"}"#).is_err());
        assert!(serde_json::from_str::<RollbackRequest>(r#"{"version":"-x"}"#).is_err());
        assert!(serde_json::from_str::<RollbackRequest>(r#"{"versio":"1"}"#).is_err());
        let back: RollbackRequest = serde_json::from_str(r#"{"version":"1","reboot":true}"#).unwrap();
        assert_eq!(back.arguments(), ["rollback", "--reboot", "1"]);
    }

    #[test]
    fn a_reader_changes_nothing_and_nobody_runs_what_is_for_init() {
        let run = |words: &[&str]| {
            let arguments = words.iter().map(|&word| word.to_owned()).collect();
            Request::Run { arguments, input: None }
        };
        for (request, role) in [
            (Request::Status, Some(Role::Read)),
            (Request::Reboot, Some(Role::Admin)),
            (run(&["why", "--json"]), Some(Role::Read)),
            (run(&["upgrade"]), Some(Role::Admin)),
            (run(&["logs", "--list-boots"]), Some(Role::Read)),
            (run(&["containers", "restart", "x"]), Some(Role::Admin)),
            (run(&["containers"]), None),
            (run(&["--connect", "unix:/x", "why"]), None),
            (run(&["why", "--connect=unix:/x"]), None),
            (run(&["logs", "--host", "x"]), None),
            (run(&["bless"]), None),
            (run(&[]), None),
        ] {
            assert_eq!(role_for(&request), role, "{request:?}");
        }
        assert!(Role::Read < Role::Admin);
    }
}
