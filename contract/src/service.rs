//! Services of the host: `/usr/lib/berth/services/NAME.toml`.

use crate::{capability::Capability, host_config::KEYS, limit::Limit, paths::SERVICE_CONFIG, system_calls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One service. Its name is the file's name without `.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// Program (absolute path) and arguments. No shell is involved.
    pub exec: Vec<String>,
    /// Services that must be ready before this one starts.
    #[serde(default)]
    pub needs: Vec<String>,
    /// When it counts as ready.
    #[serde(default)]
    pub ready: Readiness,
    /// When it is restarted.
    #[serde(default)]
    pub restart: Restart,
    /// Further environment variables. Every service has PATH, HOME=/root and LANG=C.UTF-8.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Working directory.
    #[serde(default = "root_directory")]
    pub workdir: String,
    /// Whether it is stopped after all services without this key, when the host shuts down.
    #[serde(default)]
    pub stop_last: bool,
    /// Whether the socket on which init gives out all logs ([`crate::paths::LOG_SOCKET`]) belongs to its user.
    #[serde(default)]
    pub reads_logs: bool,
    /// Seconds from SIGTERM to SIGKILL when it is stopped.
    #[serde(default = "stop_timeout")]
    pub stop_timeout: u32,
    /// Time limit in seconds: if it is not ready after this time, it counts as failed.
    #[serde(default = "start_timeout")]
    pub start_timeout: u32,
    /// The kernel's out-of-memory adjustment, -1000 to 1000.
    #[serde(default)]
    pub oom_score_adjust: i32,
    /// Limit of open files: RLIMIT_NOFILE, soft and hard.
    #[serde(default)]
    pub open_files: Option<u64>,
    /// Limit of processes of its user: RLIMIT_NPROC, soft and hard.
    #[serde(default)]
    pub processes: Option<Limit>,
    /// Size of a core file in bytes: RLIMIT_CORE, soft and hard.
    #[serde(default)]
    pub core_size: Option<Limit>,
    /// Locked memory in bytes: RLIMIT_MEMLOCK, soft and hard.
    #[serde(default)]
    pub locked_memory: Option<Limit>,
    /// User that it runs as: a name of /etc/passwd, or a number. Default: root.
    #[serde(default)]
    pub user: Option<String>,
    /// Group that it runs as: a name of /etc/group, or a number. Default: the user's own.
    #[serde(default)]
    pub group: Option<String>,
    /// Further groups, added to those that /etc/group gives the user.
    #[serde(default)]
    pub supplementary_groups: Vec<String>,
    /// Permissions that new files do not get, in octal: [`ServiceSpec::umask`].
    #[serde(default)]
    umask: Option<String>,
    /// Directories below /run that are made for it and belong to its user. The variable RUNTIME_DIRECTORY has their paths.
    #[serde(default)]
    runtime_directory: Vec<String>,
    /// The same below /var/lib: STATE_DIRECTORY.
    #[serde(default)]
    state_directory: Vec<String>,
    /// The same below /var/cache: CACHE_DIRECTORY.
    #[serde(default)]
    cache_directory: Vec<String>,
    /// The same below /var/log: LOGS_DIRECTORY.
    #[serde(default)]
    logs_directory: Vec<String>,
    /// Permissions of these directories, in octal: [`ServiceSpec::directory_mode`].
    #[serde(default)]
    directory_mode: Option<String>,
    /// Whether no program that it starts can have more privileges than itself (setuid, file capabilities).
    #[serde(default)]
    pub no_new_privs: bool,
    /// The only capabilities that it and its children can have. A user other than root gets exactly these. Default: root has all, and no
    /// other user has one.
    #[serde(default)]
    capabilities: Option<Vec<String>>,
    /// The only system calls that it and its children can make; another call kills the process. Empty: all. Implies `no_new_privs`.
    #[serde(default)]
    pub system_call_filter: Vec<String>,
    /// Whether it has a network of its own with the loopback interface only.
    #[serde(default)]
    pub private_network: bool,
    /// Whether it has System V and POSIX objects (shared memory, semaphores, queues) of its own.
    #[serde(default)]
    pub private_ipc: bool,
    /// Whether it has /tmp and /var/tmp of its own, in memory.
    #[serde(default)]
    pub private_tmp: bool,
    /// Paths that it cannot change, with all mounts below them. `/` is allowed. A path that does not exist is passed over, in all three lists.
    #[serde(default)]
    pub read_only_paths: Vec<String>,
    /// Exceptions from `read_only_paths`. Its directories are exceptions, too.
    #[serde(default)]
    pub read_write_paths: Vec<String>,
    /// Paths that are empty for it.
    #[serde(default)]
    pub inaccessible_paths: Vec<String>,
    /// Whether the service manages the control groups below its own, as container engines do.
    #[serde(default)]
    pub delegate: bool,
    /// Whether its child processes keep running when it stops or dies, as containerd's shims must.
    #[serde(default)]
    pub keep_children: bool,
    /// Top-level keys of host.toml that it reads ([`crate::host_config::KEYS`]). init writes them to the file [`ServiceSpec::config_file`].
    #[serde(default)]
    pub config: Vec<String>,
    /// How it takes a change of these keys while it runs.
    #[serde(default)]
    pub reload: Reload,
    /// Whether the host is healthy only while this service is ready.
    #[serde(default = "yes")]
    pub required: bool,
}

