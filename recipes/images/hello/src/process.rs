//! What each process may do: proc_pid_status(5), and the label of its security module.

use std::{fs, io, path::Path};

/// One line for each process with a program: name, user, effective capabilities, NoNewPrivs, Seccomp, and label. Kernel threads are left out.
pub(crate) fn list() -> io::Result<String> {
    let entries = fs::read_dir("/proc")?.collect::<io::Result<Vec<_>>>()?;
    let mut lines: Vec<_> = entries.iter().filter_map(|entry| line(&entry.path())).collect();
    lines.sort();
    Ok(lines.concat())
}

/// `None` for another folder than that of a process, and for a process that has ended.
fn line(process: &Path) -> Option<String> {
    process.file_name()?.to_str()?.parse::<u32>().ok()?;
    if fs::read(process.join("cmdline")).ok()?.is_empty() {
        return None;
    }
    let status = fs::read_to_string(process.join("status")).ok()?;
    let label = fs::read_to_string(process.join("attr/current")).unwrap_or_else(|error| error.to_string());
    let fields = ["Name", "Uid", "CapEff", "NoNewPrivs", "Seccomp"].map(|name| field(&status, name));
    Some(format!("{} {}\n", fields.join(" "), label.trim_end_matches(['\n', '\0'])))
}

/// The first word of a line of /proc/PID/status.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.and_then(|value| value.split_whitespace().next()).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_listed() {
        let me = line(Path::new(&format!("/proc/{}", std::process::id()))).unwrap();
        assert!(me.split(' ').count() >= 6 && !me.contains('?'), "{me}");
        assert_eq!(line(Path::new("/proc/sys")), None);
        assert_eq!(field("Name:\ta b\nUid:\t1\t2\n", "Uid"), "1");
    }
}
