//! Finds the hint for an error. Each error type of the builder has its own hints.

use crate::{
    access::AccessError,
    assemble::AssembleError,
    check::CheckError,
    image::{initrd::InitrdError, staging::StagingError, twice::TwiceError},
    lock::{LockError, LockFileError, Problem},
    plan::PlanError,
    recipe::{Diagnostic, ReadError},
    release::ReleaseError,
    report::Advised,
    source::{debian::error::DebianError, local::LocalError, oci::OciError, programs::ProgramError},
};
use berth_fetch::error::FetchError;
use berth_qemu::error::VmError;
use std::{error::Error, io};

/// The hint of `error`, if its type has one.
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
        .or_else(|| error.downcast_ref().and_then(LocalError::hint))
        .or_else(|| error.downcast_ref().and_then(OciError::hint))
        .or_else(|| error.downcast_ref().and_then(Advised::hint))
        .or_else(|| error.downcast_ref().and_then(Diagnostic::hint).map(str::to_owned))
        .or_else(|| error.downcast_ref().and_then(AssembleError::hint))
        .or_else(|| error.downcast_ref().and_then(CheckError::hint))
        .or_else(|| error.downcast_ref().and_then(StagingError::hint))
        .or_else(|| error.downcast_ref().and_then(InitrdError::hint))
        .or_else(|| error.downcast_ref().and_then(ReleaseError::hint))
        .or_else(|| error.downcast_ref().and_then(AccessError::hint))
        // Some errors box this cause because it is large.
        .or_else(|| error.downcast_ref::<Box<FetchError>>().and_then(|error| error.hint()))
        .or_else(|| is_of_recipe(error).then(|| "see docs/recipe.md for the values of each key".to_owned()))
        .or_else(|| error.downcast_ref().and_then(system))
}

/// Whether `error` is a fault of the recipe.
fn is_of_recipe(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ReadError::Content(_)))
        || matches!(error.downcast_ref(), Some(LocalError::Missing(_)))
        || matches!(error.downcast_ref(), Some(PlanError::Recipe(_)))
        || matches!(error.downcast_ref(), Some(AssembleError::Recipe(_)))
}

/// Hints for I/O errors by their kind.
fn system(error: &io::Error) -> Option<String> {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space, then try again",
        io::ErrorKind::PermissionDenied => "give this user access (chmod, chown), or name another path",
        io::ErrorKind::IsADirectory => "expected a file, found a folder: move the folder away, or name another path",
        io::ErrorKind::NotADirectory => "expected a folder, found a file: move the file away, or name another path",
        io::ErrorKind::ReadOnlyFilesystem => "this file system is read-only: name another path",
        _ => return None,
    };
    Some(hint.to_owned())
}
