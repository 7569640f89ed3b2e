//! What confines a service, from its service file and the image's accounts.

use crate::{
    services::{
        accounts::{self, Account},
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
    paths,
    service::{Directories, ServiceSpec},
    system_calls,
};
use rustix::{
    process::Resource,
    thread::{Gid, Uid},
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::{collections::BTreeMap, ffi::CString, os::unix::fs::lchown, path::Path};
use syscalls::Sysno;

/// What a service gets when it starts.
#[derive(Debug)]
pub(super) struct Outfit {
    /// What confines it.
    pub(super) confinement: Confinement,
    /// Variables of its environment.
    pub(super) environment: Vec<(&'static str, String)>,
}

/// Makes the directories of a service, gives it the socket for logs if it has `reads_logs`, and prepares what confines it.
///
/// # Errors
/// A user or group does not exist, or a directory cannot be made.
pub(super) fn outfit(spec: &ServiceSpec) -> Result<Outfit, Failure> {
    let account = accounts::of(spec)?;
    let mut environment = directories::make(spec, &account, Path::new("/")).map_err(Failure::from)?;
    if spec.reads_logs {
        let socket = Path::new(paths::LOG_SOCKET);
        lchown(socket, Some(account.uid), None).at("change owner of", socket)?;
    }
    // Root's variables are those of every program.
    if let (Some(name), true) = (&account.name, account.uid != 0) {
        environment.extend([("USER", name.clone()), ("LOGNAME", name.clone())]);
        environment.extend(account.home.clone().map(|home| ("HOME", home)));
    }
    let confinement = Confinement {
        private_network: spec.private_network,
        private_ipc: spec.private_ipc,
        view: view(spec)?,
        identity: accounts::needs_identity(spec).then(|| identity(&account)),
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
