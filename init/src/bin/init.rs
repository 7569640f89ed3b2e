//! One program with three roles: PID 1 in the initrd, PID 1 of the host, and `modprobe`, which the kernel calls to load a module.

use berth_contract::{boot_report::Stage, fault::Failure, paths};
use berth_init::{
    console, ending::Ending, host::Host, initrd::Initrd, modules::modprobe, phase, sequence, shutdown, supervisor,
    sys::signal::SignalFd, timeline::Timeline,
};
use std::{
    ffi::OsStr,
    io::{self, Write},
    panic,
    path::Path,
    process::{self, ExitCode},
    thread,
    time::Duration,
};

/// How long a panic's message stays on the console.
const PANIC_TIME: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if Path::new(&name).file_name() == Some(OsStr::new("modprobe")) {
        return modprobe::main(arguments);
    }
    if process::id() != 1 {
        let message =
            "init: expected to be process 1, or to be called as modprobe; to restart the machine: hostctl reboot\n";
        let _ = io::stderr().write_all(message.as_bytes());
        return ExitCode::FAILURE;
    }
    panic::set_hook(Box::new(|panic| {
        console::last_words(&format!("init panicked, rebooting in {} s: {panic}", PANIC_TIME.as_secs()));
        // In a thread, because sync(2) may hang.
        let _ = thread::Builder::new().spawn(rustix::fs::sync);
        thread::sleep(PANIC_TIME);
        shutdown::go(Ending::Reboot)
    }));
    if in_initrd() { initrd() } else { host() }
}

/// The root is a ramfs or tmpfs, into which the kernel unpacks the initrd, and no initrd stage has written its report yet.
fn in_initrd() -> bool {
    /// `RAMFS_MAGIC` and `TMPFS_MAGIC` of linux/magic.h.
    const IN_MEMORY: [u64; 2] = [0x8584_58f6, 0x0102_1994];
    let kind = rustix::fs::statfs("/").map(|found| found.f_type.cast_unsigned());
    kind.is_ok_and(|kind| IN_MEMORY.contains(&kind)) && !Path::new(paths::INITRD_REPORT).exists()
}

fn initrd() -> ! {
    // The kernel's built-in initrd has /dev/console. So an error is visible even if /proc cannot be mounted.
    console::open_outputs();
    let timeline = Timeline::default();
    phase::run(Stage::Initrd, sequence::INITRD, &mut Initrd::new(timeline.clone()), &timeline);
    // Not reached: the last phase executes another program.
    console::error(format_args!("the initrd stage ended without a switch to the root file system"));
    shutdown::give_up()
}

fn host() -> ! {
    // Block the signals before the first thread starts. Otherwise a thread could receive a signal that is meant for the supervisor.
    let start = SignalFd::block(&supervisor::SIGNALS).map_err(Failure::from).and_then(|s| Ok((s, Host::arrive()?)));
    let (signals, mut host) = match start {
        Ok(start) => start,
        Err(error) => {
            console::open_outputs();
            console::error(format_args!("the host stage cannot start: {error}"));
            shutdown::give_up()
        }
    };
    let timeline = host.timeline.clone();
    phase::run(Stage::Host, sequence::HOST, &mut host, &timeline);
    shutdown::finish(supervisor::run(host.hand_over(signals)))
}
