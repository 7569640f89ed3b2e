//! Exit on SIGTERM. The kernel ignores SIGTERM for PID 1 unless the process has a handler for it. Without a handler, `docker stop` would
//! wait ten seconds and then kill the process.
#![expect(unsafe_code, reason = "the standard library cannot handle signals")]

extern "C" fn end(_: libc::c_int) {
    // SAFETY: _exit is async-signal-safe, and accepts any number.
    unsafe { libc::_exit(0) }
}

/// Ends the process with status 0 on SIGTERM.
pub(crate) fn end_on_sigterm() {
    let handler: extern "C" fn(libc::c_int) = end;
    // SAFETY: the handler has the type that signal(2) expects, and calls only an async-signal-safe function. signal(2) fails only for
    // invalid signal numbers.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}
