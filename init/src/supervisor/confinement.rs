//! What confines a service, from its service file and the image's accounts.

use crate::{
    services::{
        accounts::{Account, Accounts},
        directories,
    },
    sys::{
        confine::{Confinement, Identity},
        mount_view::View,
    },
};
use berth_contract::{
    fault::{At, Failure},
    limit::Limit,
    service::{Directories, ServiceSpec},
    system_calls,
};
use rustix::{
    process::Resource,
    thread::{Gid, Uid},
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::{collections::BTreeMap, ffi::CString, fs, path::Path};
use syscalls::Sysno;

/// What a service gets when it starts.
#[derive(Debug)]
pub(super) struct Outfit {
    /// What confines it.
    pub(super) confinement: Confinement,
    /// Variables of its environment.
    pub(super) environment: Vec<(&'static str, String)>,
}

/// Makes the directories of a service, and prepares what confines it.
///
/// # Errors
/// A user or group does not exist, or a directory cannot be made.
pub(super) fn outfit(spec: &ServiceSpec) -> Result<Outfit, Failure> {
    let account = account(spec)?;
    let mut environment = directories::make(spec, &account, Path::new("/")).map_err(Failure::from)?;
    // Root's variables are those of every program.
    if let (Some(name), true) = (&account.name, account.uid != 0) {
        environment.extend([("USER", name.clone()), ("LOGNAME", name.clone())]);
        environment.extend(account.home.clone().map(|home| ("HOME", home)));
    }
    let confinement = Confinement {
        private_network: spec.private_network,
        private_ipc: spec.private_ipc,
        view: view(spec)?,
        identity: needs_identity(spec).then(|| identity(&account)),
        capabilities: spec.capabilities(),
        umask: spec.umask(),
        no_new_privs: spec.no_new_privs,
        filter: filter(spec)?,
        workdir: Some(CString::new(spec.workdir.as_str())?),
    };
    Ok(Outfit { confinement, environment })
}

/// The resource limits of a service file.
pub(super) fn limits(spec: &ServiceSpec) -> Vec<(Resource, Option<u64>)> {
    let all = [
        (Resource::Nofile, spec.open_files.map(Limit::Number)),
        (Resource::Nproc, spec.processes),
        (Resource::Core, spec.core_size),
        (Resource::Memlock, spec.locked_memory),
    ];
    all.into_iter().filter_map(|(resource, limit)| Some((resource, limit?.number()))).collect()
}

/// The number of a group of the image. `None` if the image has no such group.
pub(super) fn group(name: &str) -> Option<u32> {
    let group = fs::read_to_string("/etc/group").ok()?;
    Accounts { passwd: "", group: &group }.resolve(None, Some(name), &[]).ok().map(|account| account.gid)
}

fn needs_identity(spec: &ServiceSpec) -> bool {
    spec.user.is_some() || spec.group.is_some() || !spec.supplementary_groups.is_empty()
}

fn account(spec: &ServiceSpec) -> Result<Account, Failure> {
    if !needs_identity(spec) {
        return Ok(Accounts { passwd: "", group: "" }.resolve(Some("0"), None, &[])?);
    }
    let read = |path: &str| fs::read_to_string(path).at("read", path);
    let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
    let accounts = Accounts { passwd: &passwd, group: &group };
    Ok(accounts.resolve(spec.user.as_deref(), spec.group.as_deref(), &spec.supplementary_groups)?)
}

fn identity(account: &Account) -> Identity {
    Identity {
        uid: Uid::from_raw(account.uid),
        gid: Gid::from_raw(account.gid),
        groups: account.groups.iter().copied().map(Gid::from_raw).collect(),
    }
}

fn view(spec: &ServiceSpec) -> Result<View, Failure> {
    let strings =
        |paths: &[String]| paths.iter().map(|path| CString::new(path.as_str())).collect::<Result<Vec<_>, _>>();
    let paths = |all: Directories<'_>| all.names.iter().map(|name| format!("{}/{name}", all.base)).collect::<Vec<_>>();
    let own: Vec<String> = spec.directories().into_iter().flat_map(paths).collect();
    let read_write = [&spec.read_write_paths[..], &own].concat();
    Ok(View::new(
        strings(&spec.read_only_paths)?,
        strings(&read_write)?,
        strings(&spec.inaccessible_paths)?,
        spec.private_tmp,
    ))
}

/// A filter that allows the wanted system calls, and kills the process at another one. Empty when all calls are allowed.
fn filter(spec: &ServiceSpec) -> Result<BpfProgram, Failure> {
    if spec.system_call_filter.is_empty() {
        return Ok(BpfProgram::new());
    }
    let wanted = system_calls::names(&spec.system_call_filter);
    // A name that this processor's kernel does not have is left out.
    let known = Sysno::iter().filter(|call| wanted.contains(call.name()));
    let rules: BTreeMap<i64, Vec<_>> = known.map(|call| (i64::from(call.id()), Vec::new())).collect();
    let processor = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, processor)?;
    Ok(filter.try_into()?)
}
