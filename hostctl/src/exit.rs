//! The exit status of hostctl.

use crate::{
    entries::EntriesError,
    file_lock::LockError,
    slots::SlotError,
    source::SourceError,
    trust::{Refusal, TrustError},
};
use berth_control::ClientError;

/// An exit status. The numbers are a contract with users: docs/hostctl.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done. `hostctl upgrade` has installed a version; with `--check` or `--dry-run`: there is a newer version.
    Done,
    /// Another error.
    Failed,
    /// `hostctl upgrade` has found no newer version.
    NothingNewer,
    /// The newest version has failed on this host before.
    FailedBefore,
    /// The version, the source or the state of the host forbids the command.
    Refused,
    /// The source cannot be reached or read.
    Unreachable,
    /// The status of the engine's client, which `hostctl docker` has run.
    Client(u8),
}

impl Exit {
    /// Its number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::NothingNewer => 10,
            Self::FailedBefore => 11,
            Self::Refused => 12,
            Self::Unreachable => 13,
            Self::Client(status) => status,
        }
    }

    /// The number for an error: the first cause that has a status of its own decides.
    #[must_use]
    pub fn code_of(error: &anyhow::Error) -> u8 {
        let of_host = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<ClientError>() {
            Some(ClientError::Refused(error)) => error.code,
            _ => None,
        };
        let found = error.chain().find_map(|cause| of_host(cause).or_else(|| Self::of(cause).map(Self::code)));
        found.unwrap_or(Self::Failed.code())
    }

    fn of(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let refusal = |refusal: &Refusal| match refusal {
            Refusal::Quarantined { .. } => Self::FailedBefore,
            _ => Self::Refused,
        };
        let source = |error: &SourceError| match error {
            SourceError::Address(_) => Self::Failed,
            _ => Self::Unreachable,
        };
        let trust = |error: &TrustError| match error {
            TrustError::Source(error) => Some(source(error)),
            TrustError::Memory(_) | TrustError::Scratch { .. } | TrustError::Other(_) => None,
            _ => Some(Self::Refused),
        };
        let slots = |error: &SlotError| match error {
            SlotError::Copies { .. } | SlotError::TooSmall { .. } => Some(Self::Refused),
            SlotError::AllFailed { .. } => Some(Self::Unreachable),
            _ => None,
        };
        let lock =
            |error: &LockError| matches!(error, LockError::Held | LockError::HeldForConfig).then_some(Self::Refused);
        let entries = |error: &EntriesError| match error {
            EntriesError::Slot(error) => slots(error),
            EntriesError::Quarantined(_) => Some(Self::FailedBefore),
            EntriesError::Unblessed { .. }
            | EntriesError::NoRunning { .. }
            | EntriesError::Full { .. }
            | EntriesError::OtherImage { .. }
            | EntriesError::SameVersion { .. }
            | EntriesError::NoOther { .. }
            | EntriesError::OtherVersion { .. }
            | EntriesError::Store { .. }
            | EntriesError::UnknownStore { .. } => Some(Self::Refused),
            _ => None,
        };
        cause
            .downcast_ref()
            .map(refusal)
            .or_else(|| cause.downcast_ref().map(source))
            .or_else(|| cause.downcast_ref().and_then(trust).or_else(|| cause.downcast_ref().and_then(entries)))
            .or_else(|| cause.downcast_ref().and_then(slots).or_else(|| cause.downcast_ref().and_then(lock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::control::ControlError;
    use std::{io, path::PathBuf};

    #[test]
    fn each_kind_of_error_has_its_number_also_when_it_comes_from_another_host() {
        let version = || "2".parse().unwrap();
        let quarantined = Refusal::Quarantined { version: version(), cause: String::new() };
        let lost = || SourceError::Io { path: PathBuf::from("/x"), source: io::ErrorKind::NotFound.into() };
        let copies = || SlotError::Copies { disk: String::new(), others: Vec::new() };
        let there = |code| ClientError::Refused(ControlError { message: String::new(), hint: None, code });
        for (error, code) in [
            (anyhow::Error::from(quarantined), 11),
            (Refusal::Empty { unknown: Vec::new() }.into(), 12),
            (EntriesError::SameVersion { version: version() }.into(), 12),
            (lost().into(), 13),
            (SlotError::AllFailed { reasons: Vec::new() }.into(), 13),
            (copies().into(), 12),
            (EntriesError::Slot(copies()).into(), 12),
            (SlotError::TooSmall { path: PathBuf::new(), wanted: 2, found: 1 }.into(), 12),
            (EntriesError::Full { wanted: 2, free: 1 }.into(), 12),
            (anyhow::Error::from(LockError::Held).context("outer"), 12),
            (anyhow::Error::from(TrustError::Source(lost())).context("outer"), 13),
            (anyhow::anyhow!("other"), 1),
            (there(Some(11)).into(), 11),
            (there(None).into(), 1),
        ] {
            assert_eq!(Exit::code_of(&error), code, "{error:?}");
        }
    }
}
