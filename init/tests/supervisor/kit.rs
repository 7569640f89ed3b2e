//! Starts a host for a test, talks to it, and ends it.

use berth_contract::control::ServiceStatus;
use berth_control::{Client, ClientError};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A host in its own folder. Dropping it ends the host process.
pub(crate) struct Host {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) process: Child,
}

/// Shell script that writes its name to the file `ends` on SIGTERM.
pub(crate) const NOTES_ITS_END: &str =
    "trap 'echo $NAME >> ends; exit 0' TERM; echo > up; while :; do sleep 0.05; done";

impl Host {
    /// Starts a host with services: name, script for /bin/sh with the folder as working directory, further lines of the service file.
    pub(crate) fn start(services: &[(&str, &str, &str)]) -> Self {
        Self::start_with(services, "sleep 1000", |_| {})
    }

    /// Like [`Host::start`], with `hostctl` as this shell script. `prepare` can put files into the folder.
    pub(crate) fn start_with(services: &[(&str, &str, &str)], hostctl: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hostctl"), format!("#!/bin/sh\ncd {}\n{hostctl}\n", folder.path().display()))
            .unwrap();
        fs::set_permissions(folder.path().join("hostctl"), fs::Permissions::from_mode(0o755)).unwrap();
        prepare(folder.path());
        let path = folder.path().display().to_string();
        fs::create_dir(folder.path().join("services")).unwrap();
        for (name, script, more) in services {
            let script = serde_json::to_string(script).unwrap();
            let text = format!(
                "exec = ['/bin/sh', '-c', {script}]\nworkdir = '{path}'\nenv = {{ NAME = '{name}' }}\n{}\n",
                more.replace("FOLDER", &path)
            );
            fs::write(folder.path().join(format!("services/{name}.toml")), text).unwrap();
        }
        let program = std::env::current_exe().unwrap();
        let process = Command::new(program).arg("supervise").arg(folder.path()).stdin(Stdio::null()).spawn().unwrap();
        Self { folder, process }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn client(&self) -> Client {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match Client::connect(&self.path("control"), 1 << 20) {
                Ok(client) => {
                    client.set_timeout(Some(Duration::from_secs(20))).unwrap();
                    return client;
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn service(&self, name: &str) -> ServiceStatus {
        self.client().services().unwrap().into_iter().find(|service| service.name == name).unwrap()
    }

    pub(crate) fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            assert!(Instant::now() < deadline, "{what}: {:#?}", self.client().services());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn status_of_end(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < deadline, "the host does not end: {:#?}", self.client().services());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SIGTERM first, so that the host ends its services, even after a failed test.
        let begin = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && begin.elapsed().as_secs() < 20 {
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Why reading a log stopped: enough was read, or an error.
#[derive(Debug)]
pub(crate) struct Enough(pub(crate) Option<ClientError>);

impl From<ClientError> for Enough {
    fn from(error: ClientError) -> Self {
        Self(Some(error))
    }
}

pub(crate) const SLEEPS: (&str, &str, &str) = ("sleeps", "echo something to say; exec sleep 1000", "");
