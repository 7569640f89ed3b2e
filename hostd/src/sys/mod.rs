//! System calls that rustix does not have.

/// Whether the kernel knows that the clock is right: adjtimex(2) without a change.
#[must_use]
#[expect(unsafe_code, reason = "a system call")]
pub(crate) fn clock_is_synchronised() -> bool {
    // SAFETY: `timex` is plain data, for which zeros are valid: no bit of `modes` is set, so nothing is changed.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is that of a live value, which the kernel fills.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}
