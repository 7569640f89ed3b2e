//! System calls that a service may use, in groups. The groups are those of systemd (`systemd-analyze syscall-filter`, systemd.exec(5)), without
//! the calls of 32-bit programs.

use std::collections::BTreeSet;

/// The group that every filter contains: a program cannot start or end without it.
const ALWAYS: &str = "@default";

/// Name and content of each group: calls, and names of other groups.
const GROUPS: &[(&str, &str)] = &[
    (
        "@default",
        "arch_prctl brk clock_getres clock_gettime clock_nanosleep execve exit exit_group futex futex_waitv get_robust_list \
         get_thread_area getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getrandom getresgid getresuid getrlimit \
         getsid gettid gettimeofday getuid map_shadow_stack membarrier mmap mprotect mseal munmap nanosleep pause prlimit64 \
         restart_syscall rseq rt_sigreturn sched_getaffinity sched_yield set_robust_list set_thread_area set_tid_address time \
         uretprobe",
    ),
    (
        "@aio",
        "io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit io_uring_enter io_uring_register io_uring_setup",
    ),
    (
        "@basic-io",
        "close close_range dup dup2 dup3 lseek pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readv write writev",
    ),
    ("@chown", "chown fchown fchownat lchown"),
    ("@clock", "adjtimex clock_adjtime clock_settime settimeofday"),
    ("@debug", "lookup_dcookie perf_event_open pidfd_getfd ptrace"),
    (
        "@file-system",
        "access cachestat chdir chmod close creat faccessat faccessat2 fallocate fchdir fchmod fchmodat fchmodat2 fcntl fgetxattr \
         file_getattr file_setattr flistxattr fremovexattr fsetxattr fstat fstatat fstatfs ftruncate futimesat getcwd getdents getdents64 \
         getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lgetxattr link linkat listxattr \
         listxattrat llistxattr lremovexattr lsetxattr lstat mkdir mkdirat mknod mknodat newfstatat open openat openat2 readlink \
         readlinkat removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat statfs statx symlink \
         symlinkat truncate unlink unlinkat utime utimensat utimes",
    ),
    (
        "@io-event",
        "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 \
         poll ppoll pselect6 select",
    ),
    (
        "@ipc",
        "memfd_create mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe \
         pipe2 process_madvise process_vm_readv process_vm_writev semctl semget semop semtimedop shmat shmctl shmdt shmget",
    ),
    ("@keyring", "add_key keyctl request_key"),
    ("@memlock", "mlock mlock2 mlockall munlock munlockall"),
    ("@module", "delete_module finit_module init_module"),
    (
        "@mount",
        "chroot fsconfig fsmount fsopen fspick listmount mount mount_setattr move_mount open_tree open_tree_attr pivot_root \
         statmount umount2",
    ),
    (
        "@network-io",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto \
         setsockopt shutdown socket socketpair",
    ),
    ("@pkey", "pkey_alloc pkey_free pkey_mprotect"),
    (
        "@process",
        "capget clone clone3 execveat fork getrusage kill pidfd_open pidfd_send_signal prctl rt_sigqueueinfo rt_tgsigqueueinfo \
         setns tgkill times tkill unshare vfork wait4 waitid",
    ),
    ("@raw-io", "ioperm iopl"),
    ("@reboot", "kexec_file_load kexec_load reboot"),
    (
        "@resources",
        "ioprio_set mbind migrate_pages move_pages sched_setaffinity sched_setattr sched_setparam sched_setscheduler \
         set_mempolicy set_mempolicy_home_node setpriority setrlimit",
    ),
    ("@setuid", "setgid setgroups setregid setresgid setresuid setreuid setuid"),
    (
        "@signal",
        "rt_sigaction rt_sigpending rt_sigprocmask rt_sigsuspend rt_sigtimedwait sigaltstack signalfd signalfd4",
    ),
    ("@swap", "swapoff swapon"),
    ("@sync", "fdatasync fsync msync sync sync_file_range syncfs"),
    (
        "@timer",
        "alarm getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
         timerfd_gettime timerfd_settime times",
    ),
    (
        "@system-service",
        "@aio @basic-io @chown @default @file-system @io-event @ipc @keyring @memlock @network-io @process @resources @setuid \
         @signal @sync @timer capset copy_file_range fadvise64 flock get_mempolicy getcpu getpriority ioctl ioprio_get kcmp \
         madvise mremap name_to_handle_at personality readahead remap_file_pages sched_get_priority_max sched_get_priority_min \
         sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sendfile setfsgid setfsuid setpgid setsid splice \
         sysinfo tee umask uname userfaultfd vmsplice",
    ),
];

/// Whether this is the name of a group, or of a call in a group.
#[must_use]
pub fn is_known(name: &str) -> bool {
    GROUPS.iter().any(|(group, content)| *group == name || content.split(' ').any(|one| one == name))
}

/// The names of all calls that `wanted` allows, with those that every program needs.
#[must_use]
pub fn names(wanted: &[String]) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut open: Vec<&str> = wanted.iter().map(String::as_str).chain([ALWAYS]).collect();
    while let Some(name) = open.pop() {
        match GROUPS.iter().find(|(group, _)| *group == name) {
            Some((_, content)) => open.extend(content.split(' ')),
            None => _ = names.insert(name),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_contain_calls_and_groups_that_exist() {
        for (group, content) in GROUPS {
            for name in content.split(' ').filter(|name| name.starts_with('@')) {
                assert!(GROUPS.iter().any(|(other, _)| *other == name), "{group}: {name}");
            }
            assert!(names(&[(*group).to_owned()]).iter().all(|name| !name.contains(['@', ' '])), "{group}");
        }
    }

    #[test]
    fn a_filter_has_what_it_names_and_what_every_program_needs() {
        let wanted = ["@basic-io", "socket"].map(str::to_owned);
        let filter = names(&wanted);
        assert!(["read", "write", "socket", "execve", "exit_group"].iter().all(|name| filter.contains(name)));
        assert!(["bind", "mount", "@basic-io"].iter().all(|name| !filter.contains(name)), "{filter:?}");
        for wrong in ["@everything", "opennat", "", "~mount"] {
            assert!(!is_known(wrong), "{wrong}");
        }
    }
}
