//! Shared code of the tests: builds the images once for all tests, and makes machines for them.
#![allow(dead_code, reason = "each test file uses only a part of this module")]

pub(crate) mod initrd;

use anyhow::{Context, Result, bail, ensure};
use berth_contract::arch::Arch;
use berth_qemu::{
    accel,
    error::VmError,
    firmware,
    machine::{Description, Machine},
    once::{name_of, once, stamp},
    pki::Pki,
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// Longest time that a machine may take until it is ready, or until it has powered off. On a busy computer the limit is stretched
/// ([`berth_qemu::patience`]).
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The builder's program.
pub(crate) fn berth() -> PathBuf {
    let berth = std::env::var_os("BERTH_BIN")
        .map_or_else(|| root().join("target/x86_64-unknown-linux-gnu/release/berth"), PathBuf::from);
    assert!(berth.exists(), "{} does not exist: run ci/build", berth.display());
    berth
}

/// Folder below `target` for files that tests make once and share. `kind` is `builds`, `releases`, `keys` or `machines`.
pub(crate) fn shared(kind: &str) -> PathBuf {
    root().join("target/shared").join(kind)
}

/// Stamps of all files that a build depends on: the programs, and the recipes with their files.
pub(crate) fn build_inputs() -> Vec<String> {
    let programs = ["berth", "init", "netd", "logd", "timed", "workload", "hostd", "hostctl"]
        .map(|name| berth().with_file_name(name));
    let mut folders = ["recipes", "overlays", "qemu/tests/recipes"].map(|name| root().join(name)).to_vec();
    let mut files = programs.to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files.iter().filter(|path| path.exists()).map(|path| stamp(path).unwrap()).collect()
}

/// Folder with the outputs of `recipes/docker.toml`, built by the `berth` program under test.
pub(crate) fn build() -> PathBuf {
    build_of("docker", "recipes/docker.toml")
}

/// Folder with the outputs of the small host, which has no engine.
pub(crate) fn build_small() -> PathBuf {
    build_of("small", "qemu/tests/recipes/small.toml")
}

fn build_of(kind: &str, recipe: &str) -> PathBuf {
    let folder = once(&shared("builds"), &name_of(kind, &build_inputs()), |folder| {
        let mut command = Command::new(berth());
        let command = command.args(["-q", "build", recipe, "-o"]).arg(folder.join("out"));
        let output = command.current_dir(root()).output().unwrap();
        assert!(output.status.success(), "berth build {recipe}: {}", String::from_utf8_lossy(&output.stderr));
        Ok::<_, VmError>(())
    });
    folder.unwrap().join("out")
}

/// The only output whose name ends with `ending`.
pub(crate) fn output(folder: &Path, ending: &str) -> PathBuf {
    let found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)))
        .collect();
    assert_eq!(found.len(), 1, "{ending} in {}: {found:?}", folder.display());
    found[0].clone()
}

/// A machine for `image`. Its console is written to `target/vm-logs/NAME.log`.
pub(crate) fn machine(name: &str, image: Option<PathBuf>) -> Description {
    let accel = accel::choose(Arch::DEFAULT, std::env::var("BERTH_ACCEL").ok().as_deref()).unwrap();
    let firmware =
        firmware::find(Arch::DEFAULT, std::env::var_os("BERTH_OVMF_CODE"), std::env::var_os("BERTH_OVMF_VARS"))
            .unwrap();
    Description::new(image, accel, firmware, root().join(format!("target/vm-logs/{name}.log")))
}

#[expect(clippy::disallowed_methods, reason = "certificates must be valid at the current time")]
pub(crate) fn pki() -> Pki {
    berth_qemu::pki::make(SystemTime::now()).unwrap()
}

/// Runs a program on this computer and returns its output. If the status is not 0, the error holds the output.
pub(crate) fn tool(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("{program}: run ci/setup"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
    Ok(said)
}

/// Runs this computer's docker client with the certificates in the folder `certificates`. The client connects to the guest's TLS listener.
pub(crate) fn docker(machine: &Machine, certificates: &Path, arguments: &[&str]) -> Result<String> {
    docker_at(machine.port(2376).context("port 2376 of the guest is not forwarded")?, certificates, arguments)
}

/// The same for the port of this computer that leads to the guest's TLS listener.
pub(crate) fn docker_at(port: u16, certificates: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .env("DOCKER_HOST", format!("tcp://127.0.0.1:{port}"))
        .env("DOCKER_TLS_VERIFY", "1")
        .env("DOCKER_CERT_PATH", certificates)
        .output()
        .context("docker: run ci/setup")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {arguments:?}: {}\n{said}{errors}", output.status);
    Ok(said)
}

/// Sends an HTTP request to a port of the guest. Returns the body of the answer.
pub(crate) fn get(machine: &Machine, port: u16, path: &str) -> Result<String> {
    get_at(machine.port(port).with_context(|| format!("port {port} of the guest is not forwarded"))?, path)
}

/// The same for the port of this computer that leads to the guest's.
pub(crate) fn get_at(outside: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", outside))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: guest\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => bail!("expected an HTTP answer with 200, found {answer:?}"),
    }
}

/// First and last sector of a partition of `image`. A sector has 512 bytes.
pub(crate) fn sectors(image: &Path, number: u32) -> Result<(u64, u64)> {
    let info = tool("sgdisk", &["-i", &number.to_string(), image.to_str().context("path")?])?;
    let sector = |what: &str| -> Result<u64> {
        let line = info.lines().find(|line| line.starts_with(what)).with_context(|| format!("{what} in {info}"))?;
        Ok(line.split_whitespace().nth(2).context("number")?.parse()?)
    };
    Ok((sector("First sector:")?, sector("Last sector:")?))
}

/// Copies one partition of `image` to the file `into`.
pub(crate) fn partition(image: &Path, number: u32, into: &Path) -> Result<()> {
    let (first, last) = sectors(image, number)?;
    let (skip, count) = (first * 512 / (1 << 20), (last + 1 - first) * 512 / (1 << 20));
    let (from, to) = (format!("if={}", image.display()), format!("of={}", into.display()));
    tool("dd", &[&from, &to, "bs=1M", "conv=sparse", &format!("skip={skip}"), &format!("count={count}")]).map(drop)
}
