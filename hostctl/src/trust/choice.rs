//! Which release a host takes, and why none.

use super::{Release, Releases};
use berth_contract::{
    arch::Arch,
    engine::StoreFormat,
    image_spec::ImageSpec,
    release::ReleaseRecord,
    update::Quarantined,
    version::{ImageId, OsVersion},
};
use std::collections::BTreeSet;

/// What a host is looking for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The version that runs.
    pub running: &'a ImageSpec,
    /// Its channel.
    pub channel: &'a str,
    /// Versions that have failed on it.
    pub quarantine: &'a [Quarantined],
    /// A version asked for by name (`--allow-downgrade VERSION`, `--retry VERSION`): it is taken though it be older than the
    /// running one or have failed before. Id, architecture and channel must fit all the same.
    pub named: Option<&'a OsVersion>,
}

/// What it finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// Nothing newer than what runs.
    Current,
    /// This one.
    Newer(&'a Release),
    /// Nothing that it may take.
    Refused(Refusal),
}

/// Why a release is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No release at all.
    #[error("the repository holds no release{}", nothing_but(unknown))]
    Empty {
        /// Records that cannot be understood.
        unknown: Vec<String>,
    },
    /// Only other images.
    #[error("this host runs {running}, and the repository only holds releases of {}", list(found))]
    OtherId {
        /// The image that runs.
        running: ImageId,
        /// Those in the repository.
        found: Vec<String>,
    },
    /// Only other machines.
    #[error("this host's architecture is {running}, and the repository only holds releases for {}", list(found))]
    OtherArch {
        /// The architecture of the image that runs.
        running: Arch,
        /// Those in the repository.
        found: Vec<String>,
    },
    /// Only other channels.
    #[error("this host is on channel {wanted}, and the repository only holds releases of channel {}", list(found))]
    OtherChannel {
        /// The host's.
        wanted: String,
        /// Those in the repository.
        found: Vec<String>,
    },
    /// The version that was asked for is not there.
    #[error("version {wanted} is not in the repository, which holds {}", list(found))]
    NoSuchVersion {
        /// Asked for.
        wanted: OsVersion,
        /// Those that this host could take.
        found: Vec<String>,
    },
    /// The only newer versions have failed here.
    #[error("version {version} has failed on this host: {cause}")]
    Quarantined {
        /// The newest of them.
        version: OsVersion,
        /// Why it failed.
        cause: String,
    },
    /// The engine of the other version cannot use the data that the engine has in /var.
    #[error(
        "version {version} keeps the engine's data as {found}, the running version as {running}: images and containers in /var would be out of reach"
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
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Empty { unknown } if !unknown.is_empty() => {
                "these releases need a newer hostctl: go by a release in between".to_owned()
            }
            Self::Empty { .. } => "publish one with `berth release`".to_owned(),
            Self::OtherId { .. } | Self::OtherArch { .. } => "name the source of this host's own image".to_owned(),
            Self::OtherChannel { .. } => "set another `[update] channel` in host.toml".to_owned(),
            Self::NoSuchVersion { .. } => "name one of these".to_owned(),
            Self::Quarantined { version, .. } => {
                format!("`hostctl why` tells more; to try it again: `hostctl upgrade --retry {version}`")
            }
            Self::StoreChange { found, .. } => {
                format!("save what is needed of them, then allow it by name: `--allow-store-change {found}`")
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
    if names.is_empty() { String::new() } else { format!(" that can be understood, but {}", list(names)) }
}

/// Picks the newest release that fits, or the one that is asked for by name.
#[must_use]
pub fn choose<'a>(wish: &Wish<'_>, releases: &'a Releases) -> Choice<'a> {
    match fitting(wish, releases) {
        Ok(fitting) => pick(wish, &fitting),
        Err(refusal) => Choice::Refused(refusal),
    }
}

/// Releases of this image, for this machine, on this channel, the newest first.
fn fitting<'a>(wish: &Wish<'_>, releases: &'a Releases) -> Result<Vec<&'a Release>, Refusal> {
    let running = wish.running;
    let mut left: Vec<&Release> = releases.known.iter().collect();
    if left.is_empty() {
        return Err(Refusal::Empty { unknown: releases.unknown.clone() });
    }
    let mut keep = |fits: &dyn Fn(&Release) -> bool, name: &dyn Fn(&Release) -> String| {
        let found: BTreeSet<String> = left.iter().map(|release| name(release)).collect();
        left.retain(|release| fits(release));
        if left.is_empty() { Err(found.into_iter().collect()) } else { Ok(()) }
    };
    keep(&|release| release.custom.id == running.id, &|release| release.custom.id.to_string())
        .map_err(|found| Refusal::OtherId { running: running.id.clone(), found })?;
    keep(&|release| release.custom.arch == running.arch, &|release| release.custom.arch.to_string())
        .map_err(|found| Refusal::OtherArch { running: running.arch, found })?;
    keep(&|release| release.custom.channel == wish.channel, &|release| release.custom.channel.clone())
        .map_err(|found| Refusal::OtherChannel { wanted: wish.channel.to_owned(), found })?;
    left.sort_by(|a, b| b.custom.version.cmp(&a.custom.version));
    Ok(left)
}

fn pick<'a>(wish: &Wish<'_>, fitting: &[&'a Release]) -> Choice<'a> {
    let running = &wish.running.version;
    if let Some(named) = wish.named {
        if named == running {
            return Choice::Current;
        }
        let found = || fitting.iter().map(|release| release.custom.version.to_string()).collect();
        return match fitting.iter().find(|release| release.custom.version == *named) {
            Some(release) => Choice::Newer(release),
            None => Choice::Refused(Refusal::NoSuchVersion { wanted: named.clone(), found: found() }),
        };
    }
    let failed = |release: &&&Release| {
        let custom = &release.custom;
        wish.quarantine.iter().find(|failed| failed.id == custom.id && failed.version == custom.version)
    };
    let newer: Vec<_> = fitting.iter().filter(|release| release.custom.version > *running).collect();
    match (newer.iter().find(|release| failed(release).is_none()), newer.first()) {
        (Some(release), _) => Choice::Newer(release),
        (None, Some(newest)) => Choice::Refused(Refusal::Quarantined {
            version: newest.custom.version.clone(),
            cause: failed(newest).map(|failed| failed.cause.clone()).unwrap_or_default(),
        }),
        (None, None) => Choice::Current,
    }
}

/// Refuses a release whose engine cannot use what the running engine has in /var, unless its format is `allowed` by name.
/// An image without an engine has the format `none`; one that had none before has nothing to lose.
///
/// # Errors
/// [`Refusal::StoreChange`].
pub fn check_store(running: &ImageSpec, record: &ReleaseRecord, allowed: Option<&StoreFormat>) -> Result<(), Refusal> {
    let Some(engine) = &running.engine else { return Ok(()) };
    let now = StoreFormat::of(engine.kind, &engine.version);
    let then = record.engine.as_ref().map_or_else(|| StoreFormat::None, |engine| engine.store.clone());
    if now == then || allowed == Some(&then) {
        return Ok(());
    }
    Err(Refusal::StoreChange { version: record.version.clone(), running: now, found: then })
}
