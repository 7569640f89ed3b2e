//! Which release a host installs, or why none.

use super::release::{Release, Releases};
use berth_contract::{
    arch::Arch,
    engine::{EngineKind, EngineName, StoreFormat},
    image_spec::ImageSpec,
    release::ReleaseRecord,
    update::Quarantined,
    version::{ImageId, OsVersion},
};
use std::collections::BTreeSet;

/// What a host looks for in a repository.
#[derive(Clone, Copy, Debug)]
pub struct Criteria<'a> {
    /// The running image.
    pub running: &'a ImageSpec,
    /// The channel of the host.
    pub channel: &'a str,
    /// Versions that have failed on the host.
    pub quarantine: &'a [Quarantined],
    /// The version of `--allow-downgrade VERSION` or `--retry VERSION`: selected even if it is older than the running one or has failed
    /// before. Id, architecture and channel must still match.
    pub version: Option<&'a OsVersion>,
}

/// Why no release is selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The repository holds no release that this hostctl understands.
    #[error("the repository holds no release{}", nothing_but(unknown))]
    Empty {
        /// Targets of records that are not understood.
        unknown: Vec<String>,
    },
    /// All releases have another image id.
    #[error("this host runs {running}, but the repository only holds releases of {}", list(found))]
    OtherId {
        /// The id of the running image.
        running: ImageId,
        /// The values in the repository.
        found: Vec<String>,
    },
    /// All releases have another architecture.
    #[error("this host's architecture is {running}, but the repository only holds releases for {}", list(found))]
    OtherArch {
        /// The architecture of the running image.
        running: Arch,
        /// The values in the repository.
        found: Vec<String>,
    },
    /// All releases are in other channels.
    #[error("this host is on channel {wanted}, but the repository only holds releases of channel {}", list(found))]
    OtherChannel {
        /// The channel of the host.
        wanted: String,
        /// The values in the repository.
        found: Vec<String>,
    },
    /// The repository does not hold the requested version.
    #[error("version {wanted} is not in the repository, which holds {}", list(found))]
    NoSuchVersion {
        /// The requested version.
        wanted: OsVersion,
        /// The versions that this host could install.
        found: Vec<String>,
    },
    /// All newer versions have failed on this host.
    #[error("version {version} has failed on this host: {cause}")]
    Quarantined {
        /// The newest version.
        version: OsVersion,
        /// Why it failed.
        cause: String,
    },
    /// This hostctl does not know the engine of the release.
    #[error(
        "version {version} has the container engine {found}, which this hostctl does not know: it knows {}",
        EngineKind::names()
    )]
    UnknownEngine {
        /// The other version.
        version: OsVersion,
        /// Its engine.
        found: EngineName,
    },
    /// The engine of the release cannot use the data in /var.
    #[error(
        "version {version} stores the engine's data as {found}, the running version as {running}: images and containers in /var would be unusable"
    )]
    StoreChange {
        /// The other version.
        version: OsVersion,
        /// The running version's format.
        running: StoreFormat,
        /// The other version's format.
        found: StoreFormat,
    },
}

impl Refusal {
    /// A hint: the next step for the user.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Empty { unknown } if !unknown.is_empty() => {
                "these releases need a newer hostctl: upgrade to an intermediate release first".to_owned()
            }
            Self::Empty { .. } => "publish one with `berth release`".to_owned(),
            Self::OtherId { .. } | Self::OtherArch { .. } => {
                "name a source with releases of this host's image".to_owned()
            }
            Self::OtherChannel { .. } => "set another `[update] channel` in host.toml".to_owned(),
            Self::NoSuchVersion { .. } => "name one of these versions".to_owned(),
            Self::Quarantined { version, .. } => {
                format!("`hostctl why` shows the details; to try it again: `hostctl upgrade --retry {version}`")
            }
            Self::UnknownEngine { found, .. } => {
                format!("upgrade to an intermediate release first, whose hostctl knows {found}")
            }
            Self::StoreChange { found, .. } => {
                format!("save the data that you need, then allow the change: `--allow-store-change {found}`")
            }
        }
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn nothing_but(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" that this hostctl understands, only {}", list(names)) }
}

/// Selects the newest release that matches, or the requested version. `None`: the running version is the newest.
///
/// # Errors
/// [`Refusal`] when the repository holds releases, but none that this host may install.
pub fn select<'a>(criteria: &Criteria<'_>, releases: &'a Releases) -> Result<Option<&'a Release>, Refusal> {
    let matching = matching(criteria, releases)?;
    match criteria.version {
        Some(version) => requested(version, criteria.running, &matching),
        None => newest(criteria, &matching),
    }
}

