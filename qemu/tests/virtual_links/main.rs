//! netd makes virtual links with a kernel from Debian: machines for tests often lack the drivers. `netd/tests/settings.rs` has what every
//! kernel can do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod guest;

use berth_contract::host_config::HostConfig;
use berth_formats::{
    data::Data,
    node::{Kind, Node},
};
use berth_qemu::machine::Kernel;
use common::{
    LIMIT, berth,
    initrd::{judges, write_initrd},
    machine, tool,
};
use std::{collections::BTreeMap, fs, path::Path};

/// Not a test, except in the virtual machine, where this program runs as PID 1.
#[test]
fn guest_program() {
    if std::process::id() == 1 {
        guest::main();
    }
}

#[test]
fn every_kind_of_virtual_link_is_made_changed_and_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let (kernel, initrd) = (judges().join("kernel/trixie"), scratch.path().join("initrd"));
    write_initrd(&kernel.join("lib/modules"), &guest::WANTED, files(), &initrd);
    let mut description = machine("virtual-links", None);
    let cmdline = "console=ttyS0 panic=-1 quiet -- --exact guest_program --nocapture --test-threads=1".to_owned();
    description.kernel = Some(Kernel { image: kernel.join("vmlinuz"), initrd, cmdline });
    let mut machine = description.start().unwrap();
    machine.wait_for_end(LIMIT).unwrap();
    let console = machine.console().tail();
    assert!(console.contains(guest::END.trim_end()), "{console}");
}

/// netd, its settings, and the programs that check its work, with their libraries.
fn files() -> BTreeMap<String, Node> {
    let file = |bytes: Vec<u8>| Node::root(0o755, Kind::File(Data::from(bytes)));
    let mut files = BTreeMap::from([("netd".to_owned(), file(fs::read(berth().with_file_name("netd")).unwrap()))]);
    for program in ["ip", "wg"] {
        let path = tool("sh", &["-c", &format!("command -v {program}")]).unwrap();
        files.insert(program.to_owned(), file(fs::read(path.trim()).unwrap()));
        for word in tool("ldd", &[path.trim()]).unwrap().split_whitespace().filter(|word| word.starts_with('/')) {
            files.insert(word.trim_start_matches('/').to_owned(), file(fs::read(word).unwrap()));
        }
    }
    for (name, host_toml) in guest::settings() {
        let config: HostConfig = toml::from_str(&host_toml).unwrap();
        config.check().unwrap();
        let tables = serde_json::json!({ "network": config.network.unwrap_or_default() });
        files.insert(name.trim_start_matches('/').to_owned(), file(tables.to_string().into_bytes()));
    }
    let folders: Vec<String> = files.keys().flat_map(|name| Path::new(name).ancestors().skip(1)).map(folder).collect();
    for name in folders.into_iter().chain(["proc", "sys", "run"].map(str::to_owned)).filter(|name| !name.is_empty()) {
        files.insert(name, Node::root(0o755, Kind::Directory));
    }
    files
}

fn folder(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
