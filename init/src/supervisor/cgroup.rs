//! Control groups of services, Documentation/admin-guide/cgroup-v2.rst: `system/NAME`.

use berth_contract::fault::{At, PathError};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{self, OpenOptions},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Counted and limited per service, where the kernel has them.
const CONTROLLERS: [&str; 4] = ["+cpu", "+io", "+memory", "+pids"];

/// Where services' groups are; without one (no cgroup2, no right to it) a service is its process group.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: Option<PathBuf>,
}

impl Cgroups {
    /// Below the mount point of cgroup2.
    pub(super) fn new(mount: Option<&Path>) -> (Self, Result<(), PathError>) {
        let Some(mount) = mount else { return (Self { root: None }, Ok(())) };
        let root = mount.join("system");
        if let Err(error) = fs::create_dir_all(&root).at("create", &root) {
            return (Self { root: None }, Err(error));
        }
        for controller in CONTROLLERS {
            for group in [mount, &root] {
                // A kernel may have been built without one.
                let _ = fs::write(group.join("cgroup.subtree_control"), controller);
            }
        }
        (Self { root: Some(root) }, Ok(()))
    }

    /// `cgroup.procs` of a service's group, for its first process to write itself into.
    pub(super) fn open(&self, name: &str) -> Result<Option<OwnedFd>, PathError> {
        let Some(root) = &self.root else { return Ok(None) };
        let group = root.join(name);
        if !group.is_dir() {
            fs::create_dir(&group).at("create", &group)?;
        }
        let procs = group.join("cgroup.procs");
        let file = OpenOptions::new().write(true).open(&procs).at("open", &procs)?;
        Ok(Some(file.into()))
    }

    /// SIGKILL to every process of a service, also those in groups that it made below its own.
    pub(super) fn kill(&self, name: &str, process: u32) {
        let killed = self.root.as_ref().is_some_and(|root| fs::write(root.join(name).join("cgroup.kill"), "1").is_ok());
        if let (false, Some(group)) = (killed, pid(process)) {
            // It leads a session, and so a process group.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// The service that a process belongs to.
    pub(super) fn service_of(&self, process: u32) -> Option<String> {
        self.root.as_ref()?;
        service_in(&fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?)
    }
}

/// From /proc/PID/cgroup: `0::/system/NAME`, or a group below.
fn service_in(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.strip_prefix("/system/")?.split('/').next().map(str::to_owned)
}

/// Sends a signal to one process that has not been waited for yet. It may have ended a moment ago, which is as well.
pub(super) fn signal(process: u32, signal: Signal) {
    if let Some(pid) = pid(process) {
        let _ = kill_process(pid, signal);
    }
}

fn pid(process: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_belong_to_the_service_whose_group_they_are_in() {
        assert_eq!(service_in("0::/system/dockerd\n").as_deref(), Some("dockerd"));
        assert_eq!(service_in("1:name=x:/y\n0::/system/containerd/a/b\n").as_deref(), Some("containerd"));
        assert_eq!(service_in("0::/docker/1234\n"), None);
        assert_eq!(service_in("0::/\n"), None);
    }

    #[test]
    fn groups_are_made_and_killed_through_files() {
        let dir = tempfile::tempdir().unwrap();
        let (groups, made) = Cgroups::new(Some(dir.path()));
        made.unwrap();
        assert!(
            groups.open("x").unwrap_err().to_string().contains("system/x/cgroup.procs"),
            "only the kernel makes it"
        );
        fs::write(dir.path().join("system/x/cgroup.procs"), "").unwrap();
        assert!(groups.open("x").unwrap().is_some());
        groups.kill("x", 1);
        assert_eq!(fs::read_to_string(dir.path().join("system/x/cgroup.kill")).unwrap(), "1");
        assert!(Cgroups::new(None).0.open("x").unwrap().is_none());
        assert!(Cgroups::new(Some(Path::new("/proc/none"))).1.is_err());
    }
}