/// The release of the version that the criteria name, for an installed version: it may also be the running one.
///
/// # Errors
/// [`Refusal`] when the repository holds no releases for this host.
pub fn installed<'a>(criteria: &Criteria<'_>, releases: &'a Releases) -> Result<Option<&'a Release>, Refusal> {
    let is_it = |release: &&Release| criteria.version == Some(&release.custom.version);
    Ok(matching(criteria, releases)?.into_iter().find(is_it))
}

/// The releases of the id, architecture and channel of this host, newest first.
fn matching<'a>(criteria: &Criteria<'_>, releases: &'a Releases) -> Result<Vec<&'a Release>, Refusal> {
    let running = criteria.running;
    let mut left: Vec<&Release> = releases.known.iter().collect();
    if left.is_empty() {
        return Err(Refusal::Empty { unknown: releases.unknown.clone() });
    }
    let mut keep = |matches: &dyn Fn(&Release) -> bool, name: &dyn Fn(&Release) -> String| {
        let found: BTreeSet<String> = left.iter().map(|release| name(release)).collect();
        left.retain(|release| matches(release));
        if left.is_empty() { Err(found.into_iter().collect()) } else { Ok(()) }
    };
    keep(&|release| release.custom.id == running.id, &|release| release.custom.id.to_string())
        .map_err(|found| Refusal::OtherId { running: running.id.clone(), found })?;
    keep(&|release| release.custom.arch == running.arch, &|release| release.custom.arch.to_string())
        .map_err(|found| Refusal::OtherArch { running: running.arch, found })?;
    keep(&|release| release.custom.channel == criteria.channel, &|release| release.custom.channel.clone())
        .map_err(|found| Refusal::OtherChannel { wanted: criteria.channel.to_owned(), found })?;
    left.sort_by(|a, b| b.custom.version.cmp(&a.custom.version));
    Ok(left)
}

fn requested<'a>(
    version: &OsVersion,
    running: &ImageSpec,
    matching: &[&'a Release],
) -> Result<Option<&'a Release>, Refusal> {
    if *version == running.version {
        return Ok(None);
    }
    let found = || matching.iter().map(|release| release.custom.version.to_string()).collect();
    match matching.iter().find(|release| release.custom.version == *version) {
        Some(release) => Ok(Some(release)),
        None => Err(Refusal::NoSuchVersion { wanted: version.clone(), found: found() }),
    }
}

fn newest<'a>(criteria: &Criteria<'_>, matching: &[&'a Release]) -> Result<Option<&'a Release>, Refusal> {
    let failed = |release: &&&Release| {
        let custom = &release.custom;
        criteria.quarantine.iter().find(|failed| failed.id == custom.id && failed.version == custom.version)
    };
    let running = &criteria.running.version;
    let newer: Vec<_> = matching.iter().filter(|release| release.custom.version > *running).collect();
    match (newer.iter().find(|release| failed(release).is_none()), newer.first()) {
        (Some(release), _) => Ok(Some(release)),
        (None, Some(newest)) => Err(Refusal::Quarantined {
            version: newest.custom.version.clone(),
            cause: failed(newest).map(|failed| failed.cause.clone()).unwrap_or_default(),
        }),
        (None, None) => Ok(None),
    }
}

/// Refuses a release whose engine this hostctl does not know, or whose engine cannot use the data that the running engine has in /var, unless its format is `allowed`. An image without
/// an engine has the format `none`. A host without an engine accepts every format, because it has no such data.
///
/// # Errors
/// [`Refusal::UnknownEngine`], [`Refusal::StoreChange`].
pub fn check_engine(running: &ImageSpec, record: &ReleaseRecord, allowed: Option<&StoreFormat>) -> Result<(), Refusal> {
    let unknown = record.engine.as_ref().filter(|engine| engine.kind.kind().is_none());
    if let Some(engine) = unknown {
        return Err(Refusal::UnknownEngine { version: record.version.clone(), found: engine.kind.clone() });
    }
    let Some(engine) = &running.engine else { return Ok(()) };
    let now = StoreFormat::of(engine.kind, &engine.version);
    let then = record.engine.as_ref().map_or_else(|| StoreFormat::None, |engine| engine.store.clone());
    if now == then || allowed == Some(&then) {
        return Ok(());
    }
    Err(Refusal::StoreChange { version: record.version.clone(), running: now, found: then })
}
