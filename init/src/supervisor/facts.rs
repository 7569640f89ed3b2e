//! Facts about the host for `status`, from the kernel and from reports of other programs. All are small files in memory, so reading them
//! does not block.

use berth_contract::control::{ContainerStatus, MemoryStatus, VarStatus};
use rustix::fs::{Mode, OFlags};
use serde::de::DeserializeOwned;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Maximum size of the reports of other programs, in bytes.
const MAX_REPORT: u64 = 1 << 20;

pub(super) fn memory() -> MemoryStatus {
    parse_memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

/// Parses proc_meminfo(5).
fn parse_memory(text: &str) -> MemoryStatus {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    MemoryStatus { total_kib: value("MemTotal"), available_kib: value("MemAvailable") }
}

pub(super) fn var(path: &Path, persistent: bool) -> VarStatus {
    match rustix::fs::statvfs(path) {
        Ok(found) => VarStatus {
            size: found.f_blocks.saturating_mul(found.f_frsize),
            available: found.f_bavail.saturating_mul(found.f_frsize),
            persistent,
        },
        Err(_) => VarStatus { size: 0, available: 0, persistent },
    }
}

/// The containers in the report of the workload program, then the declared containers that are not in the report yet.
pub(super) fn containers(path: &Path, declared: &[ContainerStatus]) -> Vec<ContainerStatus> {
    let mut reported: Vec<ContainerStatus> = report(path).unwrap_or_default();
    let missing = declared.iter().filter(|one| !reported.iter().any(|other| other.name == one.name));
    let missing: Vec<ContainerStatus> = missing.cloned().collect();
    reported.extend(missing);
    reported
}

/// Other programs own the folders of their reports. A pipe or a symbolic link there must not stop PID 1 or lead it to other files.
fn open_report(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// The report of another program, if there is one.
pub(super) fn report<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut bytes = Vec::new();
    let file = open_report(path).ok().filter(|file| file.metadata().is_ok_and(|data| data.is_file()))?;
    file.take(MAX_REPORT).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_contract::{container_state::ContainerState, control::NetworkStatus};
    use std::fs;

    #[test]
    fn memory_and_var_are_read_from_the_kernel() {
        let text = "MemTotal:        1004028 kB\nMemFree:          1 kB\nMemAvailable:     725768 kB\n";
        assert_eq!(parse_memory(text), MemoryStatus { total_kib: 1_004_028, available_kib: 725_768 });
        assert_eq!(parse_memory("").total_kib, 0);
        assert!(memory().total_kib > 0);
        assert!(var(Path::new("/"), true).size > 0);
        assert_eq!(var(Path::new("/no/such"), false).size, 0);
    }

    #[test]
    fn declared_containers_are_listed_even_if_the_report_is_missing_or_invalid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status.json");
        let one = |name: &str, state: ContainerState| ContainerStatus {
            name: name.into(),
            image: "hello".into(),
            required: true,
            state,
            error: None,
        };
        let declared = [one("a", ContainerState::Pending), one("b", ContainerState::Pending)];
        assert_eq!(containers(&path, &declared), declared);
        fs::write(&path, serde_json::to_vec(&[one("b", ContainerState::Running)]).unwrap()).unwrap();
        assert_eq!(
            containers(&path, &declared),
            [one("b", ContainerState::Running), one("a", ContainerState::Pending)]
        );
        fs::write(&path, "[{").unwrap();
        assert_eq!(containers(&path, &declared), declared);
        assert_eq!(report::<NetworkStatus>(&path), None);
    }

    #[test]
    fn a_pipe_or_a_symbolic_link_is_no_report() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link, file) = (dir.path().join("pipe"), dir.path().join("link"), dir.path().join("file"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::write(&file, "7").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(report::<u8>(&file), Some(7));
        assert_eq!((report::<u8>(&pipe), report::<u8>(&link)), (None, None));
    }
}
