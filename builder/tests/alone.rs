//! A build needs only its checkout, its cache and its output folder. It uses nothing else of the computer.

use crate::build_kit::{Docker, as_nobody, scratch};

/// Builds the docker host twice, in different surroundings, and compares the outputs. The second build runs as the user nobody: no
/// program in PATH, no network, a read-only checkout, 64 MiB of /tmp, 256 open files, another umask, time zone and language, one
/// processor. strace records which processes are started.
#[test]
fn a_docker_host_is_the_same_without_programs_network_or_environment() {
    let dir = scratch();
    let docker = Docker::new(dir.path());
    let around = "umask 077; exec /usr/bin/env -i PATH= TZ=Asia/Kathmandu LC_ALL=de_DE.UTF-8 /usr/bin/taskset -c 0 \
        /usr/bin/strace --seccomp-bpf -f -qq -e trace=%process -e signal=none -o /mnt/output/trace";
    let output = as_nobody(&docker, dir.path(), ("mount -t tmpfs -o size=64m none /tmp; ulimit -n 256", around));

    let trace = std::fs::read_to_string(output.join("trace")).unwrap();
    let (threads, started) = starts(&trace);
    assert!(threads > 0, "strace recorded no thread, so the trace proves nothing\n{trace}");
    assert_eq!(started.len(), 1, "processes were started:\n{}", started.join("\n"));
    assert!(started[0].contains("execve(\"/mnt/programs/berth\""), "{}", started[0]);
}

/// Returns the number of threads that were started, and the lines of the trace that show the start of a process.
fn starts(trace: &str) -> (usize, Vec<&str>) {
    let calls = ["execve(", "execveat(", "fork(", "vfork(", "clone(", "clone3("];
    let starts: Vec<_> = trace
        .lines()
        .filter(|line| {
            line.split_once(' ').is_some_and(|(_, call)| calls.iter().any(|name| call.trim_start().starts_with(name)))
        })
        .collect();
    let (threads, others): (Vec<_>, Vec<_>) = starts.into_iter().partition(|line| line.contains("CLONE_THREAD"));
    (threads.len(), others)
}

#[test]
fn processes_are_distinguished_from_threads_in_a_trace() {
    let trace = "7 execve(\"/bin/berth\", [\"berth\"], 0x7ffd /* 1 var */) = 0\n\
        7 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SYSVSEM}, 88) = 8\n\
        8 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 9\n\
        9 exit_group(0) = ?\n";
    let (threads, others) = starts(trace);
    assert_eq!((threads, others.len()), (1, 2), "{others:?}");
}
