//! What the rooms know about what can be done, asked of whichever error it is.

use crate::{
    assemble::AssembleError,
    image::{initrd::InitrdError, staging::StagingError, twice::TwiceError},
    lock::{LockError, LockFileError, Problem},
    plan::PlanError,
    recipe::{Diagnostic, ReadError},
    release::ReleaseError,
    source::{debian::error::DebianError, local::LocalError, programs::ProgramError},
};
use berth_fetch::error::FetchError;
use berth_qemu::error::VmError;
use std::{error::Error, io};

/// The hint of `error`, if it is of a room that gives some.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref().and_then(LockError::hint))
        .or_else(|| error.downcast_ref().and_then(LockFileError::hint))
        .or_else(|| error.downcast_ref().and_then(Problem::hint))
        .or_else(|| error.downcast_ref().and_then(DebianError::hint))
        .or_else(|| error.downcast_ref().and_then(FetchError::hint))
        .or_else(|| error.downcast_ref().and_then(VmError::hint))
        .or_else(|| error.downcast_ref().and_then(PlanError::hint))
        .or_else(|| error.downcast_ref().and_then(ProgramError::hint))
        .or_else(|| error.downcast_ref().and_then(TwiceError::hint))
        .or_else(|| error.downcast_ref().and_then(ReadError::hint))
        .or_else(|| error.downcast_ref().and_then(AssembleError::hint))
        .or_else(|| error.downcast_ref().and_then(StagingError::hint))
        .or_else(|| error.downcast_ref().and_then(InitrdError::hint))
        .or_else(|| error.downcast_ref().and_then(ReleaseError::hint))
        // Where it is one large cause of a small error.
        .or_else(|| error.downcast_ref::<Box<FetchError>>().and_then(|error| error.hint()))
        .or_else(|| diagnostic(error).and_then(manual))
        .or_else(|| error.downcast_ref().and_then(system))
}

/// The fault of the recipe that `error` passes on.
fn diagnostic<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Diagnostic> {
    match (error.downcast_ref(), error.downcast_ref(), error.downcast_ref(), error.downcast_ref()) {
        (Some(ReadError::Content(fault)), ..)
        | (_, Some(LocalError::Missing(fault)), ..)
        | (_, _, Some(PlanError::Recipe(fault)), _)
        | (.., Some(AssembleError::Recipe(fault))) => Some(fault),
        _ => None,
    }
}

fn manual(fault: &Diagnostic) -> Option<String> {
    (!fault.has_hint()).then(|| "docs/recipe.md says what each key takes".to_owned())
}

/// What the system's own reasons call for, wherever they come up.
fn system(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, then try again",
        io::ErrorKind::PermissionDenied => "let this user have it (chmod, chown), or name another place",
        io::ErrorKind::IsADirectory => "a folder is in the place of a file: move it away, or name another path",
        io::ErrorKind::NotADirectory => "a file is in the place of a folder: move it away, or name another path",
        io::ErrorKind::ReadOnlyFilesystem => "name another place: this file system is read-only",
        _ => return None,
    };
    Some(hint.to_owned())
}
