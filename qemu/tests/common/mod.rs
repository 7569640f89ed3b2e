//! What the product's tests share: the image, built once, and machines for it.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use anyhow::{Context, Result, bail, ensure};
use berth_contract::arch::Arch;
use berth_qemu::{
    accel, firmware,
    machine::{Description, Machine},
    pki::Pki,
};
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// Longest a machine may take to its readiness, or to its end: emulation on a busy machine is slow.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The builder's program.
pub(crate) fn berth() -> PathBuf {
    let berth = std::env::var_os("BERTH_BIN")
        .map_or_else(|| root().join("target/x86_64-unknown-linux-gnu/release/berth"), PathBuf::from);
    assert!(berth.exists(), "{} is not there: run ci/build", berth.display());
    berth
}

/// Folder with the outputs of `recipes/docker.toml`, built by the `berth` program that is tested.
pub(crate) fn build() -> PathBuf {
    let out = root().join("target/test-image");
    fs::create_dir_all(root().join("target")).unwrap();
    // Test programs may run side by side; the image is built once for each.
    let lock = File::create(root().join("target/test-image.lock")).unwrap();
    lock.lock().unwrap();
    let output = Command::new(berth())
        .args(["-q", "build", "recipes/docker.toml", "-o"])
        .arg(&out)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "berth build: {}", String::from_utf8_lossy(&output.stderr));
    out
}

/// The one output with this ending.
pub(crate) fn output(folder: &Path, ending: &str) -> PathBuf {
    let found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)))
        .collect();
    assert_eq!(found.len(), 1, "{ending} in {}: {found:?}", folder.display());
    found[0].clone()
}

/// A machine for the built image; its console goes to `target/vm-logs/NAME.log`.
pub(crate) fn machine(name: &str, image: Option<PathBuf>) -> Description {
    let accel = accel::choose(Arch::DEFAULT, std::env::var("BERTH_ACCEL").ok().as_deref()).unwrap();
    let firmware =
        firmware::find(Arch::DEFAULT, std::env::var_os("BERTH_OVMF_CODE"), std::env::var_os("BERTH_OVMF_VARS"))
            .unwrap();
    Description::new(image, accel, firmware, root().join(format!("target/vm-logs/{name}.log")))
}

#[expect(clippy::disallowed_methods, reason = "certificates are judged by the clock of the day")]
pub(crate) fn pki() -> Pki {
    berth_qemu::pki::make(SystemTime::now()).unwrap()
}

/// Runs a program of this machine and returns what it printed; anything but success is an error with all it said.
pub(crate) fn judge(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("{program}: run ci/setup"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
    Ok(said)
}

/// docker's client, against the machine's TLS listener, with the certificates in `certificates`.
pub(crate) fn docker(machine: &Machine, certificates: &Path, arguments: &[&str]) -> Result<String> {
    let port = machine.port(2376).context("docker's port is not forwarded")?;
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

/// Body of an HTTP answer from the guest's port.
pub(crate) fn get(machine: &Machine, port: u16, path: &str) -> Result<String> {
    let outside = machine.port(port).context("port is not forwarded")?;
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

/// First and last sector, of 512 bytes, of a partition of `image`.
pub(crate) fn sectors(image: &Path, number: u32) -> Result<(u64, u64)> {
    let info = judge("sgdisk", &["-i", &number.to_string(), image.to_str().context("path")?])?;
    let sector = |what: &str| -> Result<u64> {
        let line = info.lines().find(|line| line.starts_with(what)).with_context(|| format!("{what} in {info}"))?;
        Ok(line.split_whitespace().nth(2).context("number")?.parse()?)
    };
    Ok((sector("First sector:")?, sector("Last sector:")?))
}

/// Copies one partition of `image` into a file of its own.
pub(crate) fn partition(image: &Path, number: u32, into: &Path) -> Result<()> {
    let (first, last) = sectors(image, number)?;
    let (skip, count) = (first * 512 / (1 << 20), (last + 1 - first) * 512 / (1 << 20));
    let (from, to) = (format!("if={}", image.display()), format!("of={}", into.display()));
    judge("dd", &[&from, &to, "bs=1M", "conv=sparse", &format!("skip={skip}"), &format!("count={count}")]).map(drop)
}