/// Directories of a service of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directories<'a> {
    /// The variable of the environment with their paths.
    pub variable: &'static str,
    /// The directory that they are in.
    pub base: &'static str,
    /// Their paths, relative to the base.
    pub names: &'a [String],
}

/// When a service counts as ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Readiness {
    /// As soon as it has been started.
    #[default]
    Started,
    /// When a program listens on the Unix socket at this path.
    Socket(String),
    /// When it sends `READY=1`, as sd_notify(3) does.
    Notify,
    /// When it has exited with status 0 (a one-shot service).
    Exit,
}

/// When a service is restarted after it exited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Always, with a growing delay.
    #[default]
    Always,
    /// When it failed: a status other than 0, a signal, or a start that took too long.
    OnFailure,
    /// Never.
    No,
}

/// What init does with a running service when the part of host.toml that it reads has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reload {
    /// Sends SIGHUP.
    Signal,
    /// Stops and starts the service.
    #[default]
    Restart,
}

fn root_directory() -> String {
    "/".to_owned()
}
fn stop_timeout() -> u32 {
    10
}
fn start_timeout() -> u32 {
    90
}
fn yes() -> bool {
    true
}

// Values are kept as texts, and `check` finds the wrong ones: the code that serde derives for each type is large, and PID 1 has a size limit.
impl ServiceSpec {
    /// Permissions that new files do not get.
    #[must_use]
    pub fn umask(&self) -> Option<u32> {
        self.umask.as_deref().and_then(permissions)
    }

    /// Permissions of the directories of the service.
    #[must_use]
    pub fn directory_mode(&self) -> u32 {
        self.directory_mode.as_deref().and_then(permissions).unwrap_or(0o755)
    }

    /// The only capabilities that the service can have, as a set of bits. `None`: all that its user has.
    #[must_use]
    pub fn capabilities(&self) -> Option<u64> {
        let bits = |name: &String| Capability::named(name).map(Capability::bit);
        Some(self.capabilities.as_ref()?.iter().filter_map(bits).fold(0, |set, bit| set | bit))
    }

    /// The directories of the service: those below /run, /var/lib, /var/cache and /var/log.
    #[must_use]
    pub fn directories(&self) -> [Directories<'_>; 4] {
        [
            Directories { variable: "RUNTIME_DIRECTORY", base: "/run", names: &self.runtime_directory },
            Directories { variable: "STATE_DIRECTORY", base: "/var/lib", names: &self.state_directory },
            Directories { variable: "CACHE_DIRECTORY", base: "/var/cache", names: &self.cache_directory },
            Directories { variable: "LOGS_DIRECTORY", base: "/var/log", names: &self.logs_directory },
        ]
    }

