//! Services that their files confine.

use super::kit::{Enough, Host};
use berth_contract::control::ServiceState;
use std::{fs, os::unix::fs::PermissionsExt};

/// Prints what the kernel says of the process, and what the process can do.
const ASKS: &str = "grep -E '^(Uid|Gid|Groups|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
umask
echo home $HOME $USER
tail -n +3 /proc/net/dev | cut -d: -f1
echo hidden $(ls -A /root 2>&1 | grep -c denied) $(wc -c < /etc/shadow)
touch own && echo wrote here
touch /var/x || echo not there";

pub(crate) fn a_service_is_confined_as_its_file_says() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let own = "ready = 'exit'\nuser = 'nobody'\nsupplementary_groups = ['4242']\numask = '0077'\n\
               capabilities = ['CAP_NET_RAW']\nsystem_call_filter = ['@system-service']\nprivate_network = true\nprivate_ipc = true\n\
               read_only_paths = ['/']\nread_write_paths = ['FOLDER', '/no/such/path']\ninaccessible_paths = ['/root', '/etc/shadow', '/no/x']";
    let services = [
        ("own", ASKS, own),
        ("root", "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):' /proc/self/status", "ready = 'exit'\ncapabilities = []"),
        ("killed", "mount -t tmpfs x /mnt; echo status $?", "ready = 'exit'\nsystem_call_filter = ['@system-service']"),
        ("stranger", "true", "ready = 'exit'\nrestart = 'no'\nuser = 'no-such-user'"),
    ];
    let host = Host::start_with(&services, "sleep 1000", |folder| {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    });
    for name in ["own", "root", "killed"] {
        host.wait_for(name, |host| host.service(name).state == ServiceState::Ready);
    }
    assert_eq!(
        log(&host, "own"),
        [
            "Uid: 65534 65534 65534 65534",
            "Gid: 65534 65534 65534 65534",
            "Groups: 4242",
            "CapEff: 0000000000002000",
            "CapBnd: 0000000000002000",
            "CapAmb: 0000000000002000",
            "NoNewPrivs: 1",
            "Seccomp: 2",
            "0077",
            "home /nonexistent nobody",
            "lo",
            "hidden 1 0",
            "wrote here",
            "touch: cannot touch '/var/x': Read-only file system",
            "not there",
        ]
    );
    assert_eq!(
        log(&host, "root"),
        ["Uid: 0 0 0 0", "CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 0"]
    );
    // 128 and SIGSYS.
    assert!(log(&host, "killed").iter().any(|line| line == "status 159"), "{:?}", log(&host, "killed"));
    host.wait_for("stranger", |host| host.service("stranger").state == ServiceState::Failed);
    let status = format!("{:?}", host.service("stranger"));
    assert!(status.contains("no user no-such-user in /etc/passwd"), "{status}");
}

/// The log of a service, with one space between words.
fn log(host: &Host, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let line = |line: berth_contract::control::LogLine| {
        lines.push(line.text.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok::<_, Enough>(())
    };
    host.client().logs(name, false, line).unwrap();
    lines
}
