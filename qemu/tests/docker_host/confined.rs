//! What confines the processes of a running host, as docs/security.md and docs/limits.md say. The container `hello` reads /proc.

use crate::common::{docker, root};
use berth_contract::capability::Capability;
use berth_qemu::machine::Machine;
use std::{collections::BTreeSet, fs, path::Path};

/// All checks, on a running docker host.
pub(crate) fn check(vm: &Machine, certificates: &Path) {
    processes(vm, certificates);
    kernel(vm, certificates);
    limits(vm, certificates);
}

/// A page of the documentation.
fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The cells of the rows of the table whose first column has this title. Code quotes are left out.
fn table(page: &str, title: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let lines = page.lines().skip_while(|line| !line.starts_with(&format!("| {title} |")));
    let rows: Vec<_> = lines.skip(2).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty(), "no table with the column {title}");
    rows
}

/// Each process of the host is confined as the table says, and each row of the table is true of a process.
fn processes(vm: &Machine, certificates: &Path) {
    // The program that lists the processes has another name than the containers that it lists.
    let mount = ["run", "--rm", "--pid", "host", "--privileged", "--entrypoint", "/hello", "hello", "processes"];
    let listed = docker(vm, certificates, &mount).unwrap();
    let found: BTreeSet<Vec<String>> = listed.lines().map(row).collect();
    let mut wanted = BTreeSet::new();
    for mut row in table(&page("security.md"), "process") {
        let always = row.pop().unwrap() == "always";
        // The rest of the first cell tells two kinds of container apart.
        row[0] = row[0].split(',').next().unwrap().to_owned();
        if always {
            assert!(found.contains(&row), "no process is like this row of docs/security.md: {row:?}\n{listed}");
        }
        wanted.insert(row);
    }
    for row in &found {
        assert!(wanted.contains(row), "docs/security.md has no row for the process {row:?}\n{listed}");
    }
}

/// A line of `hello processes` in the words of the table.
fn row(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let [name, user, capabilities, no_new_privs, seccomp, label] = words[..] else { panic!("{line}") };
    let yes = |value: &str, number: &str| if value == number { "yes" } else { "no" }.to_owned();
    vec![
        name.to_owned(),
        if user == "0" { "root" } else { "its own" }.to_owned(),
        capability_names(u64::from_str_radix(capabilities, 16).unwrap()),
        yes(no_new_privs, "1"),
        yes(seccomp, "2"),
        label.to_owned(),
    ]
}

/// The names of a set of capabilities, without `CAP_`.
fn capability_names(set: u64) -> String {
    let all = Capability::all().fold(0, |set, one| set | one.bit());
    match set {
        0 => "none".to_owned(),
        set if set == all => "all".to_owned(),
        set => {
            let names = Capability::all().filter(|one| set & one.bit() != 0).map(|one| &one.name()["CAP_".len()..]);
            names.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A privileged container is root of the host, but cannot change the running kernel.
fn kernel(vm: &Machine, certificates: &Path) {
    let privileged = ["run", "--rm", "--privileged", "-v", "/sys/kernel/security:/security:ro", "hello"];
    let run = |words: &[&str]| docker(vm, certificates, &[&privileged[..], words].concat());
    let text = run(&["cat", "/security/lockdown", "/sys/module/module/parameters/sig_enforce"]).unwrap();
    assert!(text.contains("[integrity]") && text.ends_with("Y\n"), "{text}");
    let refused = run(&["load", "/hello"]).unwrap_err().to_string();
    assert!(refused.contains("Key was rejected by service"), "an unsigned module: {refused}");
}

/// The kernel's settings have the values of the table, and a container has the limits of the engine.
fn limits(vm: &Machine, certificates: &Path) {
    let rows = table(&page("limits.md"), "setting");
    let rows: Vec<_> = rows.iter().filter(|row| row[0].contains('.')).collect();
    let paths: Vec<String> = rows.iter().map(|row| format!("/proc/sys/{}", row[0].replace('.', "/"))).collect();
    // With the host's network, because settings of the network belong to a network namespace.
    let mut words = vec!["run", "--rm", "--privileged", "--network", "host", "hello", "cat"];
    words.extend(paths.iter().map(String::as_str));
    let text = docker(vm, certificates, &words).unwrap();
    let found: Vec<&str> = text.lines().collect();
    let wanted: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    assert_eq!(found, wanted, "the second column of docs/limits.md: {paths:?}");
    let of_container = docker(vm, certificates, &["run", "--rm", "hello", "cat", "/proc/self/limits"]).unwrap();
    let value = |name: &str| -> Vec<String> {
        let line = of_container.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    for name in ["Max processes", "Max core file size"] {
        assert_eq!(value(name), ["unlimited"; 2], "{name}: {of_container}");
    }
    assert_eq!(value("Max open files"), ["1048576"; 2], "{of_container}");
}