    /// The file with the part of host.toml that a service reads: a JSON object with the keys of [`ServiceSpec::config`] that host.toml has.
    #[must_use]
    pub fn config_file(name: &str) -> String {
        format!("{SERVICE_CONFIG}/{name}.json")
    }

    /// Checks the rules that serde cannot express. Returns the first fault as a sentence.
    ///
    /// # Errors
    /// A missing or relative program path, a relative socket path, an adjustment out of range, a path or an account that cannot exist.
    pub fn check(&self) -> Result<(), String> {
        match self.exec.first() {
            Some(program) if program.starts_with('/') => {}
            found => return Err(format!("exec: expected the absolute path of a program, found {found:?}")),
        }
        if !(-1000..=1000).contains(&self.oom_score_adjust) {
            return Err(format!("oom_score_adjust: expected -1000 to 1000, found {}", self.oom_score_adjust));
        }
        self.check_accounts()?;
        self.check_rights()?;
        self.check_paths()?;
        if let Some(key) = self.config.iter().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("config: expected keys of host.toml ({}), found {key:?}", KEYS.join(", ")));
        }
        match &self.ready {
            Readiness::Socket(path) if !path.starts_with('/') => {
                Err(format!("ready: expected a socket's absolute path, found {path:?}"))
            }
            _ => Ok(()),
        }
    }

    fn check_accounts(&self) -> Result<(), String> {
        let groups = self.group.iter().map(|name| ("group", name));
        let more = self.supplementary_groups.iter().map(|name| ("supplementary_groups", name));
        let mut all = self.user.iter().map(|name| ("user", name)).chain(groups).chain(more);
        let good = |name: &str| {
            !name.starts_with('-') && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-.".contains(&c))
        };
        match all.find(|(_, name)| name.is_empty() || !good(name)) {
            Some((key, name)) => Err(format!("{key}: expected the name or number of an account, found {name:?}")),
            None => Ok(()),
        }
    }

    fn check_rights(&self) -> Result<(), String> {
        for (key, text) in [("umask", &self.umask), ("directory_mode", &self.directory_mode)] {
            if let Some(text) = text.as_ref().filter(|text| permissions(text).is_none()) {
                return Err(format!("{key}: expected octal digits up to 7777, e.g. \"0750\", found {text:?}"));
            }
        }
        let mut names = self.capabilities.iter().flatten();
        if let Some(name) = names.find(|name| Capability::named(name).is_none()) {
            return Err(format!("capabilities: expected names like CAP_NET_ADMIN, found {name:?}"));
        }
        match self.system_call_filter.iter().find(|name| !system_calls::is_known(name)) {
            Some(name) => Err(format!(
                "system_call_filter: expected system calls, or groups like @system-service, found {name:?}"
            )),
            None => Ok(()),
        }
    }

    fn check_paths(&self) -> Result<(), String> {
        let lists = [
            ("read_only_paths", &self.read_only_paths),
            ("read_write_paths", &self.read_write_paths),
            ("inaccessible_paths", &self.inaccessible_paths),
        ];
        let clean = |path: &str| !path.contains('\0') && path.split('/').all(|part| part != "..");
        for (key, paths) in lists {
            if let Some(path) = paths.iter().find(|path| !path.starts_with('/') || !clean(path)) {
                return Err(format!("{key}: expected an absolute path without .., found {path:?}"));
            }
        }
        for Directories { variable, base, names } in self.directories() {
            let bad = |path: &&String| path.split('/').any(|part| ["", ".", ".."].contains(&part)) || !clean(path);
            let key = variable.to_ascii_lowercase();
            if let Some(path) = names.iter().find(bad) {
                return Err(format!("{key}: expected a path relative to {base}, found {path:?}"));
            }
            // The user of the outer one could put a link in the place of the inner one.
            let inside = |path: &&String| names.iter().any(|other| is_inside(path, other));
            if let Some(path) = names.iter().find(inside) {
                return Err(format!("{key}: expected no directory inside another one of the list, found {path:?}"));
            }
        }
        Ok(())
    }
}

