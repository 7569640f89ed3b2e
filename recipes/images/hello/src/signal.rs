//! The one thing that a program has to do itself when it is PID 1: the kernel ignores SIGTERM for it unless it has a
//! handler, and `docker stop` would wait its ten seconds.
#![expect(unsafe_code, reason = "the standard library cannot handle signals")]

extern "C" fn end(_: libc::c_int) {
    // SAFETY: _exit is async-signal-safe, and takes any number.
    unsafe { libc::_exit(0) }
}

/// Ends the process with status 0 on SIGTERM.
pub(crate) fn end_on_sigterm() {
    let handler: extern "C" fn(libc::c_int) = end;
    // SAFETY: the handler has the type that signal(2) wants, and calls nothing but an async-signal-safe function. signal
    // fails for bad signal numbers only.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}
