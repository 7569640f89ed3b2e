//! The subject of a verdict: the part of the host that is not healthy.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A part of the host. In JSON it is an object with `kind` and, for some kinds, `name`: `{"kind":"service","name":"netd"}`,
/// `{"kind":"time"}`.
///
/// A record of another OS version may have a kind that this version does not know. Such a subject is kept unchanged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub enum Subject {
    /// `image`: the description of the image.
    Image,
    /// `init`: init itself, or a problem that init reports about a service file.
    Init,
    /// `phase`: a phase of the boot.
    Phase(String),
    /// `host.toml`: the machine configuration.
    HostConfig,
    /// `service`: a service.
    Service(String),
    /// `engine`: the container engine.
    Engine(String),
    /// `container`: a required container.
    Container(String),
    /// `checks`: the list of health checks.
    Checks,
    /// `check`: a health check of the image or of host.toml.
    Check(String),
    /// `baseline-file`: the file that lists what worked before an update.
    BaselineFile,
    /// `baseline-route`: the default route, which existed before an update.
    BaselineRoute,
    /// `baseline-name`: a host name that was resolved before an update.
    BaselineName(String),
    /// `baseline-container`: a container that ran before an update.
    BaselineContainer(String),
    /// `boot-entry`: the boot entry of the running version.
    BootEntry,
    /// `bless`: `hostctl bless`, the program that checks the host's health.
    Bless,
    /// `time`: there was no verdict within the time limit.
    Time,
    /// A part that this program does not know.
    Other {
        /// Its kind.
        kind: String,
        /// Its name, if it has one.
        name: Option<String>,
    },
}

/// A [`Subject`] in its JSON form.
#[derive(Serialize, Deserialize)]
struct Parts {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Subject {
    /// Changes the name of the subject, if it has one.
    #[must_use]
    pub fn renamed(self, change: impl FnOnce(String) -> String) -> Self {
        let Parts { kind, name } = self.into();
        Parts { kind, name: name.map(change) }.into()
    }

    fn parts(&self) -> (&str, Option<&str>) {
        match self {
            Self::Image => ("image", None),
            Self::Init => ("init", None),
            Self::Phase(name) => ("phase", Some(name)),
            Self::HostConfig => ("host.toml", None),
            Self::Service(name) => ("service", Some(name)),
            Self::Engine(name) => ("engine", Some(name)),
            Self::Container(name) => ("container", Some(name)),
            Self::Checks => ("checks", None),
            Self::Check(name) => ("check", Some(name)),
            Self::BaselineFile => ("baseline-file", None),
            Self::BaselineRoute => ("baseline-route", None),
            Self::BaselineName(name) => ("baseline-name", Some(name)),
            Self::BaselineContainer(name) => ("baseline-container", Some(name)),
            Self::BootEntry => ("boot-entry", None),
            Self::Bless => ("bless", None),
            Self::Time => ("time", None),
            Self::Other { kind, name } => (kind, name.as_deref()),
        }
    }
}

impl From<Parts> for Subject {
    fn from(Parts { kind, name }: Parts) -> Self {
        match (kind.as_str(), name) {
            ("image", None) => Self::Image,
            ("init", None) => Self::Init,
            ("phase", Some(name)) => Self::Phase(name),
            ("host.toml", None) => Self::HostConfig,
            ("service", Some(name)) => Self::Service(name),
            ("engine", Some(name)) => Self::Engine(name),
            ("container", Some(name)) => Self::Container(name),
            ("checks", None) => Self::Checks,
            ("check", Some(name)) => Self::Check(name),
            ("baseline-file", None) => Self::BaselineFile,
            ("baseline-route", None) => Self::BaselineRoute,
            ("baseline-name", Some(name)) => Self::BaselineName(name),
            ("baseline-container", Some(name)) => Self::BaselineContainer(name),
            ("boot-entry", None) => Self::BootEntry,
            ("bless", None) => Self::Bless,
            ("time", None) => Self::Time,
            (_, name) => Self::Other { kind, name },
        }
    }
}

impl From<Subject> for Parts {
    fn from(subject: Subject) -> Self {
        let (kind, name) = subject.parts();
        Self { kind: kind.to_owned(), name: name.map(str::to_owned) }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootEntry => f.write_str("boot entry"),
            // The sentence in the verdict names the part of the baseline.
            Self::BaselineFile | Self::BaselineRoute | Self::BaselineName(_) | Self::BaselineContainer(_) => {
                f.write_str("baseline")
            }
            _ => match self.parts() {
                (kind, None) => f.write_str(kind),
                (kind, Some(name)) => write!(f, "{kind} {name}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every subject, its JSON and its text.
    #[test]
    fn each_subject_has_its_json_and_its_text() {
        let named = |make: fn(String) -> Subject| make("x".to_owned());
        let other = |name: Option<&str>| Subject::Other { kind: "disk".into(), name: name.map(str::to_owned) };
        for (subject, json, text) in [
            (Subject::Image, r#"{"kind":"image"}"#, "image"),
            (Subject::Init, r#"{"kind":"init"}"#, "init"),
            (named(Subject::Phase), r#"{"kind":"phase","name":"x"}"#, "phase x"),
            (Subject::HostConfig, r#"{"kind":"host.toml"}"#, "host.toml"),
            (named(Subject::Service), r#"{"kind":"service","name":"x"}"#, "service x"),
            (named(Subject::Engine), r#"{"kind":"engine","name":"x"}"#, "engine x"),
            (named(Subject::Container), r#"{"kind":"container","name":"x"}"#, "container x"),
            (Subject::Checks, r#"{"kind":"checks"}"#, "checks"),
            (named(Subject::Check), r#"{"kind":"check","name":"x"}"#, "check x"),
            (Subject::BaselineFile, r#"{"kind":"baseline-file"}"#, "baseline"),
            (Subject::BaselineRoute, r#"{"kind":"baseline-route"}"#, "baseline"),
            (named(Subject::BaselineName), r#"{"kind":"baseline-name","name":"x"}"#, "baseline"),
            (named(Subject::BaselineContainer), r#"{"kind":"baseline-container","name":"x"}"#, "baseline"),
            (Subject::BootEntry, r#"{"kind":"boot-entry"}"#, "boot entry"),
            (Subject::Bless, r#"{"kind":"bless"}"#, "bless"),
            (Subject::Time, r#"{"kind":"time"}"#, "time"),
            (other(None), r#"{"kind":"disk"}"#, "disk"),
            (other(Some("x")), r#"{"kind":"disk","name":"x"}"#, "disk x"),
        ] {
            assert_eq!(serde_json::to_string(&subject).unwrap(), json);
            assert_eq!(serde_json::from_str::<Subject>(json).unwrap(), subject);
            assert_eq!(subject.to_string(), text);
        }
        assert_eq!(named(Subject::Check).renamed(|name| name + "y"), Subject::Check("xy".into()));
        assert_eq!(Subject::Time.renamed(|name| name + "y"), Subject::Time);
    }
}