/// Whether a clean path leads into the directory `other`.
fn is_inside(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
}

/// Permission bits of octal digits.
fn permissions(text: &str) -> Option<u32> {
    let octal = text.bytes().all(|c| c.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|bits| octal && *bits <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_examples_are_read() {
        let spec: ServiceSpec = toml::from_str(
            "exec = ['/usr/bin/containerd']\nneeds = ['netd']\nready = { socket = '/run/containerd/containerd.sock' }\ndelegate = true\n",
        )
        .unwrap();
        assert_eq!(spec.ready, Readiness::Socket("/run/containerd/containerd.sock".into()));
        spec.check().unwrap();
        let one_shot: ServiceSpec =
            toml::from_str("exec = ['/bin/x']\nready = 'exit'\nrestart = 'on-failure'").unwrap();
        assert_eq!((one_shot.config.len(), one_shot.reload), (0, Reload::Restart));
        assert_eq!((one_shot.ready.clone(), one_shot.restart), (Readiness::Exit, Restart::OnFailure));
        assert!(toml::from_str::<ServiceSpec>("exec = ['x']\nnedds = []").is_err());
        assert!(ServiceSpec { exec: vec!["x".into()], ..one_shot }.check().is_err());
    }

    #[test]
    fn what_confines_a_service_is_read_and_checked() {
        let spec = |more: &str| toml::from_str::<ServiceSpec>(&format!("exec = ['/bin/x']\n{more}"));
        let good = spec(
            "user = 'www-data'\ngroup = '33'\nsupplementary_groups = ['ssl-cert']\numask = '0027'\nno_new_privs = true\n\
             capabilities = ['CAP_NET_BIND_SERVICE']\nsystem_call_filter = ['@system-service', 'mount']\nprocesses = 'unlimited'\n\
             core_size = 0\nread_only_paths = ['/']\nruntime_directory = ['x']\nstate_directory = ['x/y', 'x-y']\ndirectory_mode = '0700'\n",
        )
        .unwrap();
        good.check().unwrap();
        assert_eq!((good.umask(), good.directory_mode(), good.capabilities()), (Some(0o27), 0o700, Some(1 << 10)));
        let limits = (good.processes.map(Limit::number), good.core_size.map(Limit::number), good.locked_memory);
        assert_eq!(limits, (Some(None), Some(Some(0)), None));
        assert_eq!(good.directories()[1].names, ["x/y", "x-y"]);
        assert_eq!(toml::from_str::<ServiceSpec>(&toml::to_string(&good).unwrap()).unwrap(), good);
        let nothing = spec("capabilities = []").unwrap();
        assert_eq!((nothing.capabilities(), nothing.umask(), nothing.directory_mode()), (Some(0), None, 0o755));
        assert_eq!(spec("").unwrap().capabilities(), None);
        for (wrong, word) in [
            ("umask = 18", "string"),
            ("processes = 'many'", "unlimited"),
            ("core_size = -1", "unlimited"),
            ("state_directories = []", "state_directory"),
            ("reload = 'hup'", "signal"),
        ] {
            let error = spec(wrong).unwrap_err().to_string();
            assert!(error.contains(word), "{wrong}: {error}");
        }
        for wrong in [
            "user = ''",
            "group = 'a:b'",
            "supplementary_groups = ['-x']",
            "config = ['networks']",
            "read_only_paths = ['run']",
            "read_write_paths = ['/run/../etc']",
            "state_directory = ['/abs']",
            "runtime_directory = ['a/../b']",
            "cache_directory = ['a/b', 'a-b', 'a']",
            "umask = '0898'",
            "directory_mode = '+755'",
            "capabilities = ['NET_ADMIN']",
            "system_call_filter = ['@all']",
            "system_call_filter = ['~mount']",
        ] {
            let fault = spec(wrong).unwrap().check().unwrap_err();
            assert!(fault.contains(wrong.split(' ').next().unwrap()), "{wrong}: {fault}");
        }
    }
}
