//! What the rooms know about what can be done, asked of whichever error it is.

use crate::{
    image::twice::TwiceError,
    lock::{LockError, LockFileError, Problem},
    plan::PlanError,
    source::{debian::error::DebianError, programs::ProgramError},
};
use berth_fetch::error::FetchError;
use berth_qemu::error::VmError;
use std::error::Error;

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
        // Where it is one large cause of a small error.
        .or_else(|| error.downcast_ref::<Box<FetchError>>().and_then(|error| error.hint()))
}
