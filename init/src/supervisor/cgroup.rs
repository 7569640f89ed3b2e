//! Control groups of services: `system/NAME`, Documentation/admin-guide/cgroup-v2.rst.

use berth_contract::fault::{At, PathError};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{self, OpenOptions},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// Controllers that are enabled for each service, if the kernel has them.
const CONTROLLERS: [&str; 4] = ["+cpu", "+io", "+memory", "+pids"];

/// The parent group of all services. `None` when cgroup2 is not mounted or not writable: then a service is its process group.
#[derive(Debug)]
pub(super) struct Cgroups {
    root: Option<PathBuf>,
}

impl Cgroups {
    /// Makes the parent group below the mount point of cgroup2.
    pub(super) fn new(mount: Option<&Path>) -> (Self, Result<(), PathError>) {
        let Some(mount) = mount else { return (Self { root: None }, Ok(())) };
        let root = mount.join("system");
        if let Err(error) = fs::create_dir_all(&root).at("create", &root) {
            return (Self { root: None }, Err(error));
        }
        for controller in CONTROLLERS {
            for group in [mount, &root] {
                // An error is ignored: the kernel may have been built without this controller.
                let _ = fs::write(group.join("cgroup.subtree_control"), controller);
            }
        }
        (Self { root: Some(root) }, Ok(()))
    }

    /// Makes the group of a service and opens its `cgroup.procs`. The first process of the service writes itself into this file.
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

    /// Sends SIGKILL to every process of a service, also in groups that the service has made below its own group.
    pub(super) fn kill(&self, name: &str, process: u32) {
        let killed = self.root.as_ref().is_some_and(|root| fs::write(root.join(name).join("cgroup.kill"), "1").is_ok());
        if let (false, Some(group)) = (killed, pid(process)) {
            // The process leads a session, and therefore a process group.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Name of the service that a process belongs to.
    pub(super) fn service_of(&self, process: u32) -> Option<String> {
        self.root.as_ref()?;
        service_in(&fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?)
    }
}

/// Parses /proc/PID/cgroup: `0::/system/NAME`, or a group below that.
fn service_in(text: &str) -> Option<String> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.strip_prefix("/system/")?.split('/').next().map(str::to_owned)
}

/// Sends a signal to a child that has not been waited for. An error is ignored: the child may have ended already.
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
    fn the_service_of_a_process_is_found_by_its_group() {
        assert_eq!(service_in("0::/system/dockerd\n").as_deref(), Some("dockerd"));
        assert_eq!(service_in("1:name=x:/y\n0::/system/containerd/a/b\n").as_deref(), Some("containerd"));
        assert_eq!(service_in("0::/docker/1234\n"), None);
        assert_eq!(service_in("0::/\n"), None);
    }

    #[test]
    fn groups_are_made_and_killed_by_writing_files() {
        let dir = tempfile::tempdir().unwrap();
        let (groups, made) = Cgroups::new(Some(dir.path()));
        made.unwrap();
        assert!(
            groups.open("x").unwrap_err().to_string().contains("system/x/cgroup.procs"),
            "only the kernel makes this file"
        );
        fs::write(dir.path().join("system/x/cgroup.procs"), "").unwrap();
        assert!(groups.open("x").unwrap().is_some());
        groups.kill("x", 1);
        assert_eq!(fs::read_to_string(dir.path().join("system/x/cgroup.kill")).unwrap(), "1");
        assert!(Cgroups::new(None).0.open("x").unwrap().is_none());
        assert!(Cgroups::new(Some(Path::new("/proc/none"))).1.is_err());
    }
}
